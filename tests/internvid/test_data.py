"""The data set of clips: every clip once an epoch on any number of ranks, and the same rest after any step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from internvid.data import ClipBatch, ClipBatches, ClipDataset, Epochs, loaded_by, part_ranges
from internvid.viclip.clips import InMemoryClip, InMemoryClips

CLIPS = 23


class WeighedClips(InMemoryClips):
    """Each clip as heavy as its position, but the first."""

    @property
    def weights(self) -> np.ndarray:
        return np.maximum(np.arange(len(self)), 0.5)


@pytest.fixture(scope="module")
def clips() -> WeighedClips:
    rng = np.random.default_rng(0)
    return WeighedClips(
        [
            InMemoryClip(
                f"c{number}", f"v{number // 2}", f"clip {number}", rng.integers(0, 256, (5, 12, 16, 3), np.uint8)
            )
            for number in range(CLIPS)
        ]
    )


def dataset(clips: WeighedClips, **settings) -> ClipDataset:
    order = {name: settings.pop(name) for name in ("seed", "epochs", "drop_last", "by_weight") if name in settings}
    return ClipDataset(
        Epochs(clips, batch_size=8, **order),
        ClipBatches(clips, frames=2, size=8, seed=order.get("seed", 0)),
        **{"rank": 0, "ranks": 1} | settings,
    )


def batches_of_all(clips: WeighedClips, ranks: int, **settings) -> list[tuple[int, list[str], torch.Tensor]]:
    """Returns step, clip ids and frames of each batch, put together from the parts of all ranks."""
    parts: list[Iterator[ClipBatch]] = [
        iter(dataset(clips, rank=rank, ranks=ranks, **settings)) for rank in range(ranks)
    ]
    joined = []
    for of_step in zip(*parts, strict=True):
        assert len({part.step for part in of_step}) == 1
        ids = [clip_id for part in of_step for clip_id in part.clip_ids]
        joined.append((of_step[0].step, ids, torch.cat([part.frames for part in of_step])))
    return joined


def same(left: list, right: list) -> bool:
    return [batch[:2] for batch in left] == [batch[:2] for batch in right] and all(
        torch.equal(*frames) for frames in zip([b[2] for b in left], [b[2] for b in right], strict=True)
    )


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_an_epoch_has_every_clip_exactly_once_on_any_number_of_ranks(clips, ranks):
    together = batches_of_all(clips, ranks)
    assert Counter(clip for _, ids, _ in together for clip in ids) == {f"c{n}": 1 for n in range(CLIPS)}
    assert [len(ids) for _, ids, _ in together] == [8, 8, 7]
    assert same(together, batches_of_all(clips, 1))


def test_from_any_step_on_another_number_of_ranks_the_rest_is_the_same(clips):
    whole = batches_of_all(clips, 2, epochs=3, seed=5)
    assert [step for step, _, _ in whole] == list(range(9))
    for first_step in range(10):
        rest = batches_of_all(clips, 1 + first_step % 4, epochs=3, seed=5, first_step=first_step)
        assert same(rest, whole[first_step:])


def test_order_depends_on_seed_and_epoch_alone(clips):
    first, second = (ids for _, ids, _ in batches_of_all(clips, 1, epochs=2)[::3])
    assert first != second
    assert batches_of_all(clips, 1, seed=1)[0][1] != first
    assert same(batches_of_all(clips, 1, epochs=2), batches_of_all(clips, 1, epochs=2))


def test_of_a_short_last_batch_some_ranks_have_an_empty_part_or_it_is_left_out(clips):
    few = WeighedClips(clips.clips[:9])
    sizes = [[len(batch.clip_ids) for batch in dataset(few, rank=rank, ranks=3)] for rank in range(3)]
    assert sizes == [[2, 0], [3, 0], [3, 1]]
    assert [len(batch.clip_ids) for batch in dataset(few, drop_last=True)] == [8]


def test_clips_are_drawn_by_weight_with_repetition(clips):
    order = Epochs(clips, batch_size=8, epochs=400, by_weight=True)
    drawn = Counter(np.concatenate([batch.clips for batch in order.batches()]).tolist())
    assert drawn.total() == 400 * CLIPS
    weights = clips.weights / clips.weights.sum()
    for number in (0, 1, 11, 22):
        assert drawn[number] / drawn.total() == pytest.approx(weights[number], rel=0.25, abs=0.001)


def test_a_batch_has_captions_weights_and_frames_of_its_clips(clips):
    batch = next(iter(dataset(clips)))
    numbers = [int(clip_id[1:]) for clip_id in batch.clip_ids]
    assert batch.captions == [f"clip {number}" for number in numbers]
    assert batch.weights.tolist() == [max(number, 0.5) for number in numbers]
    assert (batch.frames.shape, batch.frames.dtype) == ((8, 2, 3, 8, 8), torch.uint8)
    assert (batch.step, batch.epoch) == (0, 0)


def test_settings_that_make_no_sense_are_refused(clips):
    with pytest.raises(ValueError, match="rank 2 of 2 from step 0 on"):
        dataset(clips, rank=2, ranks=2)
    with pytest.raises(ValueError, match="23 clips make no batch of 0"):
        Epochs(clips, batch_size=0)
    with pytest.raises(ValueError, match="23 clips make no batch of 24"):
        Epochs(clips, batch_size=24, drop_last=True)


def test_parts_cover_a_ranks_rows_and_differ_by_one_row_at_most():
    for ranks in (1, 2, 3):
        for count in (1, 2, 5):
            parts = [part for rank in range(ranks) for part in part_ranges(11, rank, ranks, count)]
            assert [row for part in parts for row in part] == list(range(11))


@pytest.mark.slow
def test_workers_load_the_same_batches_in_the_same_order(clips):
    settings = {"rank": 1, "ranks": 2, "epochs": 2, "first_step": 1}
    here = list(dataset(clips, **settings))
    there = list(loaded_by(dataset(clips, **settings), workers=2))
    by_torch = list(DataLoader(dataset(clips, **settings), batch_size=None, num_workers=0))
    for other in (there, by_torch):
        assert [batch.clip_ids for batch in other] == [batch.clip_ids for batch in here]
        assert all(torch.equal(left.frames, right.frames) for left, right in zip(other, here, strict=True))
    assert there[0].frames.is_shared()
