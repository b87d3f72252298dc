"""Chooses the keys by which copies of a video are looked up among millions: some hundreds of numbers of a video.

A key is two of the five blocks of a frame's lowest frequencies, as in `copies`. Two frames that differ in at most three
of these 64 bits have a key in common: three bits lie in three blocks at most, and two blocks are left.

Of a video with up to MIN_KEYS keys, all are kept. Of a longer one a share is kept, which the key alone decides: two
videos that share a key both keep it, or the one of more keys does not. So a copy is not missed for the frames that were
sampled, but by chance: of `shared` keys, none is kept with the probability (1 - SHARE_KEPT) ** shared at most. Real
copies shared 6 to 20 keys a frame. A part of 10 s in a video of hours, sharing 60, is missed once in 50 times; one of
30 s, sharing 180, once in 100,000.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from internvid.video.copies import BLOCK_PAIRS, KEY_BITS, PROBED, block_keys
from internvid.video.fingerprint import ORIENTATIONS, WORDS, Fingerprint, oriented

VERSION = "keys/2"  # raise it when the same fingerprints would give other keys, or other candidates

MIN_KEYS = 256
SHARE_KEPT = 1 / 16

# Of 64 bits beside those of the key. Frames of different videos differ in 32 of these, and in 24 or fewer in 3 % of the
# cases. Frames that are just alike, in 52 bits of the 256, differ in more than 24 of these once in 300 times.
FURTHER_BITS_APART = 24
# A pair with one key in common has to be closer. Among made copies of real frames, and parts of 10 s of long videos,
# none was lost by it, and of the pairs that met by chance one in thirty was left: each costs some milliseconds.
FURTHER_BITS_CLOSE = 18

Name = TypeVar("Name", int, str)

_MATCHES_PER_BLOCK = 1 << 20  # bounds memory where many videos show the same


@dataclass(frozen=True)
class CopyKeys:
    """Keys of a video, each once, rising.

    keys: [keys] int32. further_bits: [keys] int64, the 64 frequencies after the lowest ones, of a frame with that key.
    """

    keys: np.ndarray
    further_bits: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)


def stored_keys(fingerprint: Fingerprint) -> CopyKeys:
    """Returns the keys under which the video is found: of its frames as they are, whole and cropped."""
    return probed_keys(fingerprint)["as it is"]


def probed_keys(fingerprint: Fingerprint) -> dict[str, CopyKeys]:
    """Returns, by orientation, the keys by which the videos are found in which this one appears so."""
    by_orientation = {}
    for orientation in ORIENTATIONS:
        crops = [crop for probed, crop in PROBED if probed == orientation]
        by_orientation[orientation] = _all_keys(oriented(fingerprint.hashes[:, crops], orientation))
    share = max(SHARE_KEPT, MIN_KEYS / max(MIN_KEYS, len(by_orientation["as it is"])))
    return {orientation: _kept(keys, share) for orientation, keys in by_orientation.items()}


class Probes:
    """The keys by which copies of some videos are looked up, in memory: 17 bytes a key, some 20 kB a video."""

    def __init__(self, videos: Iterable[dict[str, CopyKeys]]) -> None:
        """Takes the keys of the videos, as `probed_keys` returns them, one by one; they are numbered in their order."""
        keys = [np.empty(0, np.int32)]
        further_bits = [np.empty(0, np.int64)]
        videos_of_keys = [np.empty(0, np.int32)]
        orientations = [np.empty(0, np.int8)]
        for number, by_orientation in enumerate(videos):
            for orientation, probed in by_orientation.items():
                keys.append(probed.keys)
                further_bits.append(probed.further_bits)
                videos_of_keys.append(np.full(len(probed), number, np.int32))
                orientations.append(np.full(len(probed), ORIENTATIONS.index(orientation), np.int8))
        joined = np.concatenate(keys)
        order = np.argsort(joined, kind="stable")
        self._keys = joined[order]
        self._further_bits = np.concatenate(further_bits)[order]
        self._videos = np.concatenate(videos_of_keys)[order]
        self._orientations = np.concatenate(orientations)[order]
        self.distinct_keys = self._keys[np.diff(self._keys, prepend=-1) > 0]

    def matches(
        self, keys: np.ndarray, further_bits: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Yields where stored keys are those of a frame that is probably alike: four arrays of equal, bounded length.

        keys, further_bits: [stored] as in CopyKeys, in any order. The arrays: position in `keys`, number of the video
        that looked it up, its orientation, an index into ORIENTATIONS, and the number of the further bits that differ.
        """
        begin = np.searchsorted(self._keys, keys, "left")
        count = np.searchsorted(self._keys, keys, "right") - begin
        ends = np.cumsum(count)
        total = int(ends[-1]) if len(ends) else 0
        for first in range(0, total, _MATCHES_PER_BLOCK):
            number = np.arange(first, min(total, first + _MATCHES_PER_BLOCK))
            stored = np.searchsorted(ends, number, "right")
            probes = begin[stored] + number - (ends[stored] - count[stored])
            apart = np.bitwise_count((further_bits[stored] ^ self._further_bits[probes]).view(np.uint64))
            is_near = apart <= FURTHER_BITS_APART
            probes = probes[is_near]
            yield stored[is_near], self._videos[probes], self._orientations[probes], apart[is_near]


class CandidatePairs(Generic[Name]):
    """Gathers the keys that two videos share, and says which pairs may be copies: those that share several keys, or
    one by a frame that is close.
    """

    def __init__(self) -> None:
        # Orientations as bits, and the one key in common; None once no further one is needed.
        self._shared: dict[tuple[Name, Name], tuple[int, int | None]] = {}

    def add(self, left: Name, right: Name, orientation: int, key: int, bits_apart: int) -> None:
        """Notes that the left video, in that orientation (of ORIENTATIONS), shares the key with the right one."""
        orientations, known = self._shared.get((left, right), (0, key))
        is_enough = known is None or known != key or bits_apart <= FURTHER_BITS_CLOSE
        self._shared[left, right] = orientations | 1 << orientation, None if is_enough else key

    def pairs(self) -> dict[tuple[Name, Name], set[str]]:
        """Returns (left, right) -> orientations in which the left video may appear in the right one."""
        return {
            pair: {name for number, name in enumerate(ORIENTATIONS) if orientations >> number & 1}
            for pair, (orientations, single_key) in self._shared.items()
            if single_key is None
        }


def _all_keys(hashes: np.ndarray) -> CopyKeys:
    """Returns all keys of the hashes, [..., WORDS]."""
    flat = hashes.reshape(-1, WORDS)
    numbered = [(pair << KEY_BITS) | block_keys(flat, blocks) for pair, blocks in enumerate(BLOCK_PAIRS)]
    keys, first = np.unique(np.concatenate(numbered), return_index=True)
    return CopyKeys(keys.astype(np.int32), flat[first % max(1, len(flat)), 1].astype("<u8").view(np.int64))


def _kept(keys: CopyKeys, share: float) -> CopyKeys:
    is_kept = _place(keys.keys) < share
    return CopyKeys(keys.keys[is_kept], keys.further_bits[is_kept])


def _place(keys: np.ndarray) -> np.ndarray:
    """Returns where each key stands in an order that has nothing to do with pictures: [keys] from 0 to below 1."""
    mixed = keys.astype(np.uint32)  # as MurmurHash3 finishes
    mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return (mixed ^ (mixed >> np.uint32(16))) / 2**32
