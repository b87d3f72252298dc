"""The detectors that ask the network, on small pictures: graphics, soft cuts, and the frames of a transition."""

import numpy as np
import pytest
from test_cuts import boundaries, kinds, place

from internvid.video.cuts import make_detector
from internvid.video.network_cuts import is_graphic, kept_structure
from internvid.video.pictures import SmallPicture


def with_graphic(picture: np.ndarray) -> np.ndarray:
    covered = picture.copy()
    covered[20:32, 8:48] = 225
    covered[24:28, 12:44:3] = 20
    return covered


@pytest.mark.parametrize("frames", [6, 12, 24])
def test_a_dissolve_has_its_first_and_last_frame(frames):
    shares = [(i + 1) / (frames + 1) for i in range(frames)]
    lumas = [place(1)] * 40 + [place(1) * (1 - share) + place(2) * share for share in shares] + [place(2)] * 50
    (boundary,) = boundaries(lumas, detector="combined")
    assert boundary.kind == "dissolve"
    first, end = boundary.transition
    assert abs(first - 40) <= 2
    assert abs(end - (40 + frames)) <= 2


def test_a_graphic_that_pops_up_and_vanishes_is_no_cut():
    lumas = [place(1)] * 30 + [with_graphic(place(1))] * 20 + [place(1)] * 30
    assert kinds(boundaries(lumas)) == [(30, "cut"), (50, "cut")]  # what our own detector makes of it
    assert boundaries(lumas, detector="combined") == []


def test_a_cut_under_a_graphic_that_stays_is_found():
    lumas = [with_graphic(place(1))] * 30 + [with_graphic(place(2))] * 30
    assert kinds(boundaries(lumas, detector="combined")) == [(30, "cut")]


def test_shots_of_two_frames_are_found_in_which_the_network_finds_few():
    lumas = [place(0)] * 20 + [place(1 + i // 2) for i in range(16)] + [place(20)] * 20
    assert kinds(boundaries(lumas, detector="combined")) == [(20 + 2 * i, "cut") for i in range(9)]
    assert len(boundaries(lumas, detector="transnetv2")) < 9


@pytest.mark.parametrize("frames", [1, 3])
def test_a_flash_is_no_cut_for_the_combined_detector(frames):
    bright = [(place(1) * 3.0 + 90 - 15 * i).clip(0, 255) for i in range(frames)]
    assert boundaries([place(1)] * 30 + bright + [place(1)] * 30, detector="combined") == []


def test_what_a_detector_keeps_does_not_grow_with_the_video():
    detector = make_detector("combined", None, 25.0)
    kept = []
    for i in range(1200):
        luma = place(i // 40).astype(np.uint8)
        detector.push(i, i / 25, SmallPicture(luma, np.full((18, 32, 2), 128, np.uint8), float(luma.mean())), None)
        kept.append(len(detector._recent._pictures) + len(detector._doubts) + len(detector._dissolves))
    assert max(kept[600:]) <= max(kept[:600])


def test_structure_that_stays_and_solid_changes_are_measured():
    before = place(1).astype(np.uint8)
    after = with_graphic(place(1)).astype(np.uint8)
    assert kept_structure(before, before) == 1.0
    assert kept_structure(before, place(2).astype(np.uint8)) < 0.1
    assert 0.4 < kept_structure(before, after) < 0.9
    assert is_graphic(before, before, after, after)
    assert not is_graphic(before, before, place(2).astype(np.uint8), place(2).astype(np.uint8))
