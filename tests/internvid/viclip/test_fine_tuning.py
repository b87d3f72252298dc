"""Fine-tuning of a tiny model: it learns, resumes, and refuses what is of another fine-tuning."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from internvid.viclip.checkpoint import Checkpoint, load_checkpoint
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.fine_tuning import Sample, TunedModel, TuningStep, fine_tune
from internvid.viclip.fine_tuning_recipe import FineTuning
from internvid.viclip.heads import MatchHead, MatchSizes, load_heads
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.tokenizer import Tokenizer

CONFIG = ViCLIPConfig(16, 8, 16, 2, 2, 16, 1, 2, 8, vocab_size=600, context_length=8, frames=4)
RETRIEVAL = FineTuning(
    "made",
    "retrieval",
    learning_rate=3e-3,
    epochs=6,
    frames=3,
    max_tokens=12,
    drop_path=0.1,
    batch_size=6,
    layer_decay=0.9,
    match_width=8,
    match_heads=2,
    horizontal_flip=False,
)
CLASSES = ("dark", "grey", "bright")


class GreyClips:
    """Videos of one grey each, with two captions; the class is how bright it is."""

    video_numbers = np.repeat(np.arange(9), 2)
    frame_counts = np.full(18, 5, np.int32)
    labels = video_numbers // 3

    def __len__(self) -> int:
        return 18

    def clip_ids(self, positions) -> list[str]:
        return [f"{position}" for position in positions]

    def captions(self, positions) -> list[str]:
        return [f"grey number {self.video_numbers[position]}, {position % 2}" for position in positions]

    def frames(self, picks) -> list[np.ndarray]:
        return [np.full((len(chosen), 20, 24, 3), 28 * self.video_numbers[clip], np.uint8) for clip, chosen in picks]


@pytest.fixture(scope="module")
def base() -> Checkpoint:
    torch.manual_seed(1)
    captions = GreyClips().captions(range(18))
    tokenizer = Tokenizer.trained_on(captions, vocab_size=600, context_length=8)
    return Checkpoint(ViCLIP(CONFIG, temperature=0.1), tokenizer, Preprocessing(image_size=16))


class Stopped(Exception):
    pass


def test_an_interrupted_fine_tuning_ends_in_the_same_weights_and_begins_as_the_base(base, tmp_path):
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    whole: list[dict] = []
    unbroken = fine_tune(RETRIEVAL, GreyClips(), base, folder=tmp_path / "unbroken", log=whole.append)

    def stop(row: dict) -> None:
        if row["step"] == 7:
            raise Stopped

    with pytest.raises(Stopped):
        fine_tune(RETRIEVAL, GreyClips(), base, folder=tmp_path / "other", log=stop, save_every_seconds=0.0)
    rest: list[dict] = []
    resumed = fine_tune(RETRIEVAL, GreyClips(), base, folder=tmp_path / "other", log=rest.append)
    assert [row["step"] for row in rest] == list(range(7, 18))
    assert [row["loss"] for row in rest] == [row["loss"] for row in whole[7:]]
    models = [load_checkpoint(result.checkpoint).model for result in (unbroken, resumed)]
    assert (models[0].config.frames, models[0].config.context_length) == (3, 12)
    heads = [load_heads(result.checkpoint, models[0].config).match_head for result in (unbroken, resumed)]
    for left, right in (models, heads):
        assert all(torch.equal(value, right.state_dict()[name]) for name, value in left.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in base.model.state_dict().items())

    with pytest.raises(ValueError, match="holds the training of other recipe"):
        fine_tune(replace(RETRIEVAL, seed=3), GreyClips(), base, folder=tmp_path / "other")
    with torch.no_grad():
        base.model.temp += 0.01
    with pytest.raises(ValueError, match="holds the training of other clips"):
        fine_tune(RETRIEVAL, GreyClips(), base, folder=tmp_path / "other")
    with torch.no_grad():
        base.model.temp -= 0.01


def test_classes_are_learnt_by_the_video_tower_and_the_head_while_texts_stay_as_they_were(base, tmp_path):
    recipe = replace(RETRIEVAL, task="classification", epochs=60, learning_rate=1e-2, drop_path=0.0)
    vectors = np.random.default_rng(0).standard_normal((3, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    result = fine_tune(recipe, GreyClips(), base, folder=tmp_path, classes=CLASSES, class_vectors=vectors)
    assert result.accuracy == 1.0
    assert (result.clips, result.steps) == (9, 180)
    tuned = load_checkpoint(result.checkpoint)
    assert tuned.receipt["recipe"] == recipe.version
    heads = load_heads(result.checkpoint, tuned.model.config)
    assert heads.classes == CLASSES
    np.testing.assert_allclose(heads.zero_shot.weight.detach().numpy(), vectors, rtol=1e-6)
    of_text = {name: value for name, value in tuned.model.state_dict().items() if name.startswith(("text", "temp"))}
    assert all(torch.equal(value, base.model.state_dict()[name]) for name, value in of_text.items())
    with pytest.raises(ValueError, match="3 classes need as many vectors"):
        fine_tune(recipe, GreyClips(), base, folder=tmp_path / "new", classes=CLASSES)


def test_hard_negatives_are_of_other_videos_and_mostly_the_likely_mistakes(base):
    model = TunedModel(ViCLIP(CONFIG, temperature=0.1), None, MatchHead(CONFIG, MatchSizes(8, 1, 2)))
    step = TuningStep(RETRIEVAL, model, torch.device("cpu"), base.preprocessing)
    numbers = torch.tensor([0, 0, 1, 2, 3, 4])
    vectors = torch.nn.functional.one_hot(numbers, 8).float()
    vectors[3] += 2 * vectors[2]  # video 2 looks like video 1
    drawn = []
    for number in range(200):
        sample = Sample(number, torch.empty(0), torch.empty(0), numbers, numbers, torch.empty(0))
        wrong_videos, wrong_texts = step._negatives(vectors, vectors, sample)
        assert (numbers[wrong_videos] != numbers).all()
        assert (numbers[wrong_texts] != numbers).all()
        drawn.append(wrong_videos[2].item())
    assert drawn.count(3) > 150
    assert set(drawn) > {3}
    same = Sample(0, torch.empty(0), torch.empty(0), torch.zeros(6), numbers, torch.empty(0))
    assert step._negatives(vectors, vectors, same) is None
