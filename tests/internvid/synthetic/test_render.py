"""Rendered videos, decoded and measured: cuts, motion, colours and format are as the ground truth states."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from internvid.synthetic.figures import PAINTS
from internvid.synthetic.plans import Backdrop, Figure, Shot, VideoPlan
from internvid.synthetic.render import HARD_VIDEOS, SAMPLE_VIDEOS, Truth, read_truth, render, render_all

PLANS_BY_NAME = {plan.name: plan for plan in (*SAMPLE_VIDEOS, *HARD_VIDEOS)}
SAMPLE_NAMES = [plan.name for plan in SAMPLE_VIDEOS]
HARD_NAMES = [plan.name for plan in HARD_VIDEOS]
MOVING = [
    (plan.name, number, figure)
    for plan in SAMPLE_VIDEOS
    for number, shot in enumerate(plan.shots)
    for figure in shot.figures
    if figure.direction
]


def small(plan: VideoPlan) -> VideoPlan:
    """The same plan at a quarter of the width and height: quick to render, with the same timing."""
    return replace(plan, width=plan.width // 4, height=plan.height // 4)


@pytest.fixture(scope="module")
def synthetic_video(tmp_path_factory):
    """Renders the small video of a name, once for the module."""
    folder = tmp_path_factory.mktemp("synthetic_videos")
    return cache(lambda name: render(small(PLANS_BY_NAME[name]), folder))


@pytest.fixture(scope="module")
def upright(synthetic_video):
    """Decodes the video of a name into upright pictures, [frame, height, width, 3] uint8 RGB."""

    @cache
    def decode(name: str) -> np.ndarray:
        with av.open(str(synthetic_video(name))) as container:
            frames = list(container.decode(container.streams.video[0]))
        turns = (frames[0].rotation // 90) % 4  # counter-clockwise, as np.rot90 turns
        return np.stack([np.rot90(frame.to_ndarray(format="rgb24"), turns) for frame in frames])

    return decode


def luma_change(pictures: np.ndarray) -> np.ndarray:
    """Mean absolute change of luma from the frame before, in levels: [frame] float, 0 for the first."""
    luma = pictures.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.concatenate([[0.0], np.abs(np.diff(luma, axis=0)).mean(axis=(1, 2))])


def clear_frames(truth: Truth) -> np.ndarray:
    """Frames at which there is neither a cut nor a fade or dissolve: [frame] bool."""
    clear = np.ones(truth.frame_count, bool)
    clear[truth.cuts] = False
    for first, last in truth.either_way:
        clear[first : last + 1] = False
    return clear


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_the_picture_jumps_at_each_cut_of_a_sample_video_and_nowhere_else(synthetic_video, upright, name):
    truth, change = read_truth(synthetic_video(name)), luma_change(upright(name))
    calm = clear_frames(truth)

    assert len(change) == truth.frame_count
    assert truth.cuts
    for cut in truth.cuts:
        around = np.arange(max(1, cut - 25), min(truth.frame_count, cut + 26))
        assert change[cut] > 1.5 * change[around[calm[around]]].max()


@pytest.mark.parametrize("name", sorted({*HARD_NAMES} - {"whip_pans", "strobe_light", "camera_flashes", "passing_bus"}))
def test_the_picture_changes_more_at_each_hard_cut_than_it_does_by_itself(synthetic_video, upright, name):
    truth, change = read_truth(synthetic_video(name)), luma_change(upright(name))
    calm = clear_frames(truth)

    assert len(change) == truth.frame_count
    for cut in truth.cuts:
        around = np.arange(max(1, cut - 12), min(truth.frame_count, cut + 13))
        assert change[cut] > 1.3 * np.median(change[around[calm[around]]]), cut


@pytest.mark.parametrize("name", ["whip_pans", "strobe_light", "camera_flashes", "passing_bus"])
def test_some_frames_change_as_much_as_a_cut_without_one(synthetic_video, upright, name):
    truth, change = read_truth(synthetic_video(name)), luma_change(upright(name))

    assert len(change) == truth.frame_count
    assert change[clear_frames(truth)].max() > 0.5 * min(change[truth.cuts])


def test_a_fade_is_black_in_the_middle_and_a_dissolve_lies_between_its_shots(synthetic_video, upright):
    luma = upright("fades").mean(axis=(1, 2, 3))
    (_, opened), first, second, (closing, _) = read_truth(synthetic_video("fades")).either_way
    assert [luma[sum(span) // 2] < 3 for span in (first, second)] == [True, True]
    assert luma[0] < 3 < 25 < luma[opened]
    assert luma[-1] < 3 < 25 < luma[closing - 1]

    pictures = upright("dissolves").astype(np.float32)
    (first_frame, last_frame), *_ = read_truth(synthetic_video("dissolves")).either_way
    before, after = pictures[first_frame - 1], pictures[last_frame + 1]
    middle = pictures[(first_frame + last_frame) // 2]
    assert np.abs(middle - (before + after) / 2).mean() < 0.4 * np.abs(before - after).mean()


def near(picture: np.ndarray, colour: str) -> np.ndarray:
    """Pixels of about the colour: [height, width, 3] to [height, width] bool."""
    return np.abs(picture.astype(int) - PAINTS[colour]).max(axis=-1) < 56


@pytest.mark.parametrize(("name", "number", "figure"), MOVING, ids=[f"{name}: {f.phrase}" for name, _, f in MOVING])
def test_a_figure_of_the_stated_colour_moves_in_the_stated_direction(synthetic_video, upright, name, number, figure):
    shot = read_truth(synthetic_video(name)).shots[number]
    early = shot.start_frame + (shot.end_frame - shot.start_frame) // 3
    late = shot.end_frame - (shot.end_frame - shot.start_frame) // 3
    early_mask, late_mask = (near(upright(name)[frame], figure.colour) for frame in (early, late))
    # Pixels that are in one mask and not in the other: a backdrop of a similar colour drops out.
    (y_early, x_early), (y_late, x_late) = (
        np.argwhere(here & ~there).mean(axis=0) for here, there in ((early_mask, late_mask), (late_mask, early_mask))
    )

    right, down = (x_late - x_early) / early_mask.shape[1], (y_late - y_early) / early_mask.shape[0]
    along, across = {"right": (right, down), "left": (-right, down), "down": (down, right), "up": (-down, right)}[
        figure.direction
    ]
    assert along > 0.08
    assert abs(across) < 0.06
    assert figure.phrase in [thing.phrase for thing in shot.objects]


def test_growing_grows_and_shrinking_shrinks(synthetic_video, upright):
    growing, *_, shrinking = read_truth(synthetic_video("toy_shapes")).shots
    pictures = upright("toy_shapes")
    blue = [near(pictures[frame], "blue").sum() for frame in (growing.start_frame, growing.end_frame - 1)]
    white = [near(pictures[frame], "white").sum() for frame in (shrinking.start_frame, shrinking.end_frame - 1)]

    assert blue[1] > 3 * blue[0] > 0
    assert white[0] > 3 * white[1] > 0


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_a_still_shot_is_still_and_another_is_not(synthetic_video, upright, name):
    pictures, truth = upright(name), read_truth(synthetic_video(name))
    clear = clear_frames(truth)
    for shot in truth.shots:
        frames = shot.start_frame + np.flatnonzero(clear[shot.start_frame : shot.end_frame])
        # Means of 5 by 5 pixels: grain and the codec's ringing around letters average out, motion does not.
        first, middle, last = (
            cv2.resize(pictures[frame], None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA).astype(int)
            for frame in (frames[0], frames[len(frames) // 2], frames[-1])
        )
        moved = max(np.abs(middle - first).max(), np.abs(last - first).max())
        assert (moved < 14) == shot.still, (shot, moved)


def test_a_camera_that_pans_right_moves_the_picture_left(synthetic_video, upright):
    (shot,) = (shot for shot in read_truth(synthetic_video("meadow_games")).shots if shot.camera == "pan right")
    earlier, later = (
        upright("meadow_games")[frame].mean(axis=-1) for frame in (shot.start_frame + 40, shot.start_frame + 50)
    )
    fit = {
        shift: np.abs(later[:, 20:-20] - np.roll(earlier, shift, axis=1)[:, 20:-20]).mean() for shift in range(-20, 21)
    }

    assert min(fit, key=fit.__getitem__) in (-13, -14, -15)  # 0.9 widths of 160 pixels in 100 frames


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_the_file_has_the_form_that_the_truth_states(synthetic_video, name):
    truth = read_truth(synthetic_video(name))
    with av.open(str(synthetic_video(name))) as container:
        video = container.streams.video[0]
        frames = list(container.decode(video))
        sounds = container.streams.audio
        audio_codecs = [stream.codec_context.name for stream in sounds]
        time_base, aspect, codec = video.time_base, video.sample_aspect_ratio, video.codec_context.codec.canonical_name
    if sounds:
        with av.open(str(synthetic_video(name))) as container:
            heard = np.concatenate([part.to_ndarray().ravel() for part in container.decode(audio=0)])
        assert len(heard) / 48_000 == pytest.approx(truth.shots[-1].end_seconds - truth.start_seconds, abs=0.1)
        assert np.abs(heard).max() > 0.05

    shown = np.array([float(frame.pts * time_base) for frame in frames])
    expected = [shot.start_seconds for shot in truth.shots]
    assert codec == truth.codec
    assert audio_codecs == ({"h264": ["aac"], "vp9": ["opus"], "av1": ["aac"]}[truth.codec] if truth.sound else [])
    assert (frames[0].width, frames[0].height) == (truth.width, truth.height)
    assert float(aspect or 1) == pytest.approx(truth.pixel_aspect)
    assert -frames[0].rotation % 360 == truth.rotation_degrees
    assert shown[0] == pytest.approx(truth.start_seconds)
    assert shown[[shot.start_frame for shot in truth.shots]] == pytest.approx(np.array(expected), abs=0.001)
    assert (np.diff(shown).std() > 0.005) == truth.variable_rate


def test_the_sample_videos_hold_every_form_a_reader_must_cope_with():
    assert {plan.codec for plan in SAMPLE_VIDEOS} == {"h264", "vp9", "av1"}
    assert [plan.name for plan in SAMPLE_VIDEOS if not plan.sound] == ["toy_shapes"]
    assert any(plan.variable_rate and plan.start_seconds for plan in SAMPLE_VIDEOS)
    assert any(plan.pixel_aspect != 1 for plan in SAMPLE_VIDEOS)
    assert any(plan.rotation_degrees for plan in SAMPLE_VIDEOS)
    assert {shot.join for plan in SAMPLE_VIDEOS for shot in plan.shots} == {"cut", "dissolve", "fade"}
    assert 120 < sum(plan.frame_count / plan.fps for plan in SAMPLE_VIDEOS) < 180


def tiny(codec: str = "h264", colour: str = "green") -> VideoPlan:
    shots = (
        Shot(8, Backdrop("water", "blue", 1), (Figure("circle", "red", "moving right"),), grain=4, shake=0.01),
        Shot(8, Backdrop("landscape", colour, 2), grain=4),
    )
    return VideoPlan(f"tiny_{codec}", shots, width=160, height=96, codec=codec)


@pytest.mark.parametrize("codec", ["h264", "vp9", "av1"])
def test_the_same_plan_and_seed_give_the_same_bytes_and_another_seed_does_not(tmp_path, codec):
    once, again = (render(tiny(codec), tmp_path / folder).read_bytes() for folder in ("once", "again"))

    assert once == again
    assert once != render(tiny(codec), tmp_path / "other", seed=1).read_bytes()


def test_rendering_leaves_the_scheduling_of_this_process_as_it_was(tmp_path):
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    render(tiny("av1"), tmp_path)  # as root, its encoder would leave this thread in real time
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def identities(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_a_second_call_renders_nothing_and_still_reports_each_video(tmp_path):
    plans, seen = (tiny("h264"), tiny("vp9")), []
    synthetic_videos = render_all(tmp_path, plans)
    before = identities(tmp_path)

    assert render_all(tmp_path, plans, on_video=seen.append) == synthetic_videos == seen
    assert identities(tmp_path) == before
    assert sorted(before) == [
        "tiny_h264.mp4",
        "tiny_h264.truth.json",
        "tiny_vp9.truth.json",
        "tiny_vp9.webm",
    ]


@pytest.mark.parametrize(("plan", "seed"), [(tiny(), 1), (tiny(colour="orange"), 0)], ids=["seed", "plan"])
def test_a_video_of_another_seed_or_plan_is_rendered_again(tmp_path, plan, seed):
    (synthetic_video,) = render_all(tmp_path, (tiny(),))
    before = synthetic_video.read_bytes()
    render_all(tmp_path, (plan,), seed=seed)

    assert synthetic_video.read_bytes() != before
    assert (read_truth(synthetic_video).plan_digest, read_truth(synthetic_video).seed) == (plan.digest, seed)


def test_a_plan_that_cannot_be_drawn_leaves_the_video_before_it_as_it_was(tmp_path):
    render(tiny(), tmp_path)
    before = identities(tmp_path)

    half_good = replace(tiny(), shots=(*tiny().shots * 6, *tiny(colour="mauve").shots))  # fails well after it began
    with pytest.raises(ValueError, match="no colour 'mauve'"):
        render(half_good, tmp_path)
    with pytest.raises(ValueError, match="even whole numbers"):
        render(replace(tiny(), width=161), tmp_path)
    assert identities(tmp_path) == before
