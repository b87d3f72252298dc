"""Which files browsers play as they are."""

from __future__ import annotations

import pytest

from internvid.video.playable import can_be_copied, media_type

MP4, WEBM = "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"


@pytest.mark.parametrize(
    ("container", "video", "pixels", "audio", "expected"),
    [
        (MP4, "h264", "yuv420p", "aac", "video/mp4"),
        (MP4, "h264", "yuvj420p", None, "video/mp4"),
        (MP4, "av1", "yuv420p10le", "opus", "video/mp4"),
        (WEBM, "vp9", "yuv420p", "opus", "video/webm"),
        (WEBM, "vp8", "yuv420p", "vorbis", "video/webm"),
        (MP4, "h264", "yuv444p", "aac", None),
        (MP4, "h264", "yuv420p10le", None, None),
        (MP4, "hevc", "yuv420p", "aac", None),
        (MP4, "mpeg4", "yuv420p", "aac", None),
        (MP4, "h264", "yuv420p", "pcm_s16le", None),
        (WEBM, "h264", "yuv420p", "aac", None),
        ("avi", "mpeg4", "yuv420p", "mp3", None),
        ("mpeg", "mpeg2video", "yuv420p", "mp2", None),
        (None, None, None, None, None),
    ],
)
def test_the_type_under_which_browsers_play_a_file(container, video, pixels, audio, expected):
    assert media_type(container, video, pixels, audio) == expected


def test_streams_that_only_need_another_container_are_copied():
    assert can_be_copied("h264", "yuv420p", "aac")
    assert can_be_copied("h264", "yuvj420p", None)
    assert not can_be_copied("h264", "yuv422p", None)
    assert not can_be_copied("h264", "yuv420p", "ac3")
    assert not can_be_copied("mpeg2video", "yuv420p", None)
