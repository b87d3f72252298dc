"""Downloads by yt-dlp from a server on loopback: what is fetched, what is left out, and how errors are classified."""

import gzip
import hashlib
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import av
import pytest
from web_server import (
    TEXT_PAGE,
    Endless,
    File,
    Hang,
    Page,
    Redirect,
    Status,
    hls,
    make_sound,
    page_with_video,
    web_server,
)

from internvid.speech.sidecars import tags_in_name
from internvid.web import errors
from internvid.web.download import Downloaded, DownloadSettings, LeftOut, _tracks, download


@pytest.fixture
def fetched(in_child, small_settings, tmp_path):
    """fetched(url, setting=…): the outcome of download into tmp_path/folder."""

    def run(url, **changes):
        return in_child(download, url, str(tmp_path / "folder"), replace(small_settings, **changes))

    return run


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def codecs(path):
    with av.open(str(path)) as container:
        return container.format.name, [stream.codec_context.name for stream in container.streams]


def files_under(folder: Path):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_direct_link(fetched, server, video, tmp_path):
    url = server.add("/Some%20video.mp4", File(video, {"Last-Modified": "Thu, 01 Jan 2015 00:00:00 GMT"}))
    result = fetched(url)
    assert result == Downloaded(
        path=str(tmp_path / "folder" / "media.mp4"),
        subtitles=(),
        sha256=sha256(video),
        size_bytes=video.stat().st_size,
        metadata={
            "page_url": url,
            "extractor": "generic",
            "site_key": None,
            "title": "Some video",
            "description": None,
            "tags": [],
            "categories": [],
            "language": None,
            "sound_language": None,
            "channel": None,
            "channel_id": None,
            "channel_url": None,
            "uploaded_at": None,
            "licence": None,
            "age_limit": None,
            "views": None,
            "likes": None,
            "duration_seconds": None,
            "format": "mp4 - unknown",
            "downloader": "yt-dlp 2026.10.26",
        },
        warnings=(),
    )
    assert sha256(result.path) == result.sha256


def test_a_link_that_does_not_say_what_it_is(fetched, server, video, tmp_path):
    url = server.add("/get", File(video, {"Content-Type": "application/octet-stream"}))
    assert fetched(url).path == str(tmp_path / "folder" / "media.mp4")


def test_a_page_in_the_place_of_a_video_is_none(fetched, server, tmp_path):
    server.add("/video.mp4", TEXT_PAGE)
    with pytest.raises(errors.NotAVideo, match="is text/html"):
        fetched(server.add("/page", page_with_video("video.mp4")))
    assert files_under(tmp_path) == ["folder/offered.json"]


def test_bytes_that_are_no_video_whatever_they_are_called(fetched, server, tmp_path):
    noise = tmp_path / "noise.bin"
    noise.write_bytes(b"\x01\x02" * 5_000)
    with pytest.raises(errors.NotAVideo, match=r"it begins with b'\\x01\\x02"):
        fetched(server.add("/get", File(noise)))


def test_a_page_with_a_video_tag(fetched, server, video):
    server.add("/video.mp4", File(video))
    result = fetched(server.add("/page", page_with_video("video.mp4", "A page", description="What it shows")))
    assert result.sha256 == sha256(video)
    names = ("page_url", "title", "description", "site_key", "uploaded_at")
    assert {name: result.metadata[name] for name in names} == {
        "page_url": f"{server.url}/page",
        "title": "A page (1)",
        "description": "What it shows",
        "site_key": None,
        "uploaded_at": None,
    }


def test_a_page_that_tells_of_its_video_in_json(fetched, server, video):
    server.add("/video.mp4", File(video))
    video_object = """{"@context": "https://schema.org", "@type": "VideoObject", "name": "A talk",
        "description": "One\\nTwo", "contentUrl": "%s/video.mp4",
        "uploadDate": "2020-05-17T12:30:00+00:00", "duration": "PT12S",
        "keywords": "space, moon\\u0000",
        "interactionStatistic": {"@type": "InteractionCounter", "interactionType": "http://schema.org/WatchAction",
        "userInteractionCount": 5000000000}}"""
    page = f'<html><script type="application/ld+json">{video_object % server.url}</script></html>'
    metadata = fetched(server.add("/talk", Page(page))).metadata
    names = ("title", "description", "duration_seconds", "tags", "views")
    assert {name: metadata[name] for name in names} == {
        "title": "A talk",
        "description": "One\nTwo",
        "duration_seconds": 12.0,
        "tags": ["space", "moon"],
        "views": 5_000_000_000,
    }


