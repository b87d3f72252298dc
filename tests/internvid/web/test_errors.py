"""Classification of yt-dlp's own errors, with the words that sites and its extractors use."""

import errno
import pickle
from io import BytesIO
from pathlib import Path

import pytest
import yt_dlp
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, NoSupportingHandlers, TransportError
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    UnavailableVideoError,
    UnsupportedError,
    UserNotLive,
)

from internvid.web import errors
from internvid.web.errors import WebError, as_web_error

# What YouTube's player answers; yt-dlp passes it on.
YOUTUBE = [
    ("Private video. Sign in if you've been granted access to this video", "PrivateVideo"),
    ("Video unavailable. This video is private", "PrivateVideo"),
    ("Video unavailable", "RemovedVideo"),
    ("Video unavailable. This video has been removed by the uploader", "RemovedVideo"),
    ("This video has been removed for violating YouTube's Terms of Service", "RemovedVideo"),
    (
        "Video unavailable. This video is no longer available because the YouTube account associated with this video "
        "has been terminated.",
        "RemovedVideo",
    ),
    ("Video unavailable. This video is no longer available due to a copyright claim by Some Studio", "RemovedVideo"),
    ("This video is not available", "RemovedVideo"),
    ("This live stream recording is not available.", "RemovedVideo"),
    (
        "Video unavailable. This video contains content from SME, who has blocked it in your country on copyright "
        "grounds",
        "GeoBlocked",
    ),
    (
        "Video unavailable. This video contains content from SME, who has blocked it on copyright grounds",
        "RemovedVideo",
    ),
    ("Sign in to confirm your age. This video may be inappropriate for some users.", "AgeGated"),
    ("Sign in to confirm you’re not a bot", "BotCheck"),
    ("Sign in to confirm you're not a bot", "BotCheck"),
    (
        "This video is available to this channel's members on level: Fans (or any higher level). Join this channel to "
        "get access to members-only content and other exclusive perks.",
        "LoginRequired",
    ),
    ("This video requires payment to watch", "LoginRequired"),
    ("Premieres in 3 days", "NotYetAvailable"),
    ("Premiere will begin shortly", "NotYetAvailable"),
    ("This live event will begin in 2 hours.", "NotYetAvailable"),
]
# What yt-dlp's own files say: the words, and the file under yt_dlp/extractor that has them.
YT_DLP = [
    (". YouTube is requiring a captcha challenge before playback", "youtube/_video.py", "BotCheck"),
    ("has been rate-limited by YouTube for up to an hour.", "youtube/_video.py", "RateLimited"),
    ("The channel/playlist does not exist and the URL redirected", "youtube/_tab.py", "RemovedVideo"),
    ("Failed to resolve url (does the playlist exist?)", "youtube/_tab.py", "RemovedVideo"),
    ("Got HTTP Error 403 caused by Cloudflare anti-bot challenge; ", "generic.py", "BotCheck"),
    ("asks you to solve a CAPTCHA", "yandexmusic.py", "BotCheck"),
    ("Request is rejected by server (352)", "bilibili.py", "BotCheck"),
    ("This video is only available for registered users", "common.py", "LoginRequired"),
    ("This video is DRM protected", "common.py", "UnusableFormat"),
    ("This livestream has not yet started", None, "NotYetAvailable"),
    ("You have exceeded the rate limit. Try again later", None, "RateLimited"),
    ("NSFW tweet requires authentication", "twitter.py", "AgeGated"),
    ("This VOD is private", None, "PrivateVideo"),
    ("This video is no longer available", None, "RemovedVideo"),
    ("The video is no longer available", None, "RemovedVideo"),
    ("No video could be found in this tweet", "twitter.py", "NotAVideo"),
    ("This article does not contain a video", None, "NotAVideo"),
    ("This VOD is for subscribers only", None, "LoginRequired"),
    ("Your IP address is blocked from accessing this post", "tiktok.py", "Forbidden"),
    ("This video is not available from your location due to geo restriction", "common.py", "GeoBlocked"),
]


def extractor_error(words: str, cause: Exception | None = None) -> DownloadError:
    """Returns an extractor's error as YoutubeDL reports it."""
    error = ExtractorError(words, expected=True, video_id="dQw4w9WgXcQ", ie="youtube", cause=cause)
    try:
        raise error
    except ExtractorError:
        return reported(str(error), error)


def reported(words: str, error: Exception) -> DownloadError:
    return DownloadError(f"\x1b[0;31mERROR:\x1b[0m {words}", (type(error), error, None))


def http(status: int, reason: str = "Reason", **headers: str) -> HTTPError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPError(Response(BytesIO(), "https://example.com/", named, status=status, reason=reason))


@pytest.mark.parametrize(("words", "name"), YOUTUBE)
def test_what_youtube_says(words, name):
    error = as_web_error(extractor_error(words))
    assert (type(error).__name__, str(error)) == (name, f"[youtube] dQw4w9WgXcQ: {words}")


@pytest.mark.parametrize(("words", "file", "name"), YT_DLP)
def test_what_extractors_say_and_where_they_say_it(words, file, name):
    folder = Path(yt_dlp.__file__).parent / "extractor"
    files = [folder / file] if file else folder.glob("*.py")
    assert any(words in source.read_text(encoding="utf-8") for source in files), "yt-dlp words it otherwise now"
    assert type(as_web_error(extractor_error(words))).__name__ == name


