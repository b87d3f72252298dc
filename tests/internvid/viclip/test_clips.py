"""Clips held in memory, and clips of another source that stay there."""

import pickle

import numpy as np
import pytest

from internvid.viclip.clips import HeldClip, HeldClips, RememberedClips


class Counting(HeldClips):
    """Counts the frames that are asked for."""

    asked = 0

    def frames(self, picks):
        self.asked += sum(len(chosen) for _, chosen in picks)
        return super().frames(picks)


@pytest.fixture
def clips() -> Counting:
    rng = np.random.default_rng(0)
    return Counting(
        [
            HeldClip(f"c{number}", f"v{number // 2}", str(number), rng.integers(0, 255, (4, 5, 6, 3), np.uint8))
            for number in range(6)
        ]
    )


def test_clips_of_one_video_have_one_number(clips):
    assert clips.video_numbers.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("limit_bytes", [0, 2 * 4 * 5 * 6 * 3, 1 << 30])
def test_remembered_clips_give_the_same_frames(clips, limit_bytes):
    remembered = RememberedClips(clips, limit_bytes=limit_bytes)
    picks = [(5, [0, 0, 3]), (0, [1]), (5, [2]), (3, [3, 2])]
    for _ in range(3):
        given = remembered.frames(picks)
        assert all(np.array_equal(mine, its) for mine, its in zip(given, HeldClips.frames(clips, picks), strict=True))


def test_a_clip_is_read_once_and_memory_stays_within_its_limit(clips):
    one = clips.held[0].frames.nbytes
    remembered = RememberedClips(clips, limit_bytes=2 * one)
    for clip in (0, 1, 0, 1, 0, 1):
        remembered.frames([(clip, [0, 1])])
    assert clips.asked == 8
    for _ in range(3):
        remembered.frames([(2, [0])])
    assert clips.asked == 8 + 4 + 3, "there is no room for a third: it was read whole once, and then as asked for"
    assert len(pickle.dumps(remembered)) < len(pickle.dumps(clips)) + 1000
