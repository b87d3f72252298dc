"""Finds videos that are copies of each other, or that share a part, by their fingerprints.

Two steps. Candidates: frames whose lowest frequencies agree in two of five blocks are looked up in sorted keys (as
Manku, Jain and Das Sarma 2007 find near-duplicate pages), so that the cost grows with the number of frames and not
with its square. Then each candidate pair is compared along time: a speed and an offset are fitted to the frames that
look alike. The score counts the frames of the shorter video that the longer one shows at the fitted moment.

`CopyIndex` holds all keys of some videos in memory. `copy_keys` chooses those that are stored of millions.

It misses: a part of a single restless shot whose seconds fall between the sampled seconds, a picture within a
picture, and copies that were cropped by much more than a tenth or on one side alone (cropped by 7 % on one side,
3 of 11 videos were found).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from operator import itemgetter

import numpy as np

from internvid.video.fingerprint import (
    BITS,
    BLOCK_BITS,
    CROPS,
    ORIENTATIONS,
    WORDS,
    Fingerprint,
    distances,
    inverse_orientation,
    oriented,
)

VERSION = "copies/1"  # raise it when the decision whether two videos are copies changes

ALIKE_BITS = 52  # of 256; frames of different videos differ in 73 and more
ALIKE_BITS_IN_PLACE = 64  # of frames that are compared because the fit puts them at the same moment
# Minimum share of the shorter video's comparable frames, and of all its frames: a shared opening makes no copy.
SHARE_ALIKE = 0.5
SHARE_OF_ALL = 0.25
FRAMES_ALIKE = 3  # with fewer, the frames have to be closer
CLOSE_BITS = 26

# An opening that thousands of videos share would pair each with each. Every video is paired with the first of them
# instead, so that real copies are still connected through those.
VIDEOS_PER_KEY = 100

_SECONDS_APART = 0.75  # frames are sampled once a second: the copy has a frame within half a second of each
_SECONDS_NEAR = 0.3  # in a restless shot, only frames nearer than this have to be alike
_MAX_ANCHORS = 128  # frames of the shorter video that the fit is made from
_MIN_SPEED, _MAX_SPEED = 0.66, 1.5
_MIN_ANCHORS_FOR_SPEED = 5  # fewer fit a line by chance
_SEEDS = np.linspace(0.1, 0.9, 9)  # quantiles of the speeds between pairs of anchors
_CLEARLY_CLOSER = 2  # bits of the mean distance: a smaller gain does not justify another speed or offset
_WAYS_FITTED = 2  # the ways with the most frames alike
_CROPS = len(CROPS)
BLOCK_PAIRS = list(combinations(range(len(BLOCK_BITS)), 2))
KEY_BITS = 2 * max(BLOCK_BITS)
_DISTANCES_PER_BLOCK = 1 << 20  # bounds memory where a video is very long
_HITS_PER_BLOCK = 1 << 20  # bounds memory where many videos show the same


@dataclass(frozen=True)
class Way:
    """Describes how the right frame was made from the left one.

    `orientation`: turned or mirrored, of ORIENTATIONS. `left_crop`, `right_crop`: indices into CROPS of the compared
    part of each frame.
    """

    orientation: str
    left_crop: int
    right_crop: int

    @property
    def reversed(self) -> Way:
        """The way back: how the left frame was made from the right one."""
        return Way(inverse_orientation(self.orientation), self.right_crop, self.left_crop)

    @property
    def in_words(self) -> dict[str, str | float]:
        """The way for people to read: orientation, and the share of each video's picture that was compared."""
        return {"orientation": self.orientation, "share": CROPS[self.left_crop], "other_share": CROPS[self.right_crop]}


# Pairs of crops that are compared: neither frame is cropped, or one of them is.
_CROPPED = [(0, 0), *((crop, 0) for crop in range(1, len(CROPS))), *((0, crop) for crop in range(1, len(CROPS)))]
# Orientation and crop of the frames that are looked up; the frames in the index are there with all their crops.
PROBED = [("as it is", crop) for crop in range(len(CROPS))] + [(turned, 0) for turned in ORIENTATIONS[1:]]


@dataclass(frozen=True)
class Copy:
    """Describes how two videos, left and right, show the same.

    `similarity`: share of the shorter video's comparable frames that the longer video has as well. A frame is
    comparable if the longer video has a frame of about the same moment. What the left video shows at t seconds, the
    right one shows at t / `speed` + `offset_seconds`. `mean_distance`: mean over the frames alike, in bits of 256.
    """

    similarity: float
    offset_seconds: float
    speed: float
    frames_compared: int
    frames_alike: int
    mean_distance: float
    way: Way

    def reversed(self) -> Copy:
        """The same with left and right exchanged."""
        offset_seconds = -self.offset_seconds * self.speed
        return replace(self, offset_seconds=offset_seconds, speed=1 / self.speed, way=self.way.reversed)