def test_youtubes_limit_and_a_video_that_is_gone_begin_alike():
    limit = (
        "This content isn't available, try again later. The current session has been rate-limited by YouTube for up to "
        "an hour."
    )
    assert type(as_web_error(extractor_error(limit))) is errors.RateLimited
    assert type(as_web_error(extractor_error("This content isn't available"))) is errors.RemovedVideo


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (401, "LoginRequired"),
        (403, "Forbidden"),
        (404, "RemovedVideo"),
        (408, "NetworkTrouble"),
        (410, "RemovedVideo"),
        (429, "RateLimited"),
        (451, "GeoBlocked"),
        (500, "NetworkTrouble"),
        (502, "NetworkTrouble"),
        (503, "NetworkTrouble"),
        (400, "UnknownTrouble"),
        (418, "UnknownTrouble"),
    ],
)
def test_a_status_among_the_causes_decides(status, name):
    cause = http(status)
    error = as_web_error(extractor_error("Unable to download webpage", cause))
    assert type(error).__name__ == name
    assert str(error).startswith("[youtube] dQw4w9WgXcQ: Unable to download webpage (caused by <HTTPError")
    assert type(as_web_error(cause)).__name__ == name


def test_a_403_of_a_bot_check_is_one():
    assert (
        type(as_web_error(extractor_error("Unable to download", http(403, cf_mitigated="challenge"))))
        is errors.BotCheck
    )
    assert type(as_web_error(extractor_error("asks you to solve a CAPTCHA", http(403)))) is errors.BotCheck


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), ("0", 0.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("soon", None), ("-5", None), (None, None)],
)
def test_how_long_a_rate_limit_lasts(header, seconds):
    headers = {} if header is None else {"Retry_After": header}
    error = as_web_error(extractor_error("Unable to download webpage", http(429, **headers)))
    assert (type(error), error.retry_after_seconds) == (errors.RateLimited, seconds)


def test_a_rate_limit_until_a_date_lasts_until_then():
    far = as_web_error(http(429, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT"))
    assert far.retry_after_seconds > 1e9


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (GeoRestrictedError("not here", countries=["DE"]), "GeoBlocked"),
        (UnsupportedError("https://example.com/private-video-has-been-removed"), "NotAVideo"),
        (UserNotLive(), "NotYetAvailable"),
        (ContentTooShortError(10, 20), "NetworkTrouble"),
        (TransportError("The read operation timed out"), "NetworkTrouble"),
        (IncompleteRead(5, 10), "NetworkTrouble"),
        (
            ExtractorError("Got error: Downloaded 5 bytes, expected 10 bytes. Giving up after 2 retries"),
            "NetworkTrouble",
        ),
        (http(302, location="file:///etc/passwd"), "RefusedAddress"),
        (HTTPError(http(302).response, redirect_loop=True), "RedirectLoop"),
        (TimeoutError("timed out"), "NetworkTrouble"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "NetworkTrouble"),
        (OSError(errno.ENOSPC, "No space left on device"), "DiskFull"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "DiskFull"),
        (PermissionError(errno.EACCES, "Permission denied"), "UnknownTrouble"),
        (KeyError("videoDetails"), "UnknownTrouble"),
        (ExtractorError("Unable to extract player version"), "UnknownTrouble"),
        (ExtractorError("Requested format is not available"), "UnusableFormat"),
        (ExtractorError("No video formats found!"), "UnusableFormat"),
    ],
)
def test_errors_of_yt_dlp_and_of_the_system(error, name):
    assert type(as_web_error(error)).__name__ == name
    assert type(as_web_error(reported(str(error), error))).__name__ == name


def test_a_full_disk_is_found_behind_what_yt_dlp_makes_of_it():
    def write():
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as full:
            raise UnavailableVideoError(full)  # noqa: B904 - as yt-dlp does

    with pytest.raises(UnavailableVideoError) as caught:
        write()
    assert type(as_web_error(reported(str(caught.value), caught.value))) is errors.DiskFull


def test_a_refused_address_is_found_behind_what_yt_dlp_makes_of_it():
    refused = errors.RefusedAddress("127.0.0.1 was refused")
    assert as_web_error(reported("Unable to handle request", NoSupportingHandlers([], [refused]))) is refused
    assert as_web_error(extractor_error("Unable to download webpage", refused)) is refused


def test_the_text_is_the_original_one_without_what_a_terminal_would_do():
    error = as_web_error(reported("bad \x1b[31mred\x1b[0m\x00\x07 words\n" + "x" * 10_000, ExtractorError("x")))
    assert str(error).startswith("bad red words\nxxx")
    assert len(str(error)) == errors.MAX_TEXT_CHARACTERS
    assert str(as_web_error(KeyError("videoDetails"))) == "KeyError: 'videoDetails'"


def test_errors_travel_between_processes():
    for name, member in vars(errors).items():
        if isinstance(member, type) and issubclass(member, WebError):
            error = member("its words")
            copy = pickle.loads(pickle.dumps(error))
            assert (type(copy).__name__, str(copy)) == (name, "its words")
    limited = as_web_error(http(429, Retry_After="7"))
    assert pickle.loads(pickle.dumps(limited)).retry_after_seconds == 7.0