def test_hls_becomes_a_plain_mp4(fetched, server, video, tmp_path):
    result = fetched(server.add_hls("/live", video, tmp_path / "hls"))
    assert (Path(result.path).name, result.metadata["duration_seconds"]) == ("media.mp4", 12.0)
    assert codecs(result.path) == ("mov,mp4,m4a,3gp,3g2,mj2", ["h264"])
    with av.open(result.path) as fetched_video, av.open(str(video)) as original:
        assert [packet.size for packet in fetched_video.demux(video=0)][-1] == 0
        assert fetched_video.streams.video[0].frames == original.streams.video[0].frames


def master(server, video, folder, heights):
    """Adds an HLS stream with sound to the server, in several sizes with the same pictures; returns its URL."""
    lines = [
        "#EXTM3U",
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="../../../evil",NAME="../x",DEFAULT=YES,URI="/sound/index.m3u8"',
    ]
    for file in hls(make_sound(folder / "sound.m4a"), folder / "sound"):
        server.add(f"/sound/{file.name}", File(file))
    files = hls(video, folder / "pictures")
    for height in heights:
        size = f"BANDWIDTH={height * 1000},RESOLUTION={height * 16 // 9}x{height}"
        lines.append(f'#EXT-X-STREAM-INF:{size},CODECS="avc1.4d401e,mp4a.40.2",AUDIO="../../../evil"')
        lines.append(f"/{height}/index.m3u8")
        for file in files:
            server.add(f"/{height}/{file.name}", File(file))
    return server.add("/master.m3u8", Page("\n".join(lines), "application/vnd.apple.mpegurl"))


def test_the_highest_up_to_720p_is_taken_and_its_sound_joined(fetched, server, video, tmp_path):
    result = fetched(master(server, video, tmp_path, (360, 720, 1080)))
    assert [height for height in (360, 720, 1080) if server.asked(f"/{height}/segment000.ts")] == [720]
    assert sorted(codecs(result.path)[1]) == ["aac", "h264"]
    assert "1280x720" in result.metadata["format"]
    assert files_under(tmp_path / "folder") == [Path(result.path).name, "offered.json"]


def test_where_all_are_larger_the_smallest_is_taken(fetched, server, video, tmp_path):
    fetched(master(server, video, tmp_path, (1080, 1440)))
    assert [height for height in (1080, 1440) if server.asked(f"/{height}/segment000.ts")] == [1080]


def test_a_missing_part_of_a_stream_is_no_video(fetched, server, video, tmp_path):
    url = server.add_hls("/live", video, tmp_path / "hls")
    server.add("/live/segment003.ts", Status(404))
    with pytest.raises(errors.WebError, match="404"):
        fetched(url)
    assert "media.mp4" not in files_under(tmp_path / "folder")


def test_an_encrypted_stream_is_decrypted_here(fetched, server, video, tmp_path):
    (tmp_path / "key").write_bytes(bytes(range(16)))
    (tmp_path / "key.info").write_text(f"{server.add('/key', File(tmp_path / 'key'))}\n{tmp_path}/key\n")
    for file in hls(video, tmp_path / "hls", hls_key_info_file=str(tmp_path / "key.info")):
        server.add(f"/secret/{file.name}", File(file))
    result = fetched(f"{server.url}/secret/index.m3u8")
    with av.open(result.path) as container:
        assert container.streams.video[0].frames == 60
    assert server.asked("/key")


def test_what_would_need_another_program_to_fetch_is_no_format(fetched, server):
    with pytest.raises(errors.UnusableFormat):
        fetched(server.add("/page", page_with_video("rtmp://127.0.0.1/live/video.mp4")))


