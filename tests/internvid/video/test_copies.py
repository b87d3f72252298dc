"""Detecting copies by fingerprints of random hashes, so that frames are alike only where a test made them so."""

from __future__ import annotations

import numpy as np
import pytest

from internvid.video import copies
from internvid.video.copies import ALIKE_BITS_IN_PLACE, VIDEOS_PER_KEY, CopyIndex, compare
from internvid.video.fingerprint import (
    CROPS,
    ORIENTATIONS,
    WORDS,
    Fingerprint,
    distances,
    inverse_orientation,
    oriented,
)

RANDOM = np.random.default_rng(0)


def restless(frames: int, seed: int) -> Fingerprint:
    """A video in which every second shows something else."""
    hashes = np.random.default_rng(seed).integers(0, 2**63, (frames, len(CROPS), WORDS), np.uint64)
    return Fingerprint(np.arange(frames, dtype=np.float32), hashes)


def noisy(video: Fingerprint, bits: int, seed: int = 0) -> Fingerprint:
    """The same video with `bits` of the 256 bits of each hash changed."""
    random = np.random.default_rng(seed)
    hashes = video.hashes.copy()
    for frame, crop in np.ndindex(hashes.shape[:2]):
        for bit in random.choice(256, bits, replace=False):
            hashes[frame, crop, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    return Fingerprint(video.seconds, hashes)


def part(video: Fingerprint, first: int, end: int) -> Fingerprint:
    return Fingerprint(video.seconds[first:end] - video.seconds[first], video.hashes[first:end])


def test_noise_up_to_a_limit_makes_a_copy_and_beyond_it_none():
    video = restless(20, 1)
    copy = compare(video, noisy(video, 30))
    assert copy is not None
    assert (copy.similarity, copy.offset_seconds, copy.speed, copy.frames_alike, copy.mean_distance) == (
        1,
        0,
        1,
        20,
        30,
    )
    assert compare(video, noisy(video, ALIKE_BITS_IN_PLACE + 10)) is None
    assert compare(video, restless(20, 2)) is None


@pytest.mark.parametrize(("first", "end"), [(0, 10), (25, 60), (90, 120)])
def test_a_part_is_found_with_its_place(first, end):
    video = restless(120, 1)
    copy = compare(part(video, first, end), video)
    assert (copy.similarity, copy.offset_seconds, copy.speed) == (1, first, 1)
    back = compare(video, part(video, first, end))
    assert (back.similarity, back.offset_seconds, back.speed) == (1, -first, 1)


@pytest.mark.parametrize("speed", [0.8, 0.96, 1.02, 1.25])
def test_another_speed_is_measured(speed):
    video = restless(200, 1)
    faster = Fingerprint(video.seconds / np.float32(speed) + 3, video.hashes)
    copy = compare(video, noisy(faster, 10))
    assert copy.speed == pytest.approx(speed, abs=0.002)
    assert copy.offset_seconds == pytest.approx(3, abs=0.3)
    assert copy.frames_alike == 200
    assert compare(faster, video).speed == pytest.approx(1 / speed, abs=0.002)


def test_a_picture_that_stands_still_fits_everywhere_and_the_simplest_fit_is_reported():
    still = Fingerprint(np.arange(30, dtype=np.float32), np.repeat(restless(1, 1).hashes, 30, axis=0))
    copy = compare(noisy(still, 8, seed=1), noisy(still, 8, seed=2))
    assert (copy.similarity, copy.offset_seconds, copy.speed) == (1, 0, 1)


def test_an_opening_in_common_makes_no_copy():
    opening = restless(10, 9)
    episodes = [
        Fingerprint(np.arange(30, dtype=np.float32), np.concatenate([opening.hashes, restless(20, seed).hashes]))
        for seed in (1, 2)
    ]
    assert compare(*episodes) is None


def test_one_frame_in_common_is_a_copy_only_if_it_is_close():
    frame = restless(1, 1)
    assert compare(frame, noisy(frame, 20)) is not None
    assert compare(frame, noisy(frame, 40)) is None


def test_nothing_is_a_copy_of_a_video_without_frames():
    empty = restless(0, 1)
    assert compare(empty, restless(3, 1)) is None
    assert list(CopyIndex([("empty", empty)]).copies_of([("a", restless(3, 1)), ("also empty", empty)])) == []
    assert list(CopyIndex([]).copies_of([("a", restless(3, 1))])) == []


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_index_finds_turned_and_mirrored_copies(orientation):
    video = restless(10, 1)
    turned = Fingerprint(video.seconds, oriented(video.hashes, orientation))
    for videos in ([("a", video), ("b", turned)], [("b", turned), ("a", video)]):
        ((left, right, copy),) = CopyIndex(videos[:1]).copies_of(videos[1:])
        assert (left, right, copy.way.orientation) == ("a", "b", orientation)
    ((_, _, copy),) = CopyIndex([("a", turned)]).copies_of([("b", video)])
    assert copy.way.orientation == inverse_orientation(orientation)
    for left, right in ((video, part(turned, 2, 8)), (part(video, 2, 8), turned)):
        assert compare(left, right).way.orientation == orientation


@pytest.mark.parametrize("crop", range(1, len(CROPS)))
def test_the_index_finds_cropped_copies_whichever_is_the_larger(crop):
    video = restless(10, 1)
    unlike = restless(10, 2).hashes
    cropped = Fingerprint(video.seconds, np.concatenate([video.hashes[:, crop : crop + 1], unlike[:, 1:]], axis=1))
    ((_, _, copy),) = CopyIndex([("a", video)]).copies_of([("b", cropped)])
    assert (copy.way.left_crop, copy.way.right_crop) == (crop, 0)
    ((_, _, copy),) = CopyIndex([("b", cropped)]).copies_of([("a", video)])
    assert (copy.way.left_crop, copy.way.right_crop) == (crop, 0)


def test_the_index_finds_the_pairs_that_comparing_each_with_each_finds():
    originals = [(f"original {number}", restless(12, number)) for number in range(12)]
    copied = [(f"copy {number}", noisy(video, 16, number)) for number, (_, video) in enumerate(originals)]
    parts = [(f"part {number}", noisy(part(video, 3, 9), 8, number)) for number, (_, video) in enumerate(originals)]
    videos = originals + copied + parts
    expected = {
        (left_name, right_name): copy
        for left_name, left in videos
        for right_name, right in videos
        if left_name < right_name and (copy := compare(left, right)) is not None
    }
    assert len(expected) == 3 * 12
    index = CopyIndex(videos)
    pairs = [*index.copies_of(videos[:16]), *index.copies_of(videos[16:])]
    assert {(left, right): copy for left, right, copy in pairs} == expected
    assert len(pairs) == len(expected)
    # A single video against all gives the same pairs as all against all.
    alone = {(left, right): copy for left, right, copy in CopyIndex(videos[:1]).copies_of(videos)}
    assert alone == {names: copy for names, copy in expected.items() if videos[0][0] in names}


@pytest.mark.slow
def test_of_very_many_copies_each_is_still_joined_to_the_first():
    video = restless(3, 1)
    many = [(f"{number:04d}", video) for number in range(VIDEOS_PER_KEY + 20)]
    pairs = {(left, right) for left, right, _ in CopyIndex(many).copies_of(many)}
    assert {right for left, right in pairs if left == "0000"} == {name for name, _ in many[1:]}
    assert not any(left >= f"{VIDEOS_PER_KEY:04d}" for left, _ in pairs)


def test_a_frame_a_limit_apart_is_what_distances_counts():
    video = restless(1, 1)
    assert distances(video.hashes, noisy(video, 17).hashes).tolist() == [[17] * len(CROPS)]
    assert copies.VERSION
