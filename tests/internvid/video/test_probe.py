"""Probing video files, and the reasons why files are no videos."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from real_videos import REAL_VIDEOS, needs_real_videos

from internvid.video.probe import Probe, UnreadableVideo, probe


def write_video(
    path: Path, frames: int = 10, *, rotation: int = 0, aspect: Fraction = Fraction(1), sound: bool = False
) -> Path:
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        video.codec_context.sample_aspect_ratio = aspect
        if rotation:
            video.set_display_rotation(-rotation)
        audio = container.add_stream("aac", rate=48_000, layout="stereo") if sound else None
        for _ in range(frames):
            picture = random.integers(0, 255, (120, 160, 3), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(tone()))
            container.mux(audio.encode(None))
    return path


def tone() -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((2, 4800), np.float32), format="fltp", layout="stereo")
    frame.sample_rate = 48_000
    return frame


def test_a_probe_has_the_columns_of_raw_videos(tmp_path):
    from resources.lake.schema import RAW_VIDEOS

    assert set(Probe.__dataclass_fields__) <= set(RAW_VIDEOS.column_names)
    probed = probe(str(write_video(tmp_path / "a.mp4", sound=True)))
    assert probed == Probe(
        container="mov,mp4,m4a,3gp,3g2,mj2",
        video_codec="h264",
        pixel_format="yuv420p",
        width=160,
        height=120,
        display_width=160,
        display_height=120,
        rotation_degrees=0,
        pixel_aspect=1.0,
        bit_depth=8,
        color_transfer=None,
        is_hdr=False,
        is_interlaced=False,
        has_alpha=False,
        declared_seconds=0.4,
        time_base_numerator=1,
        time_base_denominator=12800,
        audio_codec="aac",
        audio_channels=2,
        audio_sample_rate=48_000,
    )


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_and_pixel_aspect_give_the_size_as_shown(tmp_path, degrees):
    probed = probe(str(write_video(tmp_path / "a.mp4", rotation=degrees, aspect=Fraction(4, 3))))
    assert (probed.width, probed.height, probed.rotation_degrees) == (160, 120, degrees)
    assert probed.pixel_aspect == pytest.approx(4 / 3)
    assert (probed.display_width, probed.display_height) == ((213, 120) if degrees == 180 else (120, 213))


@pytest.mark.parametrize("name", ["wrong extension.txt", "a:b.mp4", "naïve 名前 'q' (1).mp4"])
def test_a_name_does_not_matter(tmp_path, name):
    written = write_video(tmp_path / "a.mp4")
    assert probe(str(written.rename(tmp_path / name))).declared_seconds == 0.4


def no_video(kind: str, path: Path) -> Path:
    """Writes a file of this kind that is no video."""
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("<html>Sign in to confirm your age — ünïcode</html>\n" * 60)
    elif kind == "random bytes":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "picture":
        path.write_bytes(cv2.imencode(".jpg", np.full((90, 120, 3), 99, np.uint8))[1].tobytes())
    elif kind == "sound":
        with av.open(str(path), "w") as container:
            audio = container.add_stream("aac", rate=48_000, layout="stereo")
            container.mux(audio.encode(tone()))
            container.mux(audio.encode(None))
    elif kind == "no index":
        path.write_bytes(write_video(path.with_name("whole.mp4")).read_bytes()[:-1500])
    elif kind == "cut index":
        whole = write_video(path.with_name("whole.mp4")).read_bytes()
        path.write_bytes(whole[: whole.index(b"moov") + 40])
    elif kind == "playlist":
        write_video(path.with_name("secret.ts"))
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.4,\nsecret.ts\n#EXT-X-ENDLIST\n")
    elif kind == "text art":  # a demuxer of FFmpeg draws it
        path.write_bytes(b"XBIN\x1a" + struct.pack("<HHBB", 80, 25, 16, 0) + b"A\x07" * 80 * 25)
    elif kind == "index of another file":  # a demuxer of FFmpeg opens a.sub beside it
        path.with_suffix(".sub").write_bytes(b"secret")
        times = "".join(f"timestamp: 00:00:0{second}:000, filepos: 000000000\n" for second in range(9))
        path.write_text(f"# VobSub index file, v7 (do not modify this line!)\nsize: 720x576\nid: en, index: 0\n{times}")
    elif kind == "zeroed":
        whole = write_video(path.with_name("whole.mp4")).read_bytes()
        start, end = whole.index(b"mdat") + 4, whole.index(b"moov") - 4
        path.write_bytes(whole[:start] + bytes(end - start) + whole[end:])
    return path


REASONS = {
    "empty": "is empty",
    "text": "is a text file",
    "random bytes": "does not recognise it",
    "picture": "single still picture",
    "sound": "no video stream in it, only audio",
    "no index": r"index \(the moov box of an MP4\) is missing",
    "cut index": "is cut short",
    "playlist": "is a playlist",
    "text art": "does not recognise it.*a form that is not read from strangers",
    "index of another file": "is a text file.*a form that is not read from strangers",
    "zeroed": "not one frame can be decoded",
}


@pytest.mark.parametrize("kind", REASONS)
def test_a_file_that_is_no_video_says_why_and_quotes_ffmpeg(tmp_path, kind):
    with pytest.raises(UnreadableVideo, match=REASONS[kind]) as raised:
        probe(str(no_video(kind, tmp_path / "a.mp4")))
    ours, _, ffmpeg = str(raised.value).partition("FFmpeg: ")
    assert ours.strip()
    assert ffmpeg.strip()


def test_a_file_that_is_not_there_is_the_systems_own_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        probe(str(tmp_path / "nothing.mp4"))


@needs_real_videos
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("zero_bytes.mp4", "is empty"),
        ("text_file.mp4", "is a text file"),
        ("jpeg_named_as.mp4", "single still picture"),
        ("truncated_no_moov.mp4", "is missing.*moov atom not found"),
        ("audio_only_speech.mp4", "no video stream.*audio opus"),
    ],
)
def test_odd_files_have_each_their_own_reason(name, reason):
    with pytest.raises(UnreadableVideo, match=reason):
        probe(str(REAL_VIDEOS / "odd" / name))


@needs_real_videos
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("odd/webm_named_as.mp4", {"container": "matroska,webm", "video_codec": "vp9"}),
        ("odd/no_duration_black.webm", {"declared_seconds": None}),
        ("odd/nonzero_start_pts.mp4", {"display_width": 199}),
        ("odd/rot90_three_frames.mov", {"rotation_degrees": 90, "display_width": 320, "display_height": 568}),
        ("open/nasa_13013_rotated.mp4", {"rotation_degrees": 270, "display_width": 270, "display_height": 480}),
        ("open/apollo15_mjpeg_144p.avi", {"video_codec": "mjpeg", "display_width": 196, "audio_codec": "mp3"}),
        ("open/nasa_13013_multistream.mp4", {"width": 320}),
        ("open/grid_bbaf2n.mpg", {"video_codec": "mpeg1video", "color_transfer": None}),
    ],
)
def test_real_files_are_read_as_they_are(name, expected):
    probed = probe(str(REAL_VIDEOS / name))
    assert {key: getattr(probed, key) for key in expected} == expected
