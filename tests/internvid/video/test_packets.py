"""The same pictures in another container have the same digest; and a video is as long as what is there of it."""

from fractions import Fraction

import av
import numpy as np
import pytest
from altered_videos import copied, remuxed
from real_videos import REAL_VIDEOS, needs_real_videos

from internvid.video.packets import quick_seconds, read_packets, usual_rate
from internvid.video.probe import open_video, probe, video_stream
from internvid.video.scan import scan
from internvid.video.settings import ScanSettings

OPEN = REAL_VIDEOS / "open"

pytestmark = needs_real_videos


def digest_of(path):
    return read_packets(str(path)).digest


CONTAINERS = {
    "bikes_city_cuts.mp4": ("mp4", "mov", "mkv", "ts"),  # H.264: lengths in some, start codes in others
    "intel_asl_no.mkv": ("mp4", "ts"),
    "tractor_vp9.webm": ("webm", "mkv", "mp4"),
    "grid_bbaf2n.mpg": ("mkv", "ts", "avi"),  # MPEG-1
    "apollo15_mjpeg_144p.avi": ("mkv", "mov"),
}


@pytest.mark.parametrize(
    ("name", "container"), [(name, container) for name, containers in CONTAINERS.items() for container in containers]
)
def test_a_container_does_not_matter(tmp_path, name, container):
    copy = remuxed(OPEN / name, tmp_path / f"copy.{container}")
    assert copy.read_bytes() != (OPEN / name).read_bytes()
    assert digest_of(copy) == digest_of(OPEN / name) is not None


def test_hevc_with_start_codes_and_with_lengths_is_the_same(tmp_path):
    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx265", rate=10, options={"x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(12):
            picture = np.full((120, 160, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    digests = {digest_of(remuxed(source, tmp_path / f"b.{name}")) for name in ("mkv", "ts")}
    assert digests == {digest_of(source)} != {None}


def test_every_video_has_a_digest_of_its_own_and_so_has_a_re_encoded_one(tmp_path):
    digests = {name: digest_of(OPEN / name) for name in CONTAINERS}
    digests["re-encoded"] = digest_of(copied(OPEN / "grid_bbaf2n.mpg", tmp_path / "a.mp4"))
    assert len(set(digests.values())) == len(CONTAINERS) + 1


def test_a_file_that_was_cut_short_has_the_digest_of_what_is_left(tmp_path):
    whole = (OPEN / "tractor_vp9.webm").read_bytes()
    half = tmp_path / "half.webm"
    half.write_bytes(whole[: len(whole) // 2])
    assert digest_of(half) not in (None, digest_of(OPEN / "tractor_vp9.webm"))


# --- how long a video really is ----------------------------------------------------------------------------------


def film(path, *, frames=100, rate=10, times=None, codec="libx264", size=(160, 120), **options):
    """A video of noise, whose packets are large enough to be cut. times: of each frame, in milliseconds."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, options={"g": "10"} if codec != "flv" else {})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(frames):
            picture = rng.integers(0, 255, (size[1], size[0], 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = times[number] if times else number
            frame.time_base = Fraction(1, 1000) if times else Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decoded_seconds(path):
    return scan(str(path), ScanSettings(), lambda frame: None)[-1].end_seconds


def cut_short(whole, path):
    data = whole.read_bytes()
    path.write_bytes(data[: len(data) // 4])


def never_written(whole, path):
    data = whole.read_bytes()
    path.write_bytes(data[: len(data) // 4] + bytes(len(data) - len(data) // 4))


@pytest.mark.parametrize("damage", [cut_short, never_written])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.webm"])
def test_what_is_not_in_the_file_does_not_count(tmp_path, name, damage):
    """A quarter is there; the header says all. The index of MP4 is at the front, as of a download."""
    codec = {"webm": "libvpx"}.get(name[2:], "libx264")
    options = {"movflags": "+faststart"} if name[2:] in ("mp4", "mov") else {}
    whole = film(tmp_path / f"whole{name}", codec=codec, **options)
    assert read_packets(str(whole)).duration_seconds == pytest.approx(10.0, abs=0.11)
    assert not read_packets(str(whole)).short_of_header
    assert quick_seconds(str(whole)) == pytest.approx(10.0, abs=0.11)
    damage(whole, tmp_path / name)
    packets = read_packets(str(tmp_path / name))
    assert probe(str(tmp_path / name)).declared_seconds == pytest.approx(10.0, abs=0.11)
    assert packets.short_of_header
    assert packets.duration_seconds == pytest.approx(decoded_seconds(tmp_path / name), abs=0.5)
    assert packets.duration_seconds < 4.0
    assert quick_seconds(str(tmp_path / name)) == packets.duration_seconds


@needs_real_videos
@pytest.mark.parametrize("name", ["fire2_vfr_rot180.mp4", "grid_bbaf2n.mpg", "nasa_13013_vfr.mp4", "shuttle_vp8.webm"])
def test_packets_last_as_long_as_what_is_decoded(name):
    packets = read_packets(str(OPEN / name))
    assert packets.duration_seconds == pytest.approx(decoded_seconds(OPEN / name), abs=0.15)
    assert not packets.short_of_header


@pytest.mark.parametrize("first_name", ["a.ts", "a.mpg"])
def test_joined_files_last_as_long_as_both(tmp_path, first_name):
    codec = "libx264" if first_name == "a.ts" else "mpeg2video"
    rate = 25
    first = film(tmp_path / first_name, frames=100, rate=rate, codec=codec)
    second = film(tmp_path / f"b{first_name}", frames=75, rate=rate, codec=codec)
    joined = tmp_path / f"joined{first_name}"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    packets = read_packets(str(joined))
    assert packets.duration_seconds == pytest.approx(7.0, abs=0.1)
    assert packets.duration_seconds == pytest.approx(decoded_seconds(joined), abs=0.1)
    assert packets.fps == pytest.approx(25, rel=0.02)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.flv", "flv"), ("a.asf", "msmpeg4"), ("a.webm", "libvpx"), ("a.mkv", "libx264")]
)
def test_the_rate_is_that_of_the_timestamps(tmp_path, name, codec):
    """The container's clock ticks 1000 times a second, and 15 pictures come."""
    path = film(
        tmp_path / name, frames=45, rate=1000, times=[round(number * 1000 / 15) for number in range(45)], codec=codec
    )
    assert read_packets(str(path)).fps == pytest.approx(15, rel=0.01)
    with open_video(str(path)) as container:
        assert float(usual_rate(container, video_stream(container, str(path)))) == pytest.approx(15, rel=0.03)
