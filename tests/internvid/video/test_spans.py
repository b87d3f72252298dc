"""Given spans of a video as clips: their first and last frames, the sampled frames, and spans that are not there."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from internvid.video.scan import ClipSpan, SampledFrame, UnreadableVideo, scan
from internvid.video.settings import ScanSettings
from internvid.video.spans import Span, SpanNotThere, scan_spans

FPS = 10


@pytest.fixture(scope="module")
def synthetic_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 s at 10 frames a second: frame n is grey of value 4 n, and its timestamps begin at 0.7 s."""
    return write(tmp_path_factory.mktemp("synthetic_videos") / "video.mp4", [100 * n for n in range(60)])


def write(path: Path, milliseconds: list[int]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for n, when in enumerate(milliseconds):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * n, np.uint8), format="rgb24")
            frame.pts, frame.time_base = 700 + when, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def scanned(
    path: Path, *spans: tuple[float, float | None], video_seconds: float | None = None
) -> tuple[list[ClipSpan | SpanNotThere], dict[int, list[SampledFrame]]]:
    kept: dict[int, list[SampledFrame]] = {}
    clips = scan_spans(
        str(path),
        ScanSettings(),
        [Span(*span) for span in spans],
        lambda number, frame: kept.setdefault(number, []).append(frame),
        video_seconds=video_seconds,
    )
    return clips, kept


def grey(frame: SampledFrame) -> int:
    """The index of the frame that the picture shows."""
    picture = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    return round(float(picture.mean()) / 4)


def edges(clips: list[ClipSpan | SpanNotThere]) -> list[tuple]:
    return [
        (clip.start_frame, clip.end_frame, clip.start_seconds, clip.end_seconds) if isinstance(clip, ClipSpan) else None
        for clip in clips
    ]


def test_a_clip_begins_with_the_frame_at_its_spans_start_and_ends_before_the_one_at_its_end(synthetic_video):
    clips, kept = scanned(synthetic_video, (1.5, 3.0), (1.56, 2.96), (0.0, 0.1), (2.0, 2.01), (2.04, 2.05))
    assert edges(clips) == [
        (15, 30, 1.5, 3.0),
        (16, 30, 1.6, 3.0),
        (0, 1, 0.0, 0.1),
        (20, 21, 2.0, 2.1),
        (20, 21, 2.0, 2.1),
    ]
    assert [min(map(grey, kept[number])) for number in range(5)] == [15, 16, 0, 20, 20]
    assert [(clip.boundary, clip.cut_score) for clip in clips] == [("imported", 0.0)] * 5


def test_spans_may_overlap_and_each_has_its_first_frame_one_a_second_from_there_and_its_middle_one(synthetic_video):
    clips, kept = scanned(synthetic_video, (1.5, 4.3), (2.0, 3.0), (0.5, 6.0), (2.0, 3.0))
    assert [sorted(map(grey, kept[number])) for number in range(4)] == [
        [15, 25, 29, 35],
        [20, 25],
        [5, 15, 25, 32, 35, 45, 55],
        [20, 25],
    ]
    assert [{grey(frame) for frame in kept[number] if frame.is_fine} for number in range(4)] == [
        {15, 25, 35},
        {20},
        {5, 15, 25, 35, 45, 55},
        {20},
    ]
    ticks = [clip.time_base_denominator // 1000 for clip in clips]
    assert [(clip.start_pts, clip.middle_pts, clip.end_pts) for clip in clips] == [
        tuple((700 + when) * tick for when in whens)
        for tick, whens in zip(
            ticks, [(1500, 2900, 4300), (2000, 2500, 3000), (500, 3200, 6000), (2000, 2500, 3000)], strict=True
        )
    ]
    for number, clip in enumerate(clips):
        assert clip.middle_pts in {frame.pts for frame in kept[number]}
        assert len({frame.pts for frame in kept[number]}) == len(kept[number])


def test_a_span_without_end_goes_to_the_videos_end_and_one_that_ends_later_does_too(synthetic_video):
    clips, kept = scanned(synthetic_video, (4.0, None), (5.0, 7.5), video_seconds=6.0)
    assert edges(clips) == [(40, 60, 4.0, 6.0), (50, 60, 5.0, 6.0)]
    assert [[grey(frame) for frame in kept[number] if frame.pts == clips[number].middle_pts] for number in (0, 1)] == [
        [50],
        [55],
    ]
    clips, kept = scanned(synthetic_video, (4.0, None))
    assert [grey(frame) for frame in kept[0] if frame.pts == clips[0].middle_pts] == [59]


def test_a_span_beyond_the_videos_end_is_an_error_of_its_own_and_the_others_are_there(synthetic_video):
    (beyond, within), kept = scanned(synthetic_video, (6.2, 7.0), (1.0, 2.0))
    assert isinstance(beyond, SpanNotThere)
    assert str(beyond) == "it begins at 6.2 s, and the video ends at 6 s: is it another cut?"
    assert edges([within]) == [(10, 20, 1.0, 2.0)]
    assert set(kept) == {1}


def test_a_span_between_two_frames_of_slides_is_an_error_of_its_own(tmp_path):
    path = write(tmp_path / "slides.mkv", [0, 100, 200, 3000, 3100])
    (between, whole), _ = scanned(path, (1.0, 1.5), (0.0, None))
    assert isinstance(between, SpanNotThere)
    assert str(between) == "no frame is shown between 1 s and 1.5 s; the next one comes at 3 s"
    assert edges([whole])[0][:2] == (0, 5)


def test_the_measures_are_those_of_a_clip_that_is_cut_there(synthetic_video):
    (cut,) = scan(str(synthetic_video), ScanSettings(), lambda frame: None)
    (given,), _ = scanned(synthetic_video, (0.0, None))
    same = set(vars(cut)) - {"boundary", "cut_score", "middle_pts"}
    assert {name: vars(given)[name] for name in same} == {name: vars(cut)[name] for name in same}
    assert given.motion > 0
    # A gap before it is no movement in it.
    first, later = scanned(synthetic_video, (0.0, 1.0), (4.0, 5.0))[0]
    alone = scanned(synthetic_video, (4.0, 5.0))[0][0]
    assert (later.motion, later.stillness) == (alone.motion, alone.stillness)
    assert first.motion == pytest.approx(alone.motion, rel=0.2)


def test_a_file_that_is_no_video_raises(tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("no video")
    with pytest.raises(UnreadableVideo, match="text file"):
        scanned(path, (0.0, 1.0))