class CopyIndex:
    """Fingerprints in memory, some 500 bytes a frame plus 80 MB, among which copies of other videos are looked up."""

    def __init__(self, videos: Iterable[tuple[str, Fingerprint]]) -> None:
        self.names: list[str] = []
        self._compared: set[tuple[str, str]] = set()
        self._fingerprints: list[Fingerprint] = []
        for name, fingerprint in videos:
            self.names.append(name)
            self._fingerprints.append(fingerprint)
        self._known = set(self.names)
        self._video_of_frame, hashes = _joined(self._fingerprints)
        self._entries = hashes.reshape(-1, WORDS)
        videos_of_entries = np.repeat(self._video_of_frame, _CROPS)
        self._tables = [_KeyTable(block_keys(self._entries, pair), videos_of_entries) for pair in BLOCK_PAIRS]

    def copies_of(self, videos: Sequence[tuple[str, Fingerprint]]) -> Iterator[tuple[str, str, Copy]]:
        """Yields (left name, right name, how) for each pair of videos that show the same; the lower name is left.

        A pair is yielded once, also where both are in the index and looked up one after the other. Memory grows with
        the frames of `videos`: give some tens of thousands of frames at a time.
        """
        for (number, stored), orientations in self._candidates([fingerprint for _, fingerprint in videos]).items():
            name, fingerprint = videos[number]
            pair = sorted([(name, fingerprint), (self.names[stored], self._fingerprints[stored])], key=itemgetter(0))
            (left_name, left), (right_name, right) = pair
            if left_name == right_name or (left_name, right_name) in self._compared:
                continue
            if name in self._known:
                self._compared.add((left_name, right_name))
            copy = compare(left, right, orientations if name == left_name else _inverse(orientations))
            if copy is not None:
                yield left_name, right_name, copy

    def _candidates(self, fingerprints: Sequence[Fingerprint]) -> dict[tuple[int, int], set[str]]:
        """Returns (number in `fingerprints`, number in the index) -> orientations in which a frame of both is alike."""
        video_of_frame, hashes = _joined(fingerprints)
        candidates: dict[tuple[int, int], set[str]] = {}
        for orientation, crop in PROBED:
            probes = oriented(hashes[:, crop], orientation)
            for pair, table in zip(BLOCK_PAIRS, self._tables, strict=True):
                for frames, entries in table.hits(block_keys(probes, pair), video_of_frame):
                    alike = distances(probes[frames], self._entries[entries]) <= ALIKE_BITS
                    numbers, stored = video_of_frame[frames[alike]], self._video_of_frame[entries[alike] // _CROPS]
                    for number in np.unique(numbers << 32 | stored).tolist():
                        candidates.setdefault((number >> 32, number & 0xFFFFFFFF), set()).add(orientation)
        return candidates


class _KeyTable:
    """The sorted keys of entries, each key of a video once, and one bit for each possible key: set where it is used."""

    def __init__(self, keys: np.ndarray, video_of_entry: np.ndarray) -> None:
        """Sorts the keys. keys: [entries] int64. video_of_entry: [entries] video numbers."""
        _, first = np.unique(keys << 32 | video_of_entry, return_index=True)
        self._keys = keys[first].astype(np.uint32)
        self._entries = first.astype(np.int32)
        self._is_used = np.zeros(1 << (KEY_BITS - 3), np.uint8)
        np.bitwise_or.at(self._is_used, self._keys >> 3, np.uint8(1) << (self._keys & 7).astype(np.uint8))

    def hits(self, keys: np.ndarray, video_of_frame: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields frames and the entries that have the same key: two arrays of equal, bounded length.

        keys: [frames] int64. Each key of a video is looked up once, and gives entries of VIDEOS_PER_KEY videos at most.
        """
        frames = np.flatnonzero(self._is_used[keys >> 3] >> (keys & 7).astype(np.uint8) & 1)
        _, first = np.unique(keys[frames] << 32 | video_of_frame[frames], return_index=True)
        frames = frames[first]
        wanted = keys[frames].astype(np.uint32)
        begin = np.searchsorted(self._keys, wanted, "left")
        count = np.minimum(np.searchsorted(self._keys, wanted, "right") - begin, VIDEOS_PER_KEY)
        step = max(1, _HITS_PER_BLOCK // VIDEOS_PER_KEY)
        for at in range(0, len(frames), step):
            block = slice(at, at + step)
            ends = np.cumsum(count[block])
            within = np.arange(ends[-1]) - np.repeat(ends - count[block], count[block])
            yield np.repeat(frames[block], count[block]), self._entries[np.repeat(begin[block], count[block]) + within]


def _joined(fingerprints: Sequence[Fingerprint]) -> tuple[np.ndarray, np.ndarray]:
    """The number of each frame's fingerprint, [frames] int64, and all hashes, [frames, CROPS, WORDS]."""
    numbers = np.repeat(np.arange(len(fingerprints)), [len(fingerprint) for fingerprint in fingerprints])
    empty = np.empty((0, _CROPS, WORDS), np.uint64)
    return numbers, np.concatenate([empty, *(fingerprint.hashes for fingerprint in fingerprints)])


def block_keys(hashes: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
    """Joins two blocks of each hash's first word to a key below 2 ** KEY_BITS: [frames, WORDS] to [frames] int64."""
    key = np.zeros(len(hashes), np.int64)
    for block in pair:
        bits = BLOCK_BITS[block]
        value = hashes[:, 0] >> np.uint64(sum(BLOCK_BITS[:block])) & np.uint64((1 << bits) - 1)
        key = key << bits | value.astype(np.int64)
    return key


def _inverse(orientations: Iterable[str]) -> set[str]:
    return {inverse_orientation(orientation) for orientation in orientations}


def compare(left: Fingerprint, right: Fingerprint, orientations: Iterable[str] = ORIENTATIONS) -> Copy | None:
    """Compares two videos by the way that makes most frames alike. Returns None where they are no copies.

    orientations: the ones of ORIENTATIONS in which `left` may appear in `right`.
    """
    if len(left) > len(right):
        copy = compare(right, left, _inverse(orientations))
        return copy and copy.reversed()
    if not len(left):
        return None
    ways = [Way(orientation, *crops) for orientation in sorted(orientations) for crops in _CROPPED]
    anchored = [(way, _anchors(left, right, way)) for way in ways]
    anchored.sort(key=lambda candidate: (-len(candidate[1]), candidate[1][:, 2].sum()))
    fits = [fit for way, anchors in anchored[:_WAYS_FITTED] if (fit := _fit(left, right, way, anchors)) is not None]
    best = max(fits, key=lambda fit: (fit.frames_alike, -fit.mean_distance), default=None)
    return best if best is not None and _is_copy(best, len(left)) else None


def _is_copy(fit: Copy, frames: int) -> bool:
    """Whether a fit is good enough. frames: number of frames of the shorter video."""
    is_enough = fit.frames_alike >= FRAMES_ALIKE or fit.mean_distance <= CLOSE_BITS
    return is_enough and fit.similarity >= SHARE_ALIKE and fit.frames_alike >= SHARE_OF_ALL * frames


def _fit(left: Fingerprint, right: Fingerprint, way: Way, anchors: np.ndarray) -> Copy | None:
    """Fits the speed and offset at which most frames of `left` are alike to what `right` shows at that moment.

    anchors: as `_anchors` returns them. None where not one frame is alike. len(left) <= len(right).
    """
    left_hashes, right_hashes = _compared_hashes(left, right, way)
    best: Copy | None = None
    for speed, offset in _hypotheses(anchors, left.seconds, right.seconds):
        expected = left.seconds / speed + offset
        nearest, apart = _in_place(expected, left_hashes, right.seconds, right_hashes)
        alike = nearest <= ALIKE_BITS_IN_PLACE
        if not (count := int(alike.sum())):
            continue
        mean = float(nearest[alike].mean())
        if best is None or (count, best.mean_distance) > (best.frames_alike, mean + _CLEARLY_CLOSER):
            compared = int((alike | (apart <= _SECONDS_NEAR)).sum())
            best = Copy(count / compared, float(offset), float(speed), compared, count, mean, way)
        if count == len(left) and mean <= _CLEARLY_CLOSER:
            break  # no other speed or offset can do clearly better
    return best


def _compared_hashes(left: Fingerprint, right: Fingerprint, way: Way) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of both, [frames, WORDS], which are equal where `way` is the true one."""
    return oriented(left.hashes[:, way.left_crop], way.orientation), right.hashes[:, way.right_crop]


def _anchors(left: Fingerprint, right: Fingerprint, way: Way) -> np.ndarray:
    """Pairs each of up to _MAX_ANCHORS frames of `left`, the shorter video, with the most alike frame of `right`.

    Returns [anchors, 3]: seconds in `left`, seconds in `right`, distance in bits.
    """
    left_hashes, right_hashes = _compared_hashes(left, right, way)
    sampled = np.unique(np.linspace(0, len(left) - 1, min(len(left), _MAX_ANCHORS)).round().astype(int))
    rows_per_block = max(1, _DISTANCES_PER_BLOCK // len(right))
    anchors = [np.empty((0, 3))]
    for first in range(0, len(sampled), rows_per_block):
        rows = sampled[first : first + rows_per_block]
        bits = distances(left_hashes[rows, None], right_hashes[None])
        at = bits.argmin(axis=1)
        min_bits = bits[np.arange(len(rows)), at]
        pairs = np.stack([left.seconds[rows], right.seconds[at], min_bits], axis=1)
        anchors.append(pairs[min_bits <= ALIKE_BITS])
    return np.concatenate(anchors)


def _hypotheses(
    anchors: np.ndarray, left_seconds: np.ndarray, right_seconds: np.ndarray
) -> Iterator[tuple[float, float]]:
    """Yields (speed, offset) to try, the simplest first.

    These are: both videos begin together, both end together, and the pairs that several anchors agree on.
    """
    yield 1.0, 0.0
    yield 1.0, float(right_seconds[-1] - left_seconds[-1])
    if not len(anchors):
        return
    at_left, at_right, bits = anchors.T
    half = len(anchors) // 2
    left_run = at_left[half:] - at_left[: len(at_left) - half]
    right_run = at_right[half:] - at_right[: len(at_left) - half]
    forward = (left_run > 0) & (right_run > 0)
    slopes = left_run[forward] / right_run[forward]
    slopes = slopes[(slopes >= _MIN_SPEED) & (slopes <= _MAX_SPEED)]
    seeds = np.unique(np.quantile(slopes, _SEEDS).round(3)) if len(slopes) else slopes
    for speed in [1.0, *(seed for seed in seeds if seed != 1.0)]:
        offsets = at_right - at_left / speed
        offset, agreeing = _densest(offsets)
        if speed == 1.0:
            yield speed, offset
        if agreeing.sum() >= _MIN_ANCHORS_FOR_SPEED:
            yield from _line(at_left[agreeing], at_right[agreeing], bits[agreeing])


def _densest(offsets: np.ndarray) -> tuple[float, np.ndarray]:
    """The offset that most anchors lie around, and whether each anchor does: [anchors] bool."""
    rising = np.sort(offsets)
    counts = np.searchsorted(rising, rising + 2 * _SECONDS_APART, "right") - np.arange(len(rising))
    begin = rising[counts.argmax()]
    agreeing = (offsets >= begin) & (offsets <= begin + 2 * _SECONDS_APART)
    return float(np.median(offsets[agreeing])), agreeing


def _line(at_left: np.ndarray, at_right: np.ndarray, bits: np.ndarray) -> Iterator[tuple[float, float]]:
    """Yields (speed, offset) by least squares, if the speed is certainly not 1.

    The most alike anchors count most: they are of the same moment, while less alike ones may be half a second off.
    """
    (slope, offset), covariance = np.polyfit(at_left, at_right, 1, w=1 / (2 + bits), cov=True)
    is_certain = abs(slope - 1) > 3 * np.sqrt(covariance[0, 0])
    if is_certain and _MIN_SPEED <= 1 / max(slope, 1e-9) <= _MAX_SPEED:
        yield 1 / slope, offset


def _in_place(
    expected: np.ndarray, left_hashes: np.ndarray, right_seconds: np.ndarray, right_hashes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compares each left frame with the right frames around `expected`, the seconds at which it should stand there.

    Returns two arrays [left frames]: the distance in bits to the most alike of those right frames, BITS where there is
    none; and the seconds between the expected moment and the nearest right frame, infinite where there is none.
    """
    begin = np.searchsorted(right_seconds, expected - _SECONDS_APART)
    end = np.searchsorted(right_seconds, expected + _SECONDS_APART, "right")
    nearest = np.full(len(expected), BITS, np.int32)
    apart = np.full(len(expected), np.inf)
    for step in range(int((end - begin).max(initial=0))):
        at = begin + step
        there = at < end
        nearest[there] = np.minimum(nearest[there], distances(left_hashes[there], right_hashes[at[there]]))
        apart[there] = np.minimum(apart[there], np.abs(right_seconds[at[there]] - expected[there]))
    return nearest, apart
