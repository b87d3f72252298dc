"""Which videos are copies of each other, or hold part of each other, by their fingerprints.

Two steps. Candidates: frames whose lowest frequencies agree in two of five blocks are looked up in sorted keys (as
Manku, Jain and Das Sarma 2007 find near-duplicate pages), so that the cost grows with the number of frames and not
with its square. Then each candidate pair is compared along time: a speed and an offset are fitted to the frames that
look alike, and counted is how many frames of the shorter video the other shows at the fitted moment.

What it does not find: a part of a single restless shot whose seconds fall between the seconds that were sampled, a
picture within a picture, and copies that were cropped by much more than a tenth, or on one side alone (by 7 %, of
eleven videos three were found).
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
    oriented,
    undone,
)

VERSION = "copies/1"  # of what decides whether two fingerprints are of copies

ALIKE_BITS = 52  # of 256; frames of different videos differ in 73 and more
ALIKE_BITS_IN_PLACE = 64  # of frames that are compared because the fit puts them at the same moment
# Of the shorter video's frames that can be compared, and of all: an opening in common makes no copy.
SHARE_ALIKE = 0.5
SHARE_OF_ALL = 0.25
FRAMES_ALIKE = 3  # with fewer, the frames have to be closer
CLOSE_BITS = 26

# An opening that thousands of videos share would pair each with each. Every video meets the first of them instead, so
# that real copies still hang together through those.
VIDEOS_PER_KEY = 100

_SECONDS_APART = 0.75  # frames are sampled once a second, so that each has one of the copy's within half a second
_SECONDS_NEAR = 0.3  # but in a restless shot only what is nearer has to be alike
_ANCHORS = 128  # frames of the shorter video that the fit is made from
_SLOWEST, _FASTEST = 0.66, 1.5
_ANCHORS_FOR_SPEED = 5  # fewer fit a line by chance
_SEEDS = np.linspace(0.1, 0.9, 9)  # quantiles of the speeds that two anchors each tell
_CLEARLY_CLOSER = 2  # bits of the mean: less is no reason for another speed or offset in a picture that stands still
_WAYS_FITTED = 2  # those in which most frames are alike
_CROPS = len(CROPS)
_BLOCK_PAIRS = list(combinations(range(len(BLOCK_BITS)), 2))
_KEY_BITS = 2 * max(BLOCK_BITS)
_DISTANCES_AT_ONCE = 1 << 20  # bounds memory where a video is very long
_HITS_AT_ONCE = 1 << 20  # bounds memory where many videos show the same


@dataclass(frozen=True)
class Way:
    """How one frame became the other: `orientation` done to the first, and CROPS[crop] of each compared."""

    orientation: str
    crop: int
    other_crop: int

    @property
    def back(self) -> Way:
        """How the other became the first."""
        return Way(undone(self.orientation), self.other_crop, self.crop)

    @property
    def in_words(self) -> dict[str, str | float]:
        """For people: orientation, and the share of the pictures of each that was compared."""
        return {"orientation": self.orientation, "share": CROPS[self.crop], "other_share": CROPS[self.other_crop]}


# Neither is cropped, or one of them is.
_CROPPED = [(0, 0), *((crop, 0) for crop in range(1, len(CROPS))), *((0, crop) for crop in range(1, len(CROPS)))]
# What is done to the frames of the videos that are looked up; those in the index are there with all their crops.
_PROBED = [("as it is", crop) for crop in range(len(CROPS))] + [(turned, 0) for turned in ORIENTATIONS[1:]]


@dataclass(frozen=True)
class Copy:
    """How two videos, one and other, show the same.

    similarity: share of the shorter one's frames that the longer has as well, of those that can be compared: of which
    the longer has a frame of about the same moment. What `one` shows at t seconds, `other`
    shows at t / speed + offset_seconds. mean_distance: of the frames alike, in bits of 256.
    """

    similarity: float
    offset_seconds: float
    speed: float
    frames_compared: int
    frames_alike: int
    mean_distance: float
    way: Way

    def seen_from_the_other(self) -> Copy:
        offset_seconds = -self.offset_seconds * self.speed
        return replace(self, offset_seconds=offset_seconds, speed=1 / self.speed, way=self.way.back)


class CopyIndex:
    """Fingerprints in memory, some 500 bytes a frame and 80 MB, to find copies of further ones among them."""

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
        self._tables = [_KeyTable(_keys(self._entries, pair), videos_of_entries) for pair in _BLOCK_PAIRS]

    def copies_of(self, videos: Sequence[tuple[str, Fingerprint]]) -> Iterator[tuple[str, str, Copy]]:
        """Of videos that show the same: (name of one, name of the other, how), the lower name first.

        A pair is told once, also where both are in the index and looked up one after the other. Memory grows with the
        frames of `videos`: give some tens of thousands of frames at a time.
        """
        for (number, stored), orientations in self._candidates([fingerprint for _, fingerprint in videos]).items():
            name, fingerprint = videos[number]
            pair = sorted([(name, fingerprint), (self.names[stored], self._fingerprints[stored])], key=itemgetter(0))
            (one, _), (other, _) = pair
            if one == other or (one, other) in self._compared:
                continue
            if name in self._known:
                self._compared.add((one, other))
            of_one = orientations if name == one else {undone(orientation) for orientation in orientations}
            copy = compare(pair[0][1], pair[1][1], of_one)
            if copy is not None:
                yield one, other, copy

    def _candidates(self, fingerprints: Sequence[Fingerprint]) -> dict[tuple[int, int], set[str]]:
        """Numbers (of a fingerprint, of one in the index) of which a frame is alike, and in which orientations."""
        video_of_frame, hashes = _joined(fingerprints)
        candidates: dict[tuple[int, int], set[str]] = {}
        for orientation, crop in _PROBED:
            probes = oriented(hashes[:, crop], orientation)
            for pair, table in zip(_BLOCK_PAIRS, self._tables, strict=True):
                for frames, entries in table.hits(_keys(probes, pair), video_of_frame):
                    alike = distances(probes[frames], self._entries[entries]) <= ALIKE_BITS
                    numbers, stored = video_of_frame[frames[alike]], self._video_of_frame[entries[alike] // _CROPS]
                    for number in np.unique(numbers << 32 | stored).tolist():
                        candidates.setdefault((number >> 32, number & 0xFFFFFFFF), set()).add(orientation)
        return candidates


class _KeyTable:
    """Keys of entries in order, of a video each key once; and a bit for each possible key, set where there is one."""

    def __init__(self, keys: np.ndarray, video_of_entry: np.ndarray) -> None:
        """keys: [entries] int64. video_of_entry: [entries], numbers."""
        _, first = np.unique(keys << 32 | video_of_entry, return_index=True)
        self._keys = keys[first].astype(np.uint32)
        self._entries = first.astype(np.int32)
        self._is_there = np.zeros(1 << (_KEY_BITS - 3), np.uint8)
        np.bitwise_or.at(self._is_there, self._keys >> 3, np.uint8(1) << (self._keys & 7).astype(np.uint8))

    def hits(self, keys: np.ndarray, video_of_frame: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Frames and the entries that have the same key, two arrays of equal length, a bounded number at a time.

        keys: [frames] int64. Of a video each key is looked up once, and VIDEOS_PER_KEY videos at most answer.
        """
        frames = np.flatnonzero(self._is_there[keys >> 3] >> (keys & 7).astype(np.uint8) & 1)
        _, first = np.unique(keys[frames] << 32 | video_of_frame[frames], return_index=True)
        frames = frames[first]
        wanted = keys[frames].astype(np.uint32)
        begin = np.searchsorted(self._keys, wanted, "left")
        count = np.minimum(np.searchsorted(self._keys, wanted, "right") - begin, VIDEOS_PER_KEY)
        step = max(1, _HITS_AT_ONCE // VIDEOS_PER_KEY)
        for at in range(0, len(frames), step):
            some = slice(at, at + step)
            ends = np.cumsum(count[some])
            within = np.arange(ends[-1]) - np.repeat(ends - count[some], count[some])
            yield np.repeat(frames[some], count[some]), self._entries[np.repeat(begin[some], count[some]) + within]


def _joined(fingerprints: Sequence[Fingerprint]) -> tuple[np.ndarray, np.ndarray]:
    """The number of the fingerprint that each frame is of, [frames] int64, and all hashes, [frames, CROPS, WORDS]."""
    numbers = np.repeat(np.arange(len(fingerprints)), [len(fingerprint) for fingerprint in fingerprints])
    empty = np.empty((0, _CROPS, WORDS), np.uint64)
    return numbers, np.concatenate([empty, *(fingerprint.hashes for fingerprint in fingerprints)])


def _keys(hashes: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
    """[frames, WORDS] to [frames] int64: two blocks of the first word side by side."""
    key = np.zeros(len(hashes), np.int64)
    for block in pair:
        bits = BLOCK_BITS[block]
        value = hashes[:, 0] >> np.uint64(sum(BLOCK_BITS[:block])) & np.uint64((1 << bits) - 1)
        key = key << bits | value.astype(np.int64)
    return key


def compare(one: Fingerprint, other: Fingerprint, orientations: Iterable[str] = ORIENTATIONS) -> Copy | None:
    """How `one` and `other` show the same, by whichever way explains most; None where they are no copies.

    orientations: of ORIENTATIONS, what may have been done to `one`.
    """
    if len(one) > len(other):
        found = compare(other, one, {undone(orientation) for orientation in orientations})
        return found and found.seen_from_the_other()
    if not len(one):
        return None
    ways = [Way(orientation, *crops) for orientation in sorted(orientations) for crops in _CROPPED]
    anchored = [(way, _anchors(one, other, way)) for way in ways]
    anchored.sort(key=lambda of: (-len(of[1]), of[1][:, 2].sum()))
    fits = [fit for way, anchors in anchored[:_WAYS_FITTED] if (fit := _fit(one, other, way, anchors)) is not None]
    best = max(fits, key=lambda fit: (fit.frames_alike, -fit.mean_distance), default=None)
    return best if best is not None and _is_copy(best, len(one)) else None


def _is_copy(fit: Copy, frames: int) -> bool:
    """frames: of the shorter video."""
    is_enough = fit.frames_alike >= FRAMES_ALIKE or fit.mean_distance <= CLOSE_BITS
    return is_enough and fit.similarity >= SHARE_ALIKE and fit.frames_alike >= SHARE_OF_ALL * frames


def _fit(one: Fingerprint, other: Fingerprint, way: Way, anchors: np.ndarray) -> Copy | None:
    """The speed and offset at which most frames of `one` are alike to what `other` shows at that moment.

    anchors: as `_anchors` gives them. None where not one frame is alike. len(one) <= len(other).
    """
    hashes, other_hashes = _seen(one, other, way)
    best: Copy | None = None
    for speed, offset in _hypotheses(anchors, one.seconds, other.seconds):
        expected = one.seconds / speed + offset
        nearest, apart = _in_place(expected, hashes, other.seconds, other_hashes)
        alike = nearest <= ALIKE_BITS_IN_PLACE
        if not (count := int(alike.sum())):
            continue
        mean = float(nearest[alike].mean())
        if best is None or (count, best.mean_distance) > (best.frames_alike, mean + _CLEARLY_CLOSER):
            compared = int((alike | (apart <= _SECONDS_NEAR)).sum())
            best = Copy(count / compared, float(offset), float(speed), compared, count, mean, way)
        if count == len(one) and mean <= _CLEARLY_CLOSER:
            break  # no other speed or offset can do clearly better
    return best


def _seen(one: Fingerprint, other: Fingerprint, way: Way) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of both, [frames, WORDS], that are equal where the way is the right one."""
    return oriented(one.hashes[:, way.crop], way.orientation), other.hashes[:, way.other_crop]


def _anchors(one: Fingerprint, other: Fingerprint, way: Way) -> np.ndarray:
    """Frames of the shorter with the one that is most alike: [anchors, 3] seconds, seconds of the other, bits."""
    hashes, other_hashes = _seen(one, other, way)
    some = np.unique(np.linspace(0, len(one) - 1, min(len(one), _ANCHORS)).round().astype(int))
    rows_at_once = max(1, _DISTANCES_AT_ONCE // len(other))
    found = [np.empty((0, 3))]
    for first in range(0, len(some), rows_at_once):
        rows = some[first : first + rows_at_once]
        bits = distances(hashes[rows, None], other_hashes[None])
        at = bits.argmin(axis=1)
        least = bits[np.arange(len(rows)), at]
        pairs = np.stack([one.seconds[rows], other.seconds[at], least], axis=1)
        found.append(pairs[least <= ALIKE_BITS])
    return np.concatenate(found)


def _hypotheses(anchors: np.ndarray, seconds: np.ndarray, other: np.ndarray) -> Iterator[tuple[float, float]]:
    """(speed, offset) worth a look, the simplest first: the two go together; those that anchors agree on."""
    yield 1.0, 0.0
    yield 1.0, float(other[-1] - seconds[-1])
    if not len(anchors):
        return
    at, at_other, bits = anchors.T
    half = len(anchors) // 2
    run, run_other = at[half:] - at[: len(at) - half], at_other[half:] - at_other[: len(at) - half]
    told = (run > 0) & (run_other > 0)
    slopes = run[told] / run_other[told]
    slopes = slopes[(slopes >= _SLOWEST) & (slopes <= _FASTEST)]
    seeds = np.unique(np.quantile(slopes, _SEEDS).round(3)) if len(slopes) else slopes
    for speed in [1.0, *(seed for seed in seeds if seed != 1.0)]:
        offsets = at_other - at / speed
        offset, agreeing = _densest(offsets)
        if speed == 1.0:
            yield speed, offset
        if agreeing.sum() >= _ANCHORS_FOR_SPEED:
            yield from _line(at[agreeing], at_other[agreeing], bits[agreeing])


def _densest(offsets: np.ndarray) -> tuple[float, np.ndarray]:
    """The offset that most lie around, and which: [anchors] bool."""
    rising = np.sort(offsets)
    counts = np.searchsorted(rising, rising + 2 * _SECONDS_APART, "right") - np.arange(len(rising))
    begin = rising[counts.argmax()]
    agreeing = (offsets >= begin) & (offsets <= begin + 2 * _SECONDS_APART)
    return float(np.median(offsets[agreeing])), agreeing


def _line(at: np.ndarray, at_other: np.ndarray, bits: np.ndarray) -> Iterator[tuple[float, float]]:
    """(speed, offset) by least squares, if the speed is certainly not 1. The anchors most alike count most, for they
    are of the same moment; the others may be half a second off.
    """
    (slope, offset), covariance = np.polyfit(at, at_other, 1, w=1 / (2 + bits), cov=True)
    is_certain = abs(slope - 1) > 3 * np.sqrt(covariance[0, 0])
    if is_certain and _SLOWEST <= 1 / max(slope, 1e-9) <= _FASTEST:
        yield 1 / slope, offset


def _in_place(
    expected: np.ndarray, hashes: np.ndarray, other_seconds: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of each frame, [frames]: bits to the most alike of the other's around the expected seconds, BITS where there is
    none; and the seconds between the expected moment and the nearest one.
    """
    begin = np.searchsorted(other_seconds, expected - _SECONDS_APART)
    end = np.searchsorted(other_seconds, expected + _SECONDS_APART, "right")
    nearest = np.full(len(expected), BITS, np.int32)
    apart = np.full(len(expected), np.inf)
    for step in range(int((end - begin).max(initial=0))):
        at = begin + step
        there = at < end
        nearest[there] = np.minimum(nearest[there], distances(hashes[there], other[at[there]]))
        apart[there] = np.minimum(apart[there], np.abs(other_seconds[at[there]] - expected[there]))
    return nearest, apart
