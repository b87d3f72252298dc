"""Availability of a video, checked without fetching its bytes."""

import pytest
from web_server import TEXT_PAGE, File, Hang, Page, Redirect, Status, page_with_video

from internvid.web import errors
from internvid.web.availability import Availability, check


@pytest.fixture
def checked(in_child, small_settings):
    return lambda url: in_child(check, url, small_settings)


def test_a_direct_link_is_asked_for_its_head_alone(checked, server, video):
    assert checked(server.add("/video.mp4", File(video))) == Availability(None)
    assert [request.method for request in server.requests] == ["HEAD"]


@pytest.mark.parametrize("status", [403, 405, 501])
def test_a_link_that_answers_no_head_is_asked_for_its_first_byte(checked, server, video, status):
    assert checked(server.add("/video.mp4", Status(status), File(video))) == Availability(None)
    assert [(request.method, request.range) for request in server.requests] == [("HEAD", None), ("GET", "bytes=0-0")]


def test_a_page_is_read_and_its_video_is_not(checked, server, video, tmp_path):
    server.add("/video.mp4", File(video))
    assert checked(server.add("/page", page_with_video("video.mp4"))) == Availability(None)
    assert checked(server.add_hls("/live", video, tmp_path / "hls")) == Availability(None)
    requested = {request.path for request in server.requests}
    assert requested == {"/page", "/live/index.m3u8"}


def test_an_owner_who_reserves_it_now_is_heard(checked, server, video):
    url = server.add("/video.mp4", File(video, {"X-Robots-Tag": "noai"}))
    assert checked(url) == Availability(None, opted_out=f"X-Robots-Tag: noai at {url}")


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (Status(404), "RemovedVideo"),
        (Status(410), "RemovedVideo"),
        (Status(403), "Forbidden"),
        (Status(429, {"Retry-After": "7"}), "RateLimited"),
        (Status(503), "NetworkTrouble"),
        (Hang(), "NetworkTrouble"),
        (Redirect("/video.mp4"), "RedirectLoop"),
        (Redirect("http://127.0.0.2/video.mp4"), "RefusedAddress"),
        (TEXT_PAGE, "NotAVideo"),
    ],
)
def test_why_it_cannot_be_had(checked, server, act, name):
    with pytest.raises(errors.WebError) as caught:
        checked(server.add("/video.mp4", act))
    assert type(caught.value).__name__ == name


def test_a_page_that_lost_its_video_is_none(checked, server):
    with pytest.raises(errors.NotAVideo):
        checked(server.add("/page", TEXT_PAGE))
    with pytest.raises(errors.IsPlaylist):
        checked(server.add("/two", Page("<html><video src=1.mp4></video><video src=2.mp4></video></html>")))
    with pytest.raises(errors.RefusedAddress):
        checked("file:///etc/passwd")
