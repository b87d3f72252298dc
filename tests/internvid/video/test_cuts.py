"""Cut detection in rendered hard cases and real videos, and PySceneDetect's detectors on our pictures."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from real_videos import REAL_VIDEOS, needs_real_videos

from internvid.synthetic.render import HARD_VIDEOS, read_truth, render
from internvid.video.cuts import Boundary, make_detector
from internvid.video.pictures import SmallPicture
from internvid.video.scan import ScanSettings, scan
from internvid.video.settings import DETECTORS, default_threshold

OURS = "structure+colour"


def cuts_of(path: Path, **settings) -> list[tuple[int, int]]:
    """The frame after each shot and the first of the next: the same one, but where the shots are mixed in between."""
    clips = scan(str(path), ScanSettings(**settings), lambda frame: None)
    return [(before.end_frame, after.start_frame) for before, after in pairwise(clips)]


def check(detected: list[tuple[int, int]], true: list[int], either_way: list[list[int]]) -> None:
    """Every true cut is detected within a frame, and nothing else outside of the ranges that count neither way."""
    counting = [
        (first + last) // 2
        for first, last in detected
        if not any(first <= end and start <= last for start, end in either_way)
    ]
    assert len(counting) == len(true), (counting, true)
    assert all(abs(a - b) <= 1 for a, b in zip(sorted(counting), true, strict=True)), (counting, true)


HARD = ("jump_cuts", "slide_changes", "camera_flashes", "strobe_light", "passing_bus", "five_fps", "like_colours")


@pytest.mark.parametrize("name", HARD)
def test_hard_cuts_are_found_and_nothing_else(tmp_path, name):
    (plan,) = (plan for plan in HARD_VIDEOS if plan.name == name)
    path = render(plan, tmp_path)
    truth = read_truth(path)
    check(cuts_of(path), truth.cuts, truth.either_way)


TRUE = json.loads((REAL_VIDEOS / "cuts.json").read_text()) if REAL_VIDEOS.is_dir() else {}
WITHOUT = ("chaplin_bw.mp4", "carphone_qcif.mp4", "tractor_vp9.webm", "pexels_skateboard.mp4", "shuttle_vp8.webm")


@needs_real_videos
@pytest.mark.parametrize("name", [*TRUE, *WITHOUT])
def test_cuts_of_real_videos_are_found_and_nothing_else(name):
    true = TRUE.get(name, {"cuts": [], "either_way": []})
    check(cuts_of(REAL_VIDEOS / "open" / name), true["cuts"], true["either_way"])


@needs_real_videos
def test_content_is_as_pyscenedetect_finds_it_by_itself():
    from scenedetect import ContentDetector, detect

    path = REAL_VIDEOS / "open" / "bikes_city_cuts.mp4"
    theirs = detect(str(path), ContentDetector(27.0, 0.6))
    starts = [start.frame_num for start, _ in theirs[1:]]
    assert cuts_of(path, detector="content") == [(start, start) for start in starts]


# --- on small pictures alone -------------------------------------------------------------------------------------


def place(seed: int) -> np.ndarray:
    """[36, 64] luma of a place."""
    random = np.random.default_rng(seed)
    coarse = np.kron(random.uniform(20, 160, (6, 8)), np.ones((6, 8)))
    return (coarse + random.uniform(0, 70, (36, 64))).clip(0, 255)


def boundaries(lumas: list[np.ndarray], *, fps: float = 25.0, detector: str = OURS) -> list[Boundary]:
    """The boundaries that a detector reports for these lumas with camera noise; checks that they come in time."""
    random = np.random.default_rng(0)
    cut_detector = make_detector(detector, None, fps)
    reported: list[Boundary] = []
    was_doubtful: set[int] = set()
    for i, luma in enumerate(lumas):
        noisy = (luma + random.normal(0, 1.5, luma.shape)).clip(0, 255).astype(np.uint8)
        picture = SmallPicture(noisy, np.full((18, 32, 2), 128, np.uint8), float(noisy.mean()))
        colour = np.repeat(noisy[..., None], 3, axis=2).repeat(4, 0).repeat(4, 1) if cut_detector.wants_colour else None
        for boundary in cut_detector.push(i, i / fps, picture, colour):
            assert i - cut_detector.look_ahead < boundary.start <= i
            if boundary.kind == "cut" and boundary.frame_index not in was_doubtful:
                assert i - cut_detector.cut_look_ahead < boundary.frame_index
            reported.append(boundary)
        was_doubtful |= set(cut_detector.doubtful)
    return reported + cut_detector.finish()


def kinds(reported: list[Boundary]) -> list[tuple[int, str]]:
    return sorted((boundary.frame_index, boundary.kind) for boundary in reported)


def test_a_cut_is_found_and_scored():
    (boundary,) = boundaries([place(1)] * 30 + [place(2)] * 30)
    assert (boundary.frame_index, boundary.kind) == (30, "cut")
    assert boundary.score > default_threshold(OURS)


def test_cuts_near_the_first_and_last_frame_are_found():
    assert kinds(boundaries([place(1)] * 2 + [place(2)] * 30 + [place(3)])) == [(2, "cut"), (32, "cut")]


def test_shots_of_two_frames_are_found():
    lumas = [place(0)] * 20 + [place(1 + i // 2) for i in range(16)] + [place(20)] * 20
    assert kinds(boundaries(lumas)) == [(20 + 2 * i, "cut") for i in range(9)]


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
@pytest.mark.parametrize(("gain", "lift"), [(1.5, 100), (3.0, 90), (4.0, 20)], ids=["mild", "strong", "burnt out"])
def test_a_flash_is_no_cut(frames, gain, lift):
    bright = [(place(1) * gain + lift - 15 * i).clip(0, 255) for i in range(frames)]
    assert boundaries([place(1)] * 30 + bright + [place(1)] * 30) == []


def test_a_flash_does_not_hide_the_cut_under_it():
    bright = [(place(2) + 90).clip(0, 255)] * 2
    assert kinds(boundaries([place(1)] * 30 + bright + [place(2)] * 30)) == [(30, "cut")]


def test_a_lamp_switched_on_is_no_cut():
    assert boundaries([place(1) * 0.5] * 30 + [place(1)] * 30) == []


def test_a_strobe_is_no_cut():
    assert boundaries([place(1) * (1.0 if i // 2 % 2 else 0.35) for i in range(80)]) == []


def test_a_whip_pan_is_no_cut():
    wide = np.concatenate([place(seed) for seed in range(8)], axis=1)
    speed = [*range(0, 14, 2), 14, 14, *range(14, 0, -2)]
    at = np.cumsum([0] * 20 + speed + [0] * 20)
    assert boundaries([wide[:, x : x + 64] for x in at]) == []


def test_movement_in_repeated_frames_is_no_cut():
    wide = np.concatenate([place(1), place(2), place(3)], axis=1)
    assert boundaries([wide[:, 4 * (i // 3) : 4 * (i // 3) + 64] for i in range(90)]) == []


@pytest.mark.parametrize("frames", [14, 25, 40])
def test_a_dissolve_is_one_boundary_at_its_middle(frames):
    blend = [place(1) * (1 - share) + place(2) * share for share in np.linspace(0, 1, frames)]
    (boundary,) = boundaries([place(1)] * 40 + blend + [place(2)] * 60)
    assert boundary.kind == "dissolve"
    assert abs(boundary.frame_index - (40 + frames / 2)) <= 4


def test_a_fade_through_black_begins_the_new_shot_after_the_black():
    down, up = np.linspace(1, 0, 15), np.linspace(0.05, 1, 15)
    lumas = [place(1)] * 30 + [place(1) * s for s in down] + [place(1) * 0] * 10 + [place(2) * s for s in up]
    (boundary,) = boundaries(lumas + [place(2)] * 30)
    assert boundary.kind == "fade"
    assert 50 <= boundary.frame_index <= 62


def test_black_within_one_place_is_no_boundary():
    down, up = np.linspace(1, 0, 15), np.linspace(0.05, 1, 15)
    lumas = [place(1)] * 30 + [place(1) * s for s in down] + [place(1) * 0] * 10 + [place(1) * s for s in up]
    assert boundaries(lumas + [place(1)] * 30) == []


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_detector_keeps_its_own_threshold_and_promises(detector):
    reported = boundaries([place(1) * 0.4] * 40 + [255 - place(1) * 0.4] * 60, detector=detector)
    if detector != "threshold":  # which looks for fades only
        assert 40 in [boundary.frame_index for boundary in reported]
    assert default_threshold("content") == 27.0


def test_an_unknown_detector_is_refused_by_name():
    with pytest.raises(ValueError, match=r"no cut detector is named 'contents'; there are combined, structure\+colour"):
        make_detector("contents", None, 25.0)
