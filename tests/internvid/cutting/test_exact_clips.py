"""Clips that are encoded again: their frames, times and sound are those of the video between the same times."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from real_videos import REAL_VIDEOS, needs_real_videos

from internvid.cutting.clips import CannotCut, ClipFile, Cut
from internvid.cutting.exact import Encoding, cut_exactly
from internvid.cutting.stream_copy import copy_clips
from internvid.synthetic.plans import Backdrop, Figure, Shot, VideoPlan
from internvid.synthetic.render import render

SHOTS = tuple(
    Shot(frames, Backdrop("noise", colour, scene), (Figure("circle", "red", "moving right"),))
    for scene, (frames, colour) in enumerate(((25, "blue"), (45, "green"), (20, "grey")))
)
FORMS = {
    "constant_rate": VideoPlan("constant_rate", SHOTS, 160, 120, 10, start_seconds=1.5),
    "variable_rate": VideoPlan("variable_rate", SHOTS, 160, 120, 10, variable_rate=True),
    "rotated": VideoPlan("rotated", SHOTS, 160, 120, 10, rotation_degrees=90),
    "anamorphic": VideoPlan("anamorphic", SHOTS, 160, 120, 10, pixel_aspect=Fraction(4, 3)),
}
MAX_OUT_OF_STEP_SECONDS = 0.04


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for plan in FORMS.values():
        render(plan, folder)
    return folder


def frames_of(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def shown(frame: av.VideoFrame, plan: VideoPlan) -> np.ndarray:
    """The picture as a player shows it, by other means than those that are tested."""
    picture = np.rot90(frame.to_ndarray(format="rgb24"), -plan.rotation_degrees // 90)
    return cv2.resize(np.ascontiguousarray(picture), (plan.width, plan.height)).astype(np.float32)


def sound_of(path: Path, begin: float = 0.0) -> np.ndarray:
    """[samples] at 48 kHz, of which the first is heard at `begin` by the file's clock."""
    sound = np.zeros(0, np.float32)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            at = round((frame.time - begin) * 48_000)
            samples = frame.to_ndarray().mean(axis=0)[max(0, -at) :]
            at = max(0, at)
            sound = np.pad(sound, (0, max(0, at + len(samples) - len(sound))))
            sound[at : at + len(samples)] = samples
    return sound


def cuts_of(path: Path, plan: VideoPlan) -> list[Cut]:
    frames = frames_of(path)
    ends = [frame.pts for frame in frames] + [frames[-1].pts + frames[-1].duration]
    time_base = float(frames[0].time_base)
    seconds = [(pts - ends[0]) * time_base for pts in ends]
    bounds = pairwise([*plan.starts, plan.frame_count])
    return [
        Cut(f"clip_{first}", ends[first], ends[end], seconds[first], seconds[end], end - first) for first, end in bounds
    ]


@pytest.mark.parametrize("form", FORMS)
def test_an_exact_clip_has_the_frames_of_the_video_upright_at_their_times_with_their_sound(folder, tmp_path, form):
    plan, path = FORMS[form], folder / f"{form}.mp4"
    original, cuts = frames_of(path), cuts_of(path, plan)
    results = list(cut_exactly(str(path), cuts[::-1], tmp_path, Encoding()))
    for cut, clip in zip(cuts[::-1], results, strict=True):
        assert isinstance(clip, ClipFile), clip
        assert (clip.frames, clip.width, clip.height, clip.audio_codec) == (cut.frames, plan.width, plan.height, "aac")
        assert (clip.start_seconds, clip.end_seconds) == (cut.start_seconds, cut.end_seconds)
        expected = [frame for frame in original if cut.start_pts <= frame.pts < cut.end_pts]
        frames = frames_of(tmp_path / clip.name)
        assert len(frames) == len(expected) == cut.frames
        for frame, frame_of_video in zip(frames, expected, strict=True):
            assert frame.rotation == 0
            assert frame.time == pytest.approx(frame_of_video.time - expected[0].time, abs=1e-4)
            difference = np.abs(shown(frame, VideoPlan("", (), 160, 120)) - shown(frame_of_video, plan)).mean()
            assert difference < 4, f"{form}: frame at {frame.time} differs by {difference}"
        heard = sound_of(tmp_path / clip.name)
        assert len(heard) / 48_000 == pytest.approx(cut.end_seconds - cut.start_seconds, abs=MAX_OUT_OF_STEP_SECONDS)
        begin = float(expected[0].time)
        said = sound_of(path, begin)[: len(heard)]
        correlation = np.fft.irfft(np.fft.rfft(heard, 2**19).conj() * np.fft.rfft(said, 2**19))
        lag = int(np.argmax(correlation))
        lag = lag - 2**19 if lag > 2**18 else lag
        assert abs(lag) / 48_000 < MAX_OUT_OF_STEP_SECONDS
        near = heard[: len(said)]
        assert np.corrcoef(near, said[: len(near)])[0, 1] > 0.9


