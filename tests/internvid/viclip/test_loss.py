"""The loss against the reference's numbers, against plain loops, and on two ranks against one."""

import json
import math
from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from internvid.viclip.loss import contrastive_loss, gathered_contrastive_loss

GOLDEN = json.loads((Path(__file__).resolve().parents[2] / "golden" / "contrastive_loss.json").read_text())

# Eight samples of four videos; the third and the sixth are one sample, met twice.
SAMPLE_IDS = torch.tensor([10, 11, 12, 13, 14, 12, 15, 16])
VIDEO_NUMBERS = torch.tensor([1, 1, 2, 2, 3, 2, 1, 4])


def features(seed: int, count: int = 8, width: int = 6) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"{case['sample_ids']} at {case['temperature']}")
def test_the_loss_is_the_references(case):
    loss = contrastive_loss(
        torch.tensor(GOLDEN["video_features"]),
        torch.tensor(GOLDEN["text_features"]),
        temperature=case["temperature"],
        sample_ids=torch.tensor(case["sample_ids"]),
    )
    assert loss.value.item() == pytest.approx(case["loss"], abs=1e-5)


def loop_loss(similarity: list[list[float]], sample_ids: list[int], video_numbers: list[int], masked: bool) -> float:
    """Computes the loss of one direction in plain loops. masked: exclude other samples of the same video."""
    total = 0.0
    for row, scores in enumerate(similarity):
        matches, denominator = [], 0.0
        for column, score in enumerate(scores):
            same_sample = sample_ids[column] == sample_ids[row]
            if same_sample:
                matches.append(score)
            if same_sample or not masked or video_numbers[column] != video_numbers[row]:
                denominator += math.exp(score)
        total += sum(math.log(denominator) - score for score in matches) / len(matches)
    return total / len(similarity)


@pytest.mark.parametrize("same_video", ["negatives", "masked", "apart"])
def test_clips_of_one_video_are_left_out_of_the_denominator_where_masked_and_nowhere_else(same_video):
    video, text = features(1), features(2)
    loss = contrastive_loss(
        video,
        text,
        temperature=0.2,
        sample_ids=SAMPLE_IDS,
        video_numbers=VIDEO_NUMBERS,
        same_video=same_video,
    )
    similarity = F.normalize(video.double()) @ F.normalize(text.double()).T / 0.2
    labels = SAMPLE_IDS.tolist(), VIDEO_NUMBERS.tolist(), same_video == "masked"
    expected = (loop_loss(similarity.tolist(), *labels) + loop_loss(similarity.T.tolist(), *labels)) / 2
    assert loss.value.item() == pytest.approx(expected, abs=1e-5)


def test_a_masked_pair_does_not_push_apart():
    """Of two clips of one video and one of another, only the other pushes."""
    video, text = features(3, 3).requires_grad_(), features(4, 3)
    numbers = torch.tensor([7, 7, 8])
    loss = contrastive_loss(video, text, temperature=0.5, video_numbers=numbers, same_video="masked")
    loss.value.backward()
    first = video.grad[0].clone()
    video.grad = None
    moved = text.clone()
    moved[1] = -moved[1]
    contrastive_loss(video, moved, temperature=0.5, video_numbers=numbers, same_video="masked").value.backward()
    torch.testing.assert_close(video.grad[0], first)
    assert torch.isfinite(video.grad).all()


def test_a_batch_of_one_video_alone_has_neither_loss_nor_broken_gradients():
    video, text = features(3).requires_grad_(), features(4)
    numbers = torch.zeros(8, dtype=torch.int64)
    loss = contrastive_loss(video, text, temperature=0.01, video_numbers=numbers, same_video="masked")
    loss.value.backward()
    assert loss.value.item() == 0
    assert (video.grad == 0).all()


def test_masking_without_video_numbers_is_refused():
    with pytest.raises(ValueError, match="video numbers"):
        contrastive_loss(features(1), features(2), temperature=0.1, same_video="masked")


def test_accuracy_is_counted_each_way_and_any_row_of_the_sample_counts():
    text = torch.eye(4)
    video = torch.eye(4)
    video[1, 0] = 2  # the second video is closest to the first text, which has its own all the same
    loss = contrastive_loss(video, text, temperature=0.1)
    assert (loss.video_to_text_accuracy.item(), loss.text_to_video_accuracy.item()) == (0.75, 1)
    assert loss.accuracy.item() == 0.875
    loss = contrastive_loss(text, video, temperature=0.1)
    assert (loss.video_to_text_accuracy.item(), loss.text_to_video_accuracy.item()) == (1, 0.75)
    loss = contrastive_loss(video, text, temperature=0.1, sample_ids=torch.tensor([0, 0, 1, 2]))
    assert loss.accuracy.item() == 1


def test_half_precision_features_are_compared_in_float32():
    video, text = features(1).bfloat16(), features(2).bfloat16()
    exact = contrastive_loss(video.float(), text.float(), temperature=0.01).value
    with torch.autocast("cpu", torch.bfloat16):
        value = contrastive_loss(video, text, temperature=0.01).value
    assert value.dtype == torch.float32
    assert torch.equal(value, exact)


class Towers(torch.nn.Module):
    """Two linear towers and a temperature: all of a model that the loss uses."""

    def __init__(self) -> None:
        super().__init__()
        self.video, self.text = torch.nn.Linear(6, 5), torch.nn.Linear(6, 5)
        self.temperature = torch.nn.Parameter(torch.tensor(0.3))

    def forward(self, video: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.video(video), self.text(text), self.temperature


def trained_step(model: torch.nn.Module, rows: slice, labelled: bool) -> dict[str, Tensor]:
    """Loss, accuracies and gradients of one backward pass over those rows of the eight."""
    video, text, temperature = model(features(1)[rows], features(2)[rows])
    labels = {"sample_ids": SAMPLE_IDS[rows], "video_numbers": VIDEO_NUMBERS[rows], "same_video": "masked"}
    loss = gathered_contrastive_loss(video, text, temperature=temperature, **(labels if labelled else {}))
    loss.value.backward()
    figures = {
        "loss": loss.value.detach(),
        "video to text": loss.video_to_text_accuracy,
        "text to video": loss.text_to_video_accuracy,
    }
    return figures | {name.removeprefix("module."): value.grad for name, value in model.named_parameters()}


def run_rank(rank: int, ranks: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=ranks)
    rank_rows = 8 // ranks
    for labelled in (False, True):
        torch.manual_seed(0)
        model = DistributedDataParallel(Towers())
        figures = trained_step(model, slice(rank * rank_rows, (rank + 1) * rank_rows), labelled)
        torch.save(figures, f"{folder}/{rank}-{labelled}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_ranks_with_a_part_of_the_batch_each_get_the_loss_and_gradients_of_one_with_the_whole(tmp_path):
    ranks = 2
    torch.multiprocessing.spawn(run_rank, (ranks, str(tmp_path)), nprocs=ranks)
    for labelled in (False, True):
        torch.manual_seed(0)
        expected = trained_step(Towers(), slice(None), labelled)
        for rank in range(ranks):
            figures = torch.load(tmp_path / f"{rank}-{labelled}.pt")
            assert figures.keys() == expected.keys()
            for name, value in expected.items():
                torch.testing.assert_close(figures[name], value, rtol=1e-5, atol=1e-6, msg=f"{name} of rank {rank}")
