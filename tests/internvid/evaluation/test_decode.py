"""The frames that represent a video, for several containers and clocks."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from real_videos import REAL_VIDEOS, needs_real_videos

from internvid.evaluation import decode
from internvid.evaluation.benchmarks import Item
from internvid.evaluation.decode import read_frames, read_in_process
from internvid.viclip.frame_choice import middle_frames, uniform_frames
from internvid.video.probe import UnreadableVideo


def write_video(
    path: Path,
    count: int,
    *,
    codec: str = "libx264",
    fps: int = 10,
    keyframe_every: int = 12,
    ticks: list[int] | None = None,
    rotation: int = 0,
) -> Path:
    """Frame n has n's bits as eight bars, white for 1, the lowest on the left. ticks: timestamps in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = 128, 48, "yuv420p"
        stream.codec_context.gop_size = keyframe_every
        stream.codec_context.max_b_frames = 2
        if rotation:
            stream.set_display_rotation(-rotation)
        if ticks:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number in range(count):
            bars = np.array([235 if number >> bit & 1 else 20 for bit in range(8)], np.uint8).repeat(16)
            picture = np.broadcast_to(bars[None, :, None], (48, 128, 3)).copy()
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if ticks:
                frame.pts, frame.time_base = ticks[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbers(frames: np.ndarray) -> list[int]:
    """Which frames of `write_video` these are."""
    assert frames.dtype == np.uint8
    bars = frames.reshape(len(frames), frames.shape[1], 8, -1).mean((1, 3)) > 128
    return (bars * 2 ** np.arange(8)).sum(1).tolist()


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.mpg", "mpeg2video"), ("a.webm", "libvpx")],
)
def test_a_video_is_seen_in_the_middles_of_its_segments_or_every_nth(tmp_path, name, codec):
    path = str(write_video(tmp_path / name, 50, codec=codec, fps=25))
    assert numbers(read_frames(path, None, None, 8, "middle")) == middle_frames(50, 8)
    assert numbers(read_frames(path, None, None, 8, "uniform")) == uniform_frames(50, 8)


def test_a_video_without_timestamps_is_decoded_through(tmp_path):
    path = str(write_video(tmp_path / "a.h264", 50))
    with av.open(path) as container:
        assert any(packet.pts is None for packet in container.demux(video=0) if packet.size)
    assert numbers(read_frames(path, None, None, 8, "middle")) == middle_frames(50, 8)


def test_a_video_shorter_than_wanted_repeats_its_last_frame(tmp_path):
    path = str(write_video(tmp_path / "a.mp4", 3))
    assert numbers(read_frames(path, None, None, 5, "middle")) == [0, 1, 2, 2, 2]


def test_a_span_is_by_time_since_the_first_frame(tmp_path):
    path = str(write_video(tmp_path / "a.mp4", 100))
    assert numbers(read_frames(path, 2.0, 5.0, 3, "middle")) == [20 + position for position in middle_frames(30, 3)]
    assert numbers(read_frames(path, 8.0, 14.0, 2, "uniform")) == [80, 90]


def test_a_span_of_an_uneven_clock_is_by_time_too(tmp_path):
    ticks = [1000 + 100 * n if n < 10 else 2000 + 1000 * (n - 10) for n in range(20)]
    path = str(write_video(tmp_path / "a.mkv", 20, ticks=ticks))
    # Seconds since the first frame: 0 to 0.9 by tenths, then 1 to 10 by whole ones.
    assert numbers(read_frames(path, 2.0, 6.0, 4, "middle")) == [11, 12, 13, 14]


def test_a_file_no_longer_than_its_span_is_that_span_cut_out(tmp_path):
    path = str(write_video(tmp_path / "a.mp4", 100))
    assert numbers(read_frames(path, 40.0, 50.0, 4, "middle")) == middle_frames(100, 4)
    with pytest.raises(UnreadableVideo, match=r"no frame lies between 40 and 42 s: the video ends after 10\.0 s"):
        read_frames(path, 40.0, 42.0, 4, "middle")


def test_frames_are_upright(tmp_path):
    frames = read_frames(str(write_video(tmp_path / "a.mp4", 5, rotation=90)), None, None, 2, "middle")
    assert frames.shape == (2, 128, 48, 3)
    assert numbers(frames.swapaxes(1, 2)) == middle_frames(5, 2)  # its left is now above


def test_large_frames_are_shrunk_to_what_can_be_handed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "SHORT_SIDE", 24)
    assert read_frames(str(write_video(tmp_path / "a.mp4", 5)), None, None, 2, "middle").shape == (2, 24, 64, 3)


def test_a_video_with_timestamps_is_not_decoded_through(tmp_path, monkeypatch):
    path = str(write_video(tmp_path / "a.mp4", 60, keyframe_every=10))
    calls = []
    monkeypatch.setattr(decode._Decoded, "_frames", lambda self: calls.append(1) or iter(()))
    assert numbers(read_frames(path, None, None, 3, "middle")) == middle_frames(60, 3)
    assert calls == []


def test_files_that_are_no_video_come_back_with_their_error(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    good = Item("good", write_video(tmp_path / "good.mp4", 9))
    items = [Item("text", tmp_path / "text.mp4"), good, Item("gone", tmp_path / "gone.mp4")]
    results = list(read_in_process(items, 2, "middle"))
    assert [item for item, _ in results] == items
    assert isinstance(results[0][1], UnreadableVideo)
    assert numbers(results[1][1]) == middle_frames(9, 2)
    assert isinstance(results[2][1], FileNotFoundError)


def test_a_child_that_decodes_imports_no_torch():
    code = "import sys, internvid.evaluation.decode, internvid.evaluation.published; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@needs_real_videos
@pytest.mark.parametrize(
    "name",
    [
        "odd/nonzero_start_pts.mp4",
        "odd/truncated.mkv",
        "open/apollo15_mjpeg_144p.avi",
        "open/bikes_city_cuts.mp4",
        "open/fire2_vfr_rot180.mp4",
        "open/grid_bbaf2n.mpg",
        "open/nasa_13013_multistream.mp4",
        "open/tractor_vp9.webm",
    ],
)
def test_seeking_finds_the_frames_that_decoding_through_finds(name, monkeypatch):
    path = str(REAL_VIDEOS / name)
    sought = read_frames(path, None, None, 8, "middle")
    monkeypatch.setattr(decode, "_index", lambda container, stream: None)
    np.testing.assert_array_equal(read_frames(path, None, None, 8, "middle"), sought)