@pytest.mark.parametrize(
    ("acts", "name", "words"),
    [
        ([Status(404)], "RemovedVideo", "HTTP Error 404: Not Found"),
        ([Status(410)], "RemovedVideo", "HTTP Error 410: Gone"),
        ([Status(403)], "Forbidden", "HTTP Error 403: Forbidden"),
        ([Status(401)], "LoginRequired", "HTTP Error 401: Unauthorized"),
        ([Status(403, {"cf-mitigated": "challenge"})], "BotCheck", "Cloudflare anti-bot challenge"),
        ([Status(429, {"Retry-After": "7"})], "RateLimited", "HTTP Error 429: Too Many Requests"),
        ([Status(503)], "NetworkTrouble", "HTTP Error 503: Service Unavailable"),
        (["a video", Status(429, {"Retry-After": "7"})], "RateLimited", "HTTP Error 429: Too Many Requests"),
        (["a video", Status(404)], "RemovedVideo", "HTTP Error 404: Not Found"),
        (
            ["a video", Status(500)],
            "NetworkTrouble",
            "HTTP Error 500: Internal Server Error. Giving up after 2 retries",
        ),
        (["a video cut at half"], "NetworkTrouble", "more expected. Giving up after 2 retries"),
        ([Redirect("/video.mp4")], "RedirectLoop", "redirect loop detected"),
        ([TEXT_PAGE], "NotAVideo", "Unsupported URL"),
        ([Status(200, text="only words\n" * 100)], "NotAVideo", "is text/plain"),
        ([Page("ID3", "audio/mpeg")], "UnusableFormat", "Requested format is not available"),
        ([Hang()], "NetworkTrouble", "timed out"),
        (["a video", Hang()], "NetworkTrouble", "timed out"),
        ([Redirect("file:///etc/passwd")], "RefusedAddress", "file:///etc/passwd"),
        ([Redirect("ftp://ftp.example.com/a.mp4")], "RefusedAddress", "ftp://ftp.example.com"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_trouble_is_of_its_class_and_keeps_its_words(fetched, server, video, acts, name, words):
    known = {"a video": File(video), "a video cut at half": File(video, cut_at=0.5)}
    url = server.add("/video.mp4", *(known[act] if isinstance(act, str) else act for act in acts))
    with pytest.raises(errors.WebError) as caught:
        fetched(url)
    assert (type(caught.value).__name__, words in str(caught.value)) == (name, True), caught.value
    assert getattr(caught.value, "retry_after_seconds", None) == (7.0 if name == "RateLimited" else None)


@pytest.mark.parametrize("kind", ["page", "playlist", "bomb"])
def test_a_text_without_an_end_is_not_read_to_its_end(fetched, server, tmp_path, kind):
    if kind == "bomb":  # 200 MB of spaces in 200 kB
        (tmp_path / "bomb").write_bytes(gzip.compress(b"<html>" + b" " * 200_000_000))
        answer = File(tmp_path / "bomb", {"Content-Type": "text/html", "Content-Encoding": "gzip"}, has_ranges=False)
    elif kind == "page":
        answer = Endless("<html><p>More and more.</p>" * 1000)
    else:
        answer = Endless("#EXTM3U\n" + "#EXTINF:1.0,\nsegment.ts\n" * 1000, "application/vnd.apple.mpegurl")
    url = server.add("/list.m3u8" if kind == "playlist" else "/page", answer)
    with pytest.raises(errors.AnswerTooLarge, match="more than 10 MiB"):
        fetched(url)


def test_trouble_that_passes_is_got_over(fetched, server, video):
    cut = File(video, cut_at=0.5)
    url = server.add("/video.mp4", File(video), Status(500), cut, File(video))
    assert fetched(url).sha256 == sha256(video)
    *before, last = [request.range for request in server.asked("/video.mp4")]
    assert before == [None, None, None]
    assert 0 < int(last.removeprefix("bytes=").removesuffix("-")) <= video.stat().st_size // 2


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.com/a.mp4", "/etc/passwd", "-exec", "ytsearch:a"])
def test_only_web_addresses_are_opened(fetched, url, tmp_path):
    with pytest.raises(errors.RefusedAddress, match="only http and https"):
        fetched(url)
    assert files_under(tmp_path) == []


def test_a_redirect_into_the_machines_own_network_is_refused(fetched, server, video):
    with web_server("127.0.0.2") as inner:
        inner.add("/video.mp4", File(video))
        link = server.add("/video.mp4", Redirect(f"{inner.url}/video.mp4"))
        page = server.add("/page", page_with_video(f"{inner.url}/video.mp4"))
        stream = f"#EXTM3U\n#EXT-X-TARGETDURATION:12\n#EXTINF:12,\n{inner.url}/video.mp4\n#EXT-X-ENDLIST\n"
        playlist = server.add("/index.m3u8", Page(stream, "application/vnd.apple.mpegurl"))
        for url in (link, page, playlist):
            with pytest.raises(errors.RefusedAddress, match=r"127\.0\.0\.2 was refused"):
                fetched(url)
        assert inner.requests == []
        assert isinstance(fetched(link, allowed_addresses=("127.0.0.0/8",)), Downloaded)


def test_a_proxy_is_used_where_it_is_allowed(fetched, server, video):
    server.add("/video.mp4", File(video))
    with web_server("127.0.0.2") as proxy:
        with pytest.raises(errors.RefusedAddress, match=r"127\.0\.0\.2"):
            fetched("http://example.com/video.mp4", proxy=proxy.url)
        with pytest.raises(errors.RemovedVideo):
            fetched("http://example.com/video.mp4", proxy=proxy.url, allowed_addresses=("127.0.0.2",))
        assert [request.headers["host"] for request in proxy.requests] == ["example.com"]


def test_what_the_owner_reserves_is_left_out_before_its_bytes_come(fetched, server, video):
    for headers, reason in (
        ({"X-Robots-Tag": "noai, max-snippet:5"}, "X-Robots-Tag: noai"),
        ({"X-Robots-Tag": "NoIndex, NOFOLLOW"}, "X-Robots-Tag: noindex"),
        ({"X-Robots-Tag": "none"}, "X-Robots-Tag: none"),
        ({"tdm-reservation": "1"}, "tdm-reservation: 1"),
    ):
        url = server.add("/video.mp4", File(video, headers))
        assert fetched(url) == LeftOut("OptedOut", f"{reason} at {url}")
        server.add("/page", page_with_video("video.mp4"))
        assert fetched(f"{server.url}/page") == LeftOut("OptedOut", f"{reason} at {url}")
    assert all(request.range is None for request in server.requests)


@pytest.mark.parametrize(
    "headers",
    [{"X-Robots-Tag": "otherbot: noai"}, {"X-Robots-Tag": "nofollow, max-snippet:5"}, {"tdm-reservation": "0"}],
)
def test_what_is_not_reserved_is_taken(fetched, server, video, headers):
    assert isinstance(fetched(server.add("/video.mp4", File(video, headers))), Downloaded)


def test_the_header_of_a_page_is_not_about_its_video(fetched, server, video):
    server.add("/video.mp4", File(video))
    page = page_with_video("video.mp4")
    url = server.add("/page", replace(page, headers={"X-Robots-Tag": "noindex"}))
    assert isinstance(fetched(url), Downloaded)


def test_the_rules_of_the_crawl_are_obeyed_before_the_video_is_fetched(fetched, server, video, tmp_path):
    url = server.add_hls("/live", video, tmp_path / "hls")
    assert fetched(url, min_duration_seconds=20) == LeftOut("TooShort", "12 s; the shortest taken are 20 s")
    assert fetched(url, max_duration_seconds=11) == LeftOut("TooLong", "12 s; the longest taken are 11 s")
    small = master(server, video, tmp_path, (180,))
    assert fetched(small) == LeftOut("TooSmall", "320x180; the shorter side must have 360 pixels")
    link = server.add("/video.mp4", File(video))
    size = video.stat().st_size
    large = f"{size} bytes or more; the most that are taken are 1000"
    assert fetched(link, max_bytes=1000) == LeftOut("TooLarge", large)
    assert not [request for request in server.requests if request.path.endswith(".ts")]


def test_a_stream_that_grows_beyond_the_limit_is_left(fetched, server, video, tmp_path):
    left_out = fetched(server.add_hls("/live", video, tmp_path / "hls"), max_bytes=150_000)
    assert left_out.reason_class == "TooLarge"
    assert not server.asked("/live/segment011.ts")


def test_a_live_stream_is_left_out(fetched, server):
    live = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:4,\nseven.ts\n"
    left_out = fetched(server.add("/live.m3u8", Page(live, "application/vnd.apple.mpegurl")))
    assert left_out.reason_class == "LiveStream"
    assert not server.asked("/seven.ts")


def test_a_page_with_several_videos_is_a_feed(fetched, server, video, tmp_path):
    feed = server.add_feed("/feed.rss")
    for number in range(3):
        feed.add(server.add(f"/{number}.mp4", File(video)))
    with pytest.raises(errors.IsPlaylist, match="add it as a feed"):
        fetched(f"{server.url}/feed.rss")
    assert {request.path for request in server.requests} == {"/feed.rss"}


def page_with_tracks(**tracks):
    tags = "".join(f'<track kind="subtitles" srclang="{tag}" src="{src}">' for tag, src in tracks.items())
    return Page(f'<html><video><source src="video.mp4" type="video/mp4">{tags}</video></html>')


def test_subtitles_come_with_names_that_tell_their_language(fetched, server, video, tmp_path):
    server.add("/video.mp4", File(video))
    for name in ("de", "pt", "evil"):
        server.add(f"/{name}.vtt", Page(f"WEBVTT\n\n00:00.000 --> 00:01.000\n{name}\n", "text/vtt"))
    tracks = {"de": "de.vtt", "pt-BR": "pt.vtt", "fr": "gone.vtt", "../../evil": "evil.vtt"}
    result = fetched(server.add("/page", page_with_tracks(**tracks)))
    assert [os.path.basename(path) for path in result.subtitles] == ["de.vtt", "pt-BR.vtt"]
    assert Path(result.subtitles[1]).read_text() == "WEBVTT\n\n00:00.000 --> 00:01.000\npt\n"
    assert tags_in_name("media.mp4", result.subtitles[1]).language == "pt"
    missing = next(warning for warning in result.warnings if "fr.vtt" in warning)
    assert missing.startswith("no subtitles fr.vtt: RemovedVideo: ")
    assert files_under(tmp_path) == [f"folder/{name}" for name in ("de.vtt", "media.mp4", "offered.json", "pt-BR.vtt")]
    assert fetched(f"{server.url}/page", subtitles=False).subtitles == ()


def track_names(info, **changes):
    return [name for name, _ in _tracks(info, DownloadSettings(**changes))]


def form(ext, url="https://example.com/x"):
    return {"ext": ext, "url": url}


def test_the_spoken_languages_subtitles_come_first_and_chats_are_none():
    forms = [form("json3"), form("ttml"), form("vtt")]
    info = {"language": "de-DE", "subtitles": {"fr": forms, "en-GB": forms, "de": forms, "live_chat": [form("json")]}}
    assert track_names(info) == ["de.vtt", "en-GB.vtt", "fr.vtt"]
    assert track_names(info, max_subtitles=2) == ["de.vtt", "en-GB.vtt"]
    assert track_names({"subtitles": {"fr": [form("3gp")]}}) == [], "a form that is not read"


def test_of_automatic_subtitles_only_the_spoken_languages_are_taken_and_none_that_was_translated():
    translated = [form("vtt", "https://example.com/x?tlang=fr"), form("json3", "https://example.com/x?tlang=fr")]
    original = [form("json3"), form("vtt")]
    youtube = {"language": "de", "automatic_captions": {"fr": translated, "de-orig": original, "de": original}}
    assert track_names(youtube) == ["de.auto.json3"]
    assert track_names(youtube, automatic_subtitles=False) == []
    assert track_names({**youtube, "subtitles": {"de": [form("vtt")]}}) == ["de.vtt"], "people wrote them"
    assert track_names({**youtube, "subtitles": {"fr": [form("vtt")]}}) == ["fr.vtt", "de.auto.json3"]
    english = {"language": "en", "automatic_captions": {"en": [form("vtt")], "fr": translated}}
    assert track_names(english) == ["en.auto.vtt"]
    assert track_names({"automatic_captions": {"en": [form("vtt")]}}) == [], "which is spoken is not known"
    tags = tags_in_name("media.mp4", "de.auto.json3")
    assert (tags.language, tags.is_automatic) == ("de", True)


def test_a_video_whose_subtitles_meet_a_rate_limit_is_fetched_once(fetched, server, video):
    server.add("/video.mp4", File(video))
    server.add("/de.vtt", Status(429, {"Retry-After": "9"}), Page("WEBVTT\n", "text/vtt"))
    url = server.add("/page", page_with_tracks(de="de.vtt"))
    with pytest.raises(errors.RateLimited):
        fetched(url)
    assert [os.path.basename(path) for path in fetched(url).subtitles] == ["de.vtt"]
    assert len(server.asked("/video.mp4")) == 1


def test_nothing_escapes_the_folder(fetched, server, video, tmp_path):
    title = "../../../tmp/evil\x00\x1b[31m\u202e\n" + "t" * 5_000
    server.add("/a/..%2f..%2fevil/video.mp4", File(video))
    server.add("/video.mp4", File(video))
    for url in (
        server.add("/page", page_with_video("video.mp4", title, description="d" * 50_000 + "\x07")),
        f"{server.url}/a/..%2f..%2fevil/video.mp4",
    ):
        metadata = fetched(url).metadata
        assert files_under(tmp_path) == ["folder/media.mp4", "folder/offered.json"]
        assert len(metadata["title"]) <= 1_000
        assert metadata["title"].isprintable() or "\u202e" in metadata["title"]
        assert metadata["description"] in (None, "d" * 20_000)


def test_cookies_and_the_agents_name_are_sent_and_the_cookie_file_stays_as_it_is(fetched, server, video, tmp_path):
    jar = tmp_path / "cookies.txt"
    jar.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tvisitor\tme\n")
    before = jar.read_bytes()
    url = server.add("/video.mp4", File(video, {"Set-Cookie": "seen=1"}))
    fetched(url, cookies_file=str(jar), user_agent="lakehouse/1")
    assert {request.headers["user-agent"] for request in server.requests} == {"lakehouse/1"}
    assert all("visitor=me" in request.headers["cookie"] for request in server.requests)
    assert jar.read_bytes() == before


def killed_while(until, condition, *arguments):
    """download(*arguments) in a process that is killed as soon as the condition is true."""
    process = multiprocessing.get_context("spawn").Process(target=download, args=arguments)
    process.start()
    until(condition)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_killed_download_goes_on_by_a_range_request(fetched, server, video, tmp_path, small_settings, until):
    part = tmp_path / "folder" / "media.mp4.part"
    url = server.add("/video.mp4", File(video), File(video, stalls_after=300_000), File(video))
    arguments = (url, str(tmp_path / "folder"), replace(small_settings, timeout_seconds=60))
    killed_while(until, lambda: part.exists() and part.stat().st_size > 100_000, *arguments)
    part_bytes = part.stat().st_size
    assert fetched(url).sha256 == sha256(video)
    assert [request.range for request in server.asked("/video.mp4")] == [None, None, None, f"bytes={part_bytes}-"]


def test_a_killed_download_of_another_file_begins_anew(fetched, server, video, tmp_path, small_settings, until):
    part = tmp_path / "folder" / "media.mp4.part"
    old, new = ({"ETag": f'"{name}"'} for name in ("old", "new"))
    url = server.add("/video.mp4", File(video, old), File(video, old, stalls_after=300_000), File(video, new))
    arguments = (url, str(tmp_path / "folder"), replace(small_settings, timeout_seconds=60))
    killed_while(until, lambda: part.exists() and part.stat().st_size > 100_000, *arguments)
    assert fetched(url).sha256 == sha256(video)
    assert [request.range for request in server.asked("/video.mp4")] == [None] * 4


def test_a_killed_stream_goes_on_with_the_part_it_was_at(fetched, server, video, tmp_path, small_settings, until):
    url = server.add_hls("/live", video, tmp_path / "hls")
    sixth = tmp_path / "hls" / "segment006.ts"
    server.add("/live/segment006.ts", File(sixth, stalls_after=1_000), File(sixth))
    arguments = (url, str(tmp_path / "folder"), replace(small_settings, timeout_seconds=60))
    killed_while(until, lambda: server.asked("/live/segment006.ts"), *arguments)
    result = fetched(url)
    assert [len(server.asked(f"/live/segment{number:03}.ts")) for number in range(12)] == [1] * 6 + [2] + [1] * 5
    with av.open(result.path) as container:
        assert container.streams.video[0].frames == 60


def test_a_video_that_is_there_already_is_not_fetched_again(fetched, server, video):
    url = server.add("/video.mp4", File(video))
    first, second = fetched(url), fetched(url)
    assert first == second
    assert len(server.asked("/video.mp4")) == 3  # the second call requests only the headers