def test_the_same_clip_gives_the_same_bytes_and_seeking_to_it_changes_nothing(folder, tmp_path):
    path = folder / "constant_rate.mp4"
    cuts = cuts_of(path, FORMS["constant_rate"])
    folders = [tmp_path / "together", tmp_path / "alone"]
    for place in folders:
        place.mkdir()
    together = list(cut_exactly(str(path), cuts, folders[0], Encoding()))
    alone = [clip for cut in cuts for clip in cut_exactly(str(path), [cut], folders[1], Encoding())]
    assert cuts[-1].start_seconds > 5, "a clip that is sought"
    assert together == alone
    assert [(folders[0] / clip.name).read_bytes() for clip in together] == [
        (folders[1] / clip.name).read_bytes() for clip in alone
    ]


def test_height_and_rate_are_as_asked_and_each_tick_shows_the_frame_of_its_time(folder, tmp_path):
    plan, path = FORMS["variable_rate"], folder / "variable_rate.mp4"
    cut = cuts_of(path, plan)[1]
    (clip,) = cut_exactly(str(path), [cut], tmp_path, Encoding(max_height=60, fps=5))
    assert isinstance(clip, ClipFile)
    assert (clip.width, clip.height) == (80, 60)
    frames = frames_of(tmp_path / clip.name)
    assert [frame.time for frame in frames] == pytest.approx([number / 5 for number in range(len(frames))])
    assert len(frames) == clip.frames == int(np.ceil((cut.end_seconds - cut.start_seconds) * 5 - 1e-9))
    original = [frame for frame in frames_of(path) if cut.start_pts <= frame.pts < cut.end_pts]
    for number, frame in enumerate(frames):
        of_time = [each for each in original if each.time - original[0].time <= number / 5 + 1e-9][-1]
        small = cv2.resize(shown(of_time, plan), (80, 60), interpolation=cv2.INTER_AREA)
        assert np.abs(frame.to_ndarray(format="rgb24") - small).mean() < 5


def test_a_clip_whose_frames_are_not_those_that_were_counted_is_an_error_and_leaves_no_file(folder, tmp_path):
    path = folder / "constant_rate.mp4"
    whole, sought = cuts_of(path, FORMS["constant_rate"])[::2]
    wrong = [
        Cut("more", whole.start_pts, whole.end_pts, whole.start_seconds, whole.end_seconds, whole.frames + 1),
        Cut("between", sought.start_pts + 1, sought.end_pts, sought.start_seconds, sought.end_seconds, sought.frames),
        Cut("after", sought.end_pts + 9, sought.end_pts + 99, sought.end_seconds + 1, sought.end_seconds + 2, 3),
    ]
    results = list(cut_exactly(str(path), [*wrong, whole], tmp_path, Encoding()))
    assert [type(result) for result in results] == [CannotCut, CannotCut, CannotCut, ClipFile]
    assert "25 frames can be decoded from 0.000 to 2.500 s where 26 were counted" in str(results[0])
    assert [path.name for path in tmp_path.iterdir()] == [results[3].name]


@pytest.mark.parametrize("form", ["constant_rate", "rotated"])
def test_a_copied_clip_begins_at_the_key_frame_before_and_says_so(folder, tmp_path, form):
    plan, path = FORMS[form], folder / f"{form}.mp4"
    original = frames_of(path)
    cuts = cuts_of(path, plan)
    begin, end = original[40], original[50]
    inside = Cut("inside", begin.pts, end.pts, begin.time - original[0].time, end.time - original[0].time, 10)
    for cut, clip in zip([cuts[0], inside], copy_clips(str(path), [cuts[0], inside], tmp_path), strict=True):
        assert isinstance(clip, ClipFile), clip
        assert clip.start_seconds <= cut.start_seconds
        assert clip.end_seconds >= cut.end_seconds - 1e-6
        frames = frames_of(tmp_path / clip.name)
        key_frames = [frame.time - original[0].time for frame in original if frame.key_frame]
        assert min(abs(clip.start_seconds - seconds) for seconds in key_frames) < 1e-4
        (first,) = [frame for frame in original if abs(frame.time - original[0].time - clip.start_seconds) < 1e-4]
        assert np.array_equal(frames[0].to_ndarray(), first.to_ndarray())
        assert frames[0].rotation == first.rotation
        assert clip.frames == len(frames)
        assert clip.audio_codec == "aac"


@needs_real_videos
def test_clips_of_a_file_without_an_index_are_cut_and_copied_too(tmp_path):
    path = REAL_VIDEOS / "open" / "grid_lwbsza.mpg"
    cut = Cut("whole", 0, 270_000, 0.0, 3.0, 75)
    (exact,), (copy,) = cut_exactly(str(path), [cut], tmp_path, Encoding()), copy_clips(str(path), [cut], tmp_path)
    assert isinstance(exact, ClipFile), exact
    assert isinstance(copy, ClipFile), copy
    assert (exact.frames, copy.frames, copy.start_seconds, copy.name) == (75, 75, 0.0, "whole.mkv")
