"""What a file's name and first bytes tell of whether it is a video."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from internvid.video.file_kinds import is_video_name, why_left_over, why_no_video
from internvid.video.probe import probe
from internvid.video.scan import scan
from internvid.video.settings import ScanSettings

FRAMES, FPS = 12, 10


def pictures() -> list[np.ndarray]:
    """[height, width, 3] uint8: an orange square that moves over grey."""
    made = []
    for number in range(FRAMES):
        picture = np.full((144, 176, 3), 60, np.uint8)
        picture[40:90, 5 + 8 * number : 45 + 8 * number] = (250, 120, 20)
        made.append(picture)
    return made


def encoded(path: Path, codec: str, form: str, pixels: str = "yuv420p", size: tuple[int, int] = (176, 144)) -> Path:
    rate = 25 if codec in ("mpeg2video", "dvvideo") else FPS
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        for picture in pictures():
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(*size, format=pixels)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


VIDEOS = {
    "a.h264": ("libx264", "h264"),
    "a.264": ("libx264", "h264"),
    "a.hevc": ("libx265", "hevc"),
    "a.y4m": ("wrapped_avframe", "yuv4mpegpipe"),
    "a.rm": ("rv10", "rm"),
    "a.rmvb": ("rv20", "rm"),
    "a.wtv": ("mpeg2video", "wtv"),
    "a.ts": ("libx264", "mpegts"),
    "a.mts": ("mpeg2video", "mpegts"),
    "a.ivf": ("libvpx", "ivf"),
    "a.mjpeg": ("mjpeg", "mjpeg", "yuvj420p"),
    "a.m2v": ("mpeg2video", "mpeg2video"),
    "a.mod": ("mpeg2video", "vob"),
    "a.nut": ("mpeg4", "nut"),
    "a.dv": ("dvvideo", "dv", "yuv420p", (720, 576)),
    "a.gif": ("gif", "gif", "rgb8"),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_is_known_by_its_bytes_and_decodes(tmp_path: Path, name: str) -> None:
    path = encoded(tmp_path / name, *VIDEOS[name])
    assert is_video_name(name)
    assert why_no_video(path) is None
    probed = probe(str(path))
    assert probed.width in (176, 720)
    frames: list = []
    clips = scan(str(path), ScanSettings(), frames.append)
    assert len(clips) == 1
    assert frames


def animated(path: Path, count: int, **settings: object) -> Path:
    first, *others = [Image.fromarray(picture) for picture in pictures()[:count]]
    first.save(path, save_all=count > 1, append_images=others, duration=100, **settings)
    return path


def test_an_animated_webp_is_a_video_with_its_times(tmp_path: Path) -> None:
    path = animated(tmp_path / "a.webp", FRAMES, lossless=True)
    assert why_no_video(path) is None
    assert (probe(str(path)).width, probe(str(path)).height) == (176, 144)
    frames: list = []
    (clip,) = scan(str(path), ScanSettings(), frames.append)
    assert clip.end_seconds == pytest.approx(FRAMES / 10, abs=0.1)
    shown = cv2.imdecode(np.frombuffer(frames[0].jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(shown[:30].astype(int) - 60).max() < 6  # the background, above the square


@pytest.mark.parametrize("name", ["a.webp", "a.gif"])
def test_a_picture_that_does_not_move_is_no_video(tmp_path: Path, name: str) -> None:
    assert why_no_video(animated(tmp_path / name, 1)) == "a picture that does not move"


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("app.ts", b"import { Component } from '@angular/core';\n" * 40, "text, not a video"),
        ("app.d.ts", b"declare const x: number;\n", "text, not a video"),
        ("G.ts", b"G" * 100 + b"enerics are a thing", "text, not a video"),
        ("translation.ts", b"<?xml version='1.0'?><!DOCTYPE TS><TS></TS>", "text, not a video"),
        ("module.mts", b"export default 1", "text, not a video"),
        ("empty.ts", b"", "it is empty"),
        ("tune.mod", b"SONG" + b"\0" * 200, "its first bytes are of no video"),
        ("notes.rm", b"not RealMedia", "text, not a video"),
        ("data.dat", b"1,2,3\n", "text, not a video"),
        ("a.dv", b"\0" * 100, "its first bytes are of no video"),
        ("a.h264", b"words", "text, not a video"),
        ("a.y4m", b"words", "text, not a video"),
        ("a.gif", b"GIF89a", "a picture that does not move"),
        ("a.txt", b"", "the suffix of no video"),
        ("README", b"", "the suffix of no video"),
    ],
)
def test_another_kind_of_file_with_a_videos_suffix_is_told_apart(
    tmp_path: Path, name: str, data: bytes, why: str
) -> None:
    (tmp_path / name).write_bytes(data)
    assert why_no_video(tmp_path / name) == why


def test_a_cut_recording_begins_anywhere_in_a_packet(tmp_path: Path) -> None:
    path = encoded(tmp_path / "whole.ts", "libx264", "mpegts")
    (tmp_path / "cut.ts").write_bytes(path.read_bytes()[101:])
    assert why_no_video(tmp_path / "cut.ts") is None


@pytest.mark.parametrize(
    ("name", "beside", "why"),
    [
        ("x.f137.mp4", ["x.mp4"], "a part of x that its download left over"),
        ("x.f251-drc.webm", ["x.mkv"], "a part of x that its download left over"),
        ("x.fhls-1080.mp4", ["x.mp4"], "a part of x that its download left over"),
        ("x.temp.mp4", ["x.mp4"], "a part of x that its download left over"),
        ("x.temp.mp4", ["x.f137.mp4", "x.f140.m4a"], "what a download of x was writing"),
        ("x.f137.mp4", ["x.f140.m4a"], None),  # all there is of it
        ("x.final.mp4", ["x.mp4"], None),
        ("x.2.mp4", ["x.mp4"], None),
        ("my.temp.mp4", [], None),
        ("x.mp4.part", [], "an unfinished download"),
        ("x.mp4.part-Frag12", [], "an unfinished download"),
        ("x.mp4.ytdl", [], "an unfinished download"),
        ("x.mp4.crdownload", [], "an unfinished download"),
        ("x.mp4.!qB", [], "an unfinished download"),
        ("._x.mp4", ["x.mp4"], "macOS keeps a file's attributes in it"),
        (".DS_Store", [], "a hidden file"),
        (".x.mp4.A7d9Qz", [], "a hidden file"),  # as rsync writes
        ("x.mp4", ["x.f137.mp4"], None),
    ],
)
def test_what_downloads_and_systems_leave_over_is_told_by_its_name(
    name: str, beside: list[str], why: str | None
) -> None:
    assert why_left_over(name, {name, *beside}) == why
