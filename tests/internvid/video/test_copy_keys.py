"""The keys that are stored of a video: which copies they find, against comparing each video with each."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from internvid.video.copies import ALIKE_BITS, BLOCK_PAIRS, compare
from internvid.video.copy_keys import MIN_KEYS, SHARE_KEPT, CandidatePairs, Probes, probed_keys, stored_keys
from internvid.video.fingerprint import BLOCK_BITS, CROPS, ORIENTATIONS, WORDS, Fingerprint, oriented

LOWEST = sum(BLOCK_BITS)  # frequencies that the keys are made of
EXACT = MIN_KEYS // len(BLOCK_PAIRS) // len(CROPS)  # frames of which all keys are kept, however different


def restless(frames: int, seed: int) -> Fingerprint:
    """A video in which every second shows something else."""
    hashes = np.random.default_rng(seed).integers(0, 2**63, (frames, len(CROPS), WORDS), np.uint64)
    return Fingerprint(np.arange(frames, dtype=np.float32), hashes)


def noisy(video: Fingerprint, lowest: int, others: int, seed: int) -> Fingerprint:
    """The same with so many bits of the lowest frequencies of each hash changed, and so many of the others."""
    random = np.random.default_rng(seed)
    bits = np.unpackbits(video.hashes.view(np.uint8), axis=-1, bitorder="little").reshape(-1, 256)
    for hash_bits in bits:
        hash_bits[random.choice(LOWEST, lowest, replace=False)] ^= 1
        hash_bits[random.choice(np.arange(LOWEST, 255), others, replace=False)] ^= 1
    hashes = np.packbits(bits, axis=-1, bitorder="little").view(np.uint64).reshape(video.hashes.shape)
    return Fingerprint(video.seconds, hashes)


def part(video: Fingerprint, first: int, end: int) -> Fingerprint:
    return Fingerprint(video.seconds[first:end] - video.seconds[first], video.hashes[first:end])


def candidates(videos: list[Fingerprint]) -> dict[tuple[int, int], set[str]]:
    """(number of the video that looks up, number of the one that it finds) -> orientations."""
    probes = Probes(probed_keys(video) for video in videos)
    pairs = CandidatePairs[int]()
    for stored, video in enumerate(videos):
        keys = stored_keys(video)
        for positions, *matches in probes.matches(keys.keys, keys.further_bits):
            of_probes = (keys.keys[positions], *matches)
            for key, number, orientation, apart in zip(*(array.tolist() for array in of_probes), strict=True):
                if number != stored:
                    pairs.add(number, stored, orientation, key, apart)
    return pairs.pairs()


def test_any_three_of_the_lowest_bits_leave_a_key_in_common():
    of_block = np.repeat(np.arange(len(BLOCK_BITS)), BLOCK_BITS)
    for bits in combinations(range(LOWEST), 3):
        touched = {of_block[bit] for bit in bits}
        assert any(touched.isdisjoint(pair) for pair in BLOCK_PAIRS)


def test_what_all_keys_are_kept_of_is_found_in_both_directions_at_the_limit_that_the_comparison_allows():
    originals = [restless(EXACT, seed) for seed in range(16)]
    copies = [noisy(video, 3, ALIKE_BITS - 3, seed) for seed, video in enumerate(originals)]
    videos = originals + copies
    expected = {
        pair
        for left, right in combinations(range(len(videos)), 2)
        if compare(videos[left], videos[right], ["as it is"]) is not None
        for pair in ((left, right), (right, left))
    }
    assert len(expected) == 2 * len(originals)
    assert set(candidates(videos)) == expected


@pytest.mark.parametrize("frames", [40, 400])
def test_of_a_longer_video_a_share_of_the_keys_is_enough_for_each_copy_and_part(frames):
    originals = [restless(frames, seed) for seed in range(12)]
    copies = [noisy(video, 3, 30, seed) for seed, video in enumerate(originals)]
    parts = [part(video, 5, 35) for video in copies]
    videos = originals + copies + parts
    same = {(left, right) for left in range(36) for right in range(36) if left != right and left % 12 == right % 12}
    assert set(candidates(videos)) == same


def test_a_long_video_keeps_a_share_of_its_keys_and_a_short_one_all():
    every_key = len(BLOCK_PAIRS) * len(CROPS)
    assert len(stored_keys(restless(EXACT, 1))) == EXACT * every_key
    assert len(stored_keys(restless(60, 1))) == pytest.approx(MIN_KEYS, rel=0.2)
    assert len(stored_keys(restless(2000, 1))) == pytest.approx(2000 * every_key * SHARE_KEPT, rel=0.1)
    assert len(stored_keys(restless(0, 1))) == 0


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turned_and_mirrored_copies_are_found_with_their_orientation(orientation):
    video = restless(50, 1)
    turned = Fingerprint(video.seconds, oriented(video.hashes, orientation))
    found = candidates([video, turned])
    assert found[0, 1] == {orientation}


@pytest.mark.parametrize("crop", range(1, len(CROPS)))
def test_a_cropped_copy_is_found_whichever_of_the_two_is_new(crop):
    video, unlike = restless(50, 1), restless(50, 2).hashes
    cropped = Fingerprint(video.seconds, np.concatenate([video.hashes[:, crop : crop + 1], unlike[:, 1:]], axis=1))
    assert set(candidates([video, cropped])) == {(0, 1), (1, 0)}


def test_one_key_makes_a_candidate_only_of_close_frames_and_two_keys_of_any():
    pairs = CandidatePairs[str]()
    for _ in range(2):
        pairs.add("far", "once", 0, key=7, bits_apart=19)
    pairs.add("close", "once", 1, key=7, bits_apart=18)
    for key in (7, 8, 7):
        pairs.add("far", "twice", 0, key=key, bits_apart=24)
    pairs.add("far", "twice", 2, key=9, bits_apart=24)
    assert pairs.pairs() == {
        ("close", "once"): {ORIENTATIONS[1]},
        ("far", "twice"): {ORIENTATIONS[0], ORIENTATIONS[2]},
    }
