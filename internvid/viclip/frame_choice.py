"""Chooses the frames that represent a clip. Every function returns positions in order of time.

frame_count: number of frames that the clip has. frames: number of positions to return; a clip with fewer frames gives
all of them, then repeats the last one. All functions raise ValueError if either is less than one.

ViCLIP uses two rules. Its training and its evaluation cut a clip into equal segments and take one frame of each; its
demonstration takes every n-th frame. The chosen frames differ by half a segment, so the vectors differ too.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np


def middle_frames(frame_count: int, frames: int) -> list[int]:
    """Returns the middle frame of each of `frames` equal segments, as the paper's evaluation does."""
    return _padded([(first + last) // 2 for first, last in _segments(frame_count, frames)], frames)


def uniform_frames(frame_count: int, frames: int) -> list[int]:
    """Returns every (frame_count // frames)-th frame from the first on, as the published demonstration does."""
    _check(frame_count, frames)
    return _padded(list(range(frame_count))[:: max(frame_count // frames, 1)][:frames], frames)


def random_frames(frame_count: int, frames: int, rng: np.random.Generator) -> list[int]:
    """Returns a random frame of each of `frames` equal segments, as the paper's training does.

    Unlike in the published code, the last frame of a segment can be drawn too.
    """
    return _padded([int(rng.integers(first, last + 1)) for first, last in _segments(frame_count, frames)], frames)


# The deterministic choices, by name.
CHOICES: dict[str, Callable[[int, int], list[int]]] = {"middle": middle_frames, "uniform": uniform_frames}


def _segments(frame_count: int, frames: int) -> list[tuple[int, int]]:
    """Returns the first and the last frame of each segment; a clip with fewer frames has one segment per frame."""
    _check(frame_count, frames)
    segments = min(frame_count, frames)
    starts = [segment * frame_count // segments for segment in range(segments + 1)]
    return [(start, following - 1) for start, following in pairwise(starts)]


def _padded(positions: list[int], frames: int) -> list[int]:
    return positions + positions[-1:] * (frames - len(positions))


def _check(frame_count: int, frames: int) -> None:
    if frame_count < 1 or frames < 1:
        raise ValueError(f"cannot choose {frames} frames of a clip that has {frame_count}")


def chosen_by(name: str) -> Callable[[int, int], list[int]]:
    """Returns the choice of that name. Raises ValueError for an unknown name."""
    if name not in CHOICES:
        raise ValueError(f"frames are chosen as {' or '.join(CHOICES)}, not {name}")
    return CHOICES[name]
