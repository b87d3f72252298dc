"""The same pictures in another container have the same digest, other pictures do not."""

import pytest
from altered_videos import copied, remuxed
from real_videos import REAL_VIDEOS, needs_real_videos

from internvid.video.packets import packets_digest

OPEN = REAL_VIDEOS / "open"

pytestmark = needs_real_videos

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
    assert packets_digest(str(copy)) == packets_digest(str(OPEN / name)) is not None


def test_hevc_with_start_codes_and_with_lengths_is_the_same(tmp_path):
    import av
    import numpy as np

    source = tmp_path / "a.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx265", rate=10, options={"x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(12):
            picture = np.full((120, 160, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    digests = {packets_digest(str(remuxed(source, tmp_path / f"b.{name}"))) for name in ("mkv", "ts")}
    assert digests == {packets_digest(str(source))} != {None}


def test_every_video_has_a_digest_of_its_own_and_so_has_a_re_encoded_one(tmp_path):
    digests = {name: packets_digest(str(OPEN / name)) for name in CONTAINERS}
    digests["re-encoded"] = packets_digest(str(copied(OPEN / "grid_bbaf2n.mpg", tmp_path / "a.mp4")))
    assert len(set(digests.values())) == len(CONTAINERS) + 1


def test_a_file_that_was_cut_short_has_the_digest_of_what_is_left(tmp_path):
    whole = (OPEN / "tractor_vp9.webm").read_bytes()
    half = tmp_path / "half.webm"
    half.write_bytes(whole[: len(whole) // 2])
    assert packets_digest(str(half)) not in (None, packets_digest(str(OPEN / "tractor_vp9.webm")))
