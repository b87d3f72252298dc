"""Entries of lists, from lists on loopback that grow."""

from dataclasses import replace

import pytest
from web_server import File, Page, Status, page_with_video, web_server

from internvid.web import errors
from internvid.web.feeds import Entry, _url_of, entries


@pytest.fixture
def listed(in_child, small_settings):
    """listed(address, max_entries): the list's entries."""
    return lambda address, max_entries=50: in_child(entries, address, max_entries, small_settings)


def entry(url, title, seconds=None):
    return Entry(url, "127.0.0.1", None, title, None, None, seconds)


def test_a_growing_feed_is_listed_newest_first_without_asking_for_its_videos(listed, server):
    feed = server.add_feed("/feed.rss", "Talks")
    address = f"{server.url}/feed.rss"
    assert listed(address) == []
    feed.add(f"{server.url}/1.mp4?utm_source=feed#t=1", "One", 60)
    assert listed(address) == [entry(f"{server.url}/1.mp4", "One", 60.0)]
    feed.add(f"{server.url}/2.mp4", "Two\x9f\n" + "o" * 5_000)
    assert listed(address) == [
        entry(f"{server.url}/2.mp4", "Two " + "o" * 996),
        entry(f"{server.url}/1.mp4", "One", 60.0),
    ]
    assert {request.path for request in server.requests} == {"/feed.rss"}


def test_no_more_than_asked_for_and_each_once(listed, server):
    feed = server.add_feed("/feed.rss")
    for number in (1, 2, 3, 3, 4, 4, 4):
        feed.add(f"{server.url}/{number}.mp4", f"Number {number}")
    assert [video.title for video in listed(f"{server.url}/feed.rss", 3)] == ["Number 4", "Number 3", "Number 2"]
    assert listed(f"{server.url}/feed.rss", 0) == []


def test_what_is_no_web_address_is_passed_over(listed, server):
    feed = server.add_feed("/feed.rss")
    feed.add("file:///etc/passwd", "A file")
    feed.add("/relative.mp4", "Beside the feed")
    assert listed(f"{server.url}/feed.rss") == [entry(f"{server.url}/relative.mp4", "Beside the feed")]


def test_a_page_with_several_videos_lists_their_files(listed, server):
    tags = "".join(f'<video src="{number}.mp4"></video>' for number in range(2))
    address = server.add("/page", Page(f"<html><title>Two</title>{tags}</html>"))
    assert listed(address) == [
        entry(f"{server.url}/0.mp4", "Two (1)"),
        entry(f"{server.url}/1.mp4", "Two (2)"),
    ]


def test_a_single_video_is_a_list_of_one(listed, server, video):
    link = server.add("/video.mp4", File(video))
    page = server.add("/page", page_with_video("video.mp4", "A page"))
    reserved = server.add("/reserved.mp4", File(video, {"X-Robots-Tag": "noai"}))
    assert listed(link) == [entry(link, "video")]
    assert listed(page) == [entry(page, "A page (1)")]
    assert listed(reserved) == [entry(reserved, None)]


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (Status(404), "RemovedVideo"),
        (Status(429, {"Retry-After": "3"}), "RateLimited"),
        (Status(500), "NetworkTrouble"),
    ],
)
def test_a_list_that_cannot_be_had_says_why(listed, server, act, name):
    with pytest.raises(errors.WebError) as caught:
        listed(server.add("/feed.rss", act))
    assert type(caught.value).__name__ == name


@pytest.mark.parametrize("address", ["file:///etc/passwd", "javascript:x", "ytsearch: ", "cats", "", "-a"])
def test_what_is_no_feed_is_refused(listed, address):
    with pytest.raises(errors.RefusedAddress, match="a feed is ytsearch:words or an http or https URL"):
        listed(address)


def test_searches_by_date_are_gone_and_it_says_so(listed):
    with pytest.raises(errors.NotAVideo, match="use ytsearch:words"):
        listed("ytsearchdate:cats")


def test_a_search_asks_youtube(in_child, small_settings):
    """Through a proxy that lets nothing pass."""
    with web_server() as proxy:
        settings = replace(small_settings, proxy=proxy.url)
        with pytest.raises(errors.NetworkTrouble, match=r"[Pp]roxy|tunnel"):
            in_child(entries, "ytsearch7: open a door ", 5, settings)
        assert all(request.path == "" for request in proxy.requests)


@pytest.mark.parametrize(
    ("item", "url"),
    [
        (
            {"ie_key": "Youtube", "id": "dQw4w9WgXcQ", "url": "dQw4w9WgXcQ"},
            "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        ),
        ({"url": "https://www.youtube.com/shorts/dQw4w9WgXcQ"}, "https://www.youtube.com/watch?v=dQw4w9WgXcQ"),
        ({"url": "https://vimeo.com/1?utm_source=a"}, "https://vimeo.com/1"),
        (
            {"formats": [{"url": "https://a.example/s.mp4"}, {"url": "https://a.example/l.mp4"}]},
            "https://a.example/l.mp4",
        ),
        ({"url": "rtmp://a.example/x"}, None),
        ({"title": "nothing"}, None),
    ],
)
def test_where_an_entry_is(in_child, item, url):
    assert in_child(_url_of, item, "https://a.example/page") == url
