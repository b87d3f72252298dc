"""The test that tells captions of their own clips from captions of others."""

import numpy as np
import pytest

from internvid.captions.matching import match


def vectors(clips: int, noise: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Captions, and clips whose vectors are theirs with so much noise: both [clips, 32], of length one."""
    random = np.random.default_rng(seed)
    captions = random.normal(size=(clips, 32))
    videos = captions + noise * random.normal(size=captions.shape)
    return _of_length_one(videos), _of_length_one(captions)


def _of_length_one(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("clips", [8, 100])
def test_captions_of_their_own_clips_are_nearer_than_shuffled_ones(clips: int) -> None:
    found = match(*vectors(clips, noise=1.0))
    assert found is not None
    assert found.clips == clips
    assert found.p_value <= 0.002
    assert found.auc > 0.9
    assert found.matched > 0.5 > 0.2 > abs(found.others)


@pytest.mark.parametrize("clips", [8, 100])
def test_captions_that_slipped_by_one_are_no_nearer(clips: int) -> None:
    videos, captions = vectors(clips, noise=1.0)
    found = match(videos, np.roll(captions, 1, axis=0))
    assert found is not None
    assert found.p_value > 0.05
    assert found.auc < 0.7


def test_captions_by_lot_give_every_p_value_as_often_as_another() -> None:
    p_values = [
        match(*(np.roll(rows, by * seed, 0) for by, rows in enumerate(vectors(20, 1.0, seed))), seed=seed)
        for seed in range(1, 20)
    ]
    assert 0.2 < np.mean([found.p_value for found in p_values if found]) < 0.8


def test_captions_that_slipped_to_a_neighbour_of_the_same_video_show_only_within_videos() -> None:
    # Ten videos of five clips that look much alike: a caption of the neighbour is still far nearer than most.
    of_video = np.repeat(np.arange(10), 5)
    videos, captions = vectors(50, noise=0.3)
    like = np.random.default_rng(2).normal(size=(10, 32))[of_video]
    videos, captions = _of_length_one(videos + 0.3 * like), _of_length_one(captions + 0.3 * like)
    slipped = np.concatenate([np.roll(captions[of_video == video], 1, axis=0) for video in range(10)])
    right, wrong = match(videos, captions, of_video), match(videos, slipped, of_video)
    unseen = match(videos, slipped)
    assert right is not None
    assert wrong is not None
    assert unseen is not None
    assert right.p_value == 0.001
    assert wrong.p_value > 0.05
    assert unseen.p_value <= 0.05


def test_clips_alone_in_their_video_have_no_other_caption() -> None:
    videos, captions = vectors(5, noise=0.1)
    found = match(videos, captions, np.array([1, 7, 7, 3, 7]))
    assert found is not None
    assert found.clips == 3
    assert match(videos, captions, np.arange(5)) is None
    assert match(videos[:0], captions[:0]) is None
