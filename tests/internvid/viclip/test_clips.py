"""Clips in memory, and the cache in front of another source of clips."""

import pickle

import numpy as np
import pytest

from internvid.viclip.clips import CachedClips, InMemoryClip, InMemoryClips


class Counting(InMemoryClips):
    """Counts the frames that are read."""

    frames_read = 0

    def frames(self, picks):
        self.frames_read += sum(len(positions) for _, positions in picks)
        return super().frames(picks)


@pytest.fixture
def clips() -> Counting:
    rng = np.random.default_rng(0)
    return Counting(
        [
            InMemoryClip(f"c{number}", f"v{number // 2}", str(number), rng.integers(0, 255, (4, 5, 6, 3), np.uint8))
            for number in range(6)
        ]
    )


def test_clips_of_one_video_have_one_number(clips):
    assert clips.video_numbers.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("limit_bytes", [0, 2 * 4 * 5 * 6 * 3, 1 << 30])
def test_cached_clips_give_the_same_frames(clips, limit_bytes):
    cached = CachedClips(clips, limit_bytes=limit_bytes)
    picks = [(5, [0, 0, 3]), (0, [1]), (5, [2]), (3, [3, 2])]
    for _ in range(3):
        cached_frames = cached.frames(picks)
        expected = InMemoryClips.frames(clips, picks)
        assert all(np.array_equal(left, right) for left, right in zip(cached_frames, expected, strict=True))


def test_a_clip_is_read_once_and_memory_stays_within_its_limit(clips):
    clip_bytes = clips.clips[0].frames.nbytes
    cached = CachedClips(clips, limit_bytes=2 * clip_bytes)
    for clip in (0, 1, 0, 1, 0, 1):
        cached.frames([(clip, [0, 1])])
    assert clips.frames_read == 8
    for _ in range(3):
        cached.frames([(2, [0])])
    assert clips.frames_read == 8 + 4 + 3, (
        "the third clip does not fit: it was read completely once, then only the requested frames"
    )
    assert len(pickle.dumps(cached)) < len(pickle.dumps(clips)) + 1000
