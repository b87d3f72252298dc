"""Which frames of a clip stand for it, by position. Every choice is in order of time, and as long as wanted.

Two rules are in use for ViCLIP: its training and its evaluation cut a clip into equal segments and take one frame of
each, its demonstration takes every n-th. They differ by half a segment, and so do the vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np


def middle_frames(count: int, wanted: int) -> list[int]:
    """The middles of `wanted` equal segments of `count` frames: how the paper evaluates.

    A clip of fewer frames gives all of them, then its last one again. Raises ValueError for no frames, or none wanted.
    """
    return _padded([(first + last) // 2 for first, last in _segments(count, wanted)], wanted)


def uniform_frames(count: int, wanted: int) -> list[int]:
    """Every (count // wanted)-th frame from the first on: how the published demonstration chooses.

    A clip of fewer frames gives all of them, then its last one again. Raises ValueError for no frames, or none wanted.
    """
    _check(count, wanted)
    return _padded(list(range(count))[:: max(count // wanted, 1)][:wanted], wanted)


def random_frames(count: int, wanted: int, rng: np.random.Generator) -> list[int]:
    """A random frame of each of `wanted` equal segments of `count` frames: how the paper trains.

    Unlike in the published code the last frame of a segment can be drawn too. A clip of fewer frames gives all of
    them, then its last one again. Raises ValueError for no frames, or none wanted.
    """
    return _padded([int(rng.integers(first, last + 1)) for first, last in _segments(count, wanted)], wanted)


# The choices without chance, by the name that callers give.
CHOICES: dict[str, Callable[[int, int], list[int]]] = {"middle": middle_frames, "uniform": uniform_frames}


def _segments(count: int, wanted: int) -> list[tuple[int, int]]:
    """First and last frame of each segment; as many segments as frames where frames are few."""
    _check(count, wanted)
    segments = min(count, wanted)
    starts = [segment * count // segments for segment in range(segments + 1)]
    return [(start, following - 1) for start, following in pairwise(starts)]


def _padded(chosen: list[int], wanted: int) -> list[int]:
    return chosen + chosen[-1:] * (wanted - len(chosen))


def _check(count: int, wanted: int) -> None:
    if count < 1 or wanted < 1:
        raise ValueError(f"{wanted} frames of a clip with {count} cannot be chosen")
