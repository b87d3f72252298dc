"""The statistical test that distinguishes captions of their own clips from captions of other clips."""

import numpy as np
import pytest

from internvid.captions.matching import match


def vectors(clips: int, noise: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Clips and captions, [clips, 32] each, rows of length one. A clip's vector is its caption's with `noise` added."""
    random = np.random.default_rng(seed)
    captions = random.normal(size=(clips, 32))
    videos = captions + noise * random.normal(size=captions.shape)
    return normalised(videos), normalised(captions)


def normalised(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("clips", [8, 100])
def test_captions_of_their_own_clips_are_nearer_than_shuffled_ones(clips: int) -> None:
    result = match(*vectors(clips, noise=1.0))
    assert result is not None
    assert result.clips == clips
    assert result.p_value <= 0.002
    assert result.auc > 0.9
    assert result.own_cosine > 0.5 > 0.2 > abs(result.other_cosine)


@pytest.mark.parametrize("clips", [8, 100])
def test_captions_that_slipped_by_one_are_no_nearer(clips: int) -> None:
    videos, captions = vectors(clips, noise=1.0)
    result = match(videos, np.roll(captions, 1, axis=0))
    assert result is not None
    assert result.p_value > 0.05
    assert result.auc < 0.7


def test_captions_at_random_give_every_p_value_as_often_as_another() -> None:
    p_values = [
        match(*(np.roll(rows, place * seed, 0) for place, rows in enumerate(vectors(20, 1.0, seed))), seed=seed)
        for seed in range(1, 20)
    ]
    assert 0.2 < np.mean([result.p_value for result in p_values if result]) < 0.8


def test_captions_that_slipped_to_a_neighbour_of_the_same_video_show_only_within_videos() -> None:
    # Ten videos of five clips that look much alike: a caption of the neighbour is still far nearer than most.
    video_numbers = np.repeat(np.arange(10), 5)
    videos, captions = vectors(50, noise=0.3)
    like = np.random.default_rng(2).normal(size=(10, 32))[video_numbers]
    videos, captions = normalised(videos + 0.3 * like), normalised(captions + 0.3 * like)
    slipped = np.concatenate([np.roll(captions[video_numbers == video], 1, axis=0) for video in range(10)])
    right, wrong = match(videos, captions, video_numbers), match(videos, slipped, video_numbers)
    unseen = match(videos, slipped)
    assert right is not None
    assert wrong is not None
    assert unseen is not None
    assert right.p_value == 0.001
    assert wrong.p_value > 0.05
    assert unseen.p_value <= 0.05


def test_clips_alone_in_their_video_have_no_other_caption() -> None:
    videos, captions = vectors(5, noise=0.1)
    result = match(videos, captions, np.array([1, 7, 7, 3, 7]))
    assert result is not None
    assert result.clips == 3
    assert match(videos, captions, np.arange(5)) is None
    assert match(videos[:0], captions[:0]) is None
