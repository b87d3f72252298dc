"""One canonical URL for each video, whichever of its addresses is given."""

import pytest

from internvid.web.addresses import canonical_url, site_of, youtube_url

VIDEO = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"


@pytest.mark.parametrize(
    "url",
    [
        "https://youtu.be/dQw4w9WgXcQ",
        "https://youtu.be/dQw4w9WgXcQ?si=abc&t=3",
        "http://youtube.com/watch?v=dQw4w9WgXcQ&list=PL1&index=2",
        "https://m.youtube.com/watch?app=desktop&v=dQw4w9WgXcQ#t=10",
        "https://music.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://www.youtube.com/shorts/dQw4w9WgXcQ?feature=share",
        "https://www.youtube.com/live/dQw4w9WgXcQ",
        "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ?rel=0",
        "  HTTPS://WWW.YouTube.com/watch?v=dQw4w9WgXcQ\n".strip(),
    ],
)
def test_all_addresses_of_a_youtube_video_are_one(url):
    assert (canonical_url(url), site_of(url)) == (VIDEO, "youtube.com")


@pytest.mark.parametrize(
    ("url", "canonical", "site"),
    [
        ("HTTP://Example.COM:80/A/b.MP4#t=5", "http://example.com/A/b.MP4", "example.com"),
        ("https://www.example.com:443", "https://www.example.com/", "example.com"),
        (
            "https://example.com:8443/?b=2&utm_source=x&a=1&UTM_medium=",
            "https://example.com:8443/?b=2&a=1",
            "example.com",
        ),
        ("https://example.com/a b/ü.mp4?q=ü%20", "https://example.com/a%20b/%C3%BC.mp4?q=%C3%BC%20", "example.com"),
        ("https://münchen.example/a", "https://xn--mnchen-3ya.example/a", "xn--mnchen-3ya.example"),
        ("http://[::1]:8080/a.mp4", "http://[::1]:8080/a.mp4", "::1"),
        ("https://m.youtube.com/@NASA/videos", "https://www.youtube.com/@NASA/videos", "youtube.com"),
        ("https://youtube.com/playlist?list=PL123", "https://www.youtube.com/playlist?list=PL123", "youtube.com"),
        ("https://www.youtube.com/watch?v=short", "https://www.youtube.com/watch?v=short", "youtube.com"),
    ],
)
def test_other_addresses_keep_what_tells_them_apart(url, canonical, site):
    assert (canonical_url(url), site_of(url)) == (canonical, site)
    assert canonical_url(canonical) == canonical


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/a.mp4",
        "javascript:alert(1)",
        "//example.com/a.mp4",
        "example.com/a.mp4",
        "https:///a.mp4",
        "",
        "https://example.com:port/",
        "https://user:secret@example.com/a.mp4",
        "https://example.com/\x00a.mp4",
        "https://exam\nple.com/a.mp4",
    ],
)
def test_what_is_no_web_address_is_refused(url):
    for function in (canonical_url, site_of):
        with pytest.raises(ValueError, match=r"URL|control|[Pp]ort") as refused:
            function(url)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("video", ["../../../etc", "dQw4w9WgXcQ&x", "", "dQw4w9WgXc"])
def test_only_an_id_of_youtube_makes_its_address(video):
    assert youtube_url("dQw4w9WgXcQ") == VIDEO
    with pytest.raises(ValueError, match="no id of a YouTube video"):
        youtube_url(video)
