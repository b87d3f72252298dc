"""Classes of errors with videos of the web, and the classification of yt-dlp's errors into them.

The class decides whether and when a video is tried again. The text stays as the site or yt-dlp wrote it.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

MAX_TEXT_CHARACTERS = 4_000


class WebError(Exception):
    """An error with a video of the web. str(error) is the original text."""


class PrivateVideo(WebError):
    """The video is visible only to people whom its owner chose."""


class RemovedVideo(WebError):
    """The video does not exist, or no longer: also 404 and 410."""


class GeoBlocked(WebError):
    """The video is not available in the country of this machine."""


class AgeGated(WebError):
    """The video needs an account with a confirmed age."""


class LoginRequired(WebError):
    """The video needs an account, a membership or a subscription."""


class BotCheck(WebError):
    """The site asks for proof of a human. This holds for all its videos: its queue should stop."""


class RateLimited(WebError):
    """The site received too many requests: its queue should stop. retry_after_seconds: as it says, or None."""

    retry_after_seconds: float | None = None


class Forbidden(WebError):
    """403 without a more specific reason."""


class BelowAvailable(WebError):
    """The video was fetched smaller than its site has it: the larger formats were not offered to this client."""


class NetworkTrouble(WebError):
    """A transient failure: timeout, reset, name that does not resolve, 5xx, body cut off. Worth another try."""


class RedirectLoop(WebError):
    """The redirects lead back to where they began."""


class UnusableFormat(WebError):
    """The video has no usable format, or is encrypted."""


class NotAVideo(WebError):
    """The URL is a page of text, a picture, a sound, or on a site that yt-dlp does not know."""


class IsPlaylist(WebError):
    """The URL lists several videos where a single one was expected."""


class NotYetAvailable(WebError):
    """The video is a premiere or live event that has not begun."""


class DiskFull(WebError):
    """This machine has no room for the file."""


class AnswerTooLarge(WebError):
    """The site answered with a page, list or playlist that is too large to be read as a whole."""


class RefusedAddress(WebError):
    """The guard refused to connect: the address is not public, or the URL is not http or https."""


class UnknownTrouble(WebError):
    """Any error that no other class describes."""


def as_web_error(error: BaseException) -> WebError:
    """Converts any error into a WebError.

    The first of these decides: an HTTP status among its causes, an error of the operating system, yt-dlp's class, the
    words of its message. A WebError, or the WebError that caused it, is returned unchanged.
    """
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, WebError):
            return cause
    text = _text(error)
    for rule in (_from_status, _from_system_error, _from_class, _from_words):
        if web_error := rule(chain, text):
            return web_error
    return UnknownTrouble(text)


# The comment names whose words they are. The text is compared in lower case, with ' for ’. The first match wins.
_WORDS: tuple[tuple[type[WebError], str], ...] = (
    (BotCheck, r"confirm you're not a bot"),  # YouTube
    (BotCheck, r"requiring a captcha challenge"),  # yt-dlp, of YouTube
    (BotCheck, r"\bcaptcha\b"),  # yt-dlp, of Udemy, Yandex and others
    (BotCheck, r"anti-bot challenge|client challenge webpage"),  # yt-dlp, of Cloudflare and Fastly
    (BotCheck, r"suspected as a bot"),  # yt-dlp, of Youku
    (BotCheck, r"request is rejected by server \(352\)"),  # yt-dlp, of BiliBili's check of visitors
    (RateLimited, r"this content isn't available, try again later"),  # YouTube
    (RateLimited, r"has been rate-limited|rate-limit reached|you are rate-limited|exceeded the rate limit"),  # yt-dlp
    (RateLimited, r"http error 429|too many requests"),
    (NotYetAvailable, r"premieres in|premiere will begin|live event will begin|live event is scheduled"),  # YouTube
    (NotYetAvailable, r"has not yet started|not started yet|not available yet|will be available after|will start at"),
    (AgeGated, r"confirm your age|age-restricted|inappropriate for some users"),  # YouTube
    (AgeGated, r"age verified users|nsfw tweet requires authentication|age-gated"),  # yt-dlp, of others
    (PrivateVideo, r"private video|video is private|vod is private|private playlist|playlist is private"),  # YouTube
    (PrivateVideo, r"granted access to this video"),  # YouTube
    (LoginRequired, r"join this channel|members-only|this channel's members|requires payment"),  # YouTube
    (GeoBlocked, r"in your (?:country|region)|from your location|geo.?restrict|blocked in this region"),  # YouTube, all
    (UnusableFormat, r"drm.protected|protected by drm|requested format is not available|no video formats found"),
    (UnusableFormat, r"only images are available|no formats are available|no supported formats"),  # yt-dlp
    (RemovedVideo, r"has been removed|was deleted|been deleted|no longer available|account .*terminated"),  # YouTube
    (RemovedVideo, r"copyright grounds|copyright claim"),  # YouTube
    (RemovedVideo, r"video unavailable|video is unavailable|this video (?:is not|isn't) available"),  # YouTube
    (RemovedVideo, r"this content isn't available|recording is not available|content is currently unavailable"),
    (RemovedVideo, r"does not exist|does the playlist exist|no such video|(?:video|page|content) not found"),  # yt-dlp
    (NotAVideo, r"unsupported url|is not a valid url|unsupported content type"),  # yt-dlp
    (NotAVideo, r"no videos? (?:was |were |content |could be )*found|does not (?:have|contain) (?:a|any) videos?"),
    (NotAVideo, r"there is no video|not a video|does not have a .* tab"),  # yt-dlp
    (LoginRequired, r"registered users|subscribers only|subscription|premium (?:users|members)|members only"),  # yt-dlp
    (LoginRequired, r"please (?:sign|log) ?in|log ?in (?:is )?required|requires login|must be logged|need to log ?in"),
    (LoginRequired, r"to provide account credentials|for the authentication"),  # yt-dlp, beside all that need cookies
    (RefusedAddress, r"no connection adapters were found|redirection to url .* is not allowed"),  # requests, urllib
    (DiskFull, r"no space left on device|disk quota exceeded"),
    (RedirectLoop, r"redirect loop"),
    (NetworkTrouble, r"timed out|connection (?:reset|refused|aborted)|getaddrinfo failed|name resolution"),
    (NetworkTrouble, r"downloaded \d+ bytes, expected \d+|bytes read, \d+ more expected|content too short"),  # yt-dlp
    (NetworkTrouble, r"did not get any data blocks"),  # yt-dlp
    (NetworkTrouble, r"fragment \d+ not found|http error 5\d\d|downloaded file is empty"),  # yt-dlp
    (Forbidden, r"http error 403|your ip address is"),
)
_STATUS: dict[int, type[WebError]] = {
    401: LoginRequired,
    402: LoginRequired,
    403: Forbidden,
    404: RemovedVideo,
    408: NetworkTrouble,
    410: RemovedVideo,
    425: NetworkTrouble,
    429: RateLimited,
    451: GeoBlocked,
}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _from_status(chain: list[BaseException], text: str) -> WebError | None:
    from yt_dlp.networking.exceptions import HTTPError

    for cause in chain:
        if not isinstance(cause, HTTPError):
            continue
        if cause.redirect_loop:
            return RedirectLoop(text)
        if cause.status == 403 and cause.response.get_header("cf-mitigated") == "challenge":
            return BotCheck(text)
        if cause.status == 429:
            return _rate_limited(text, cause.response.get_header("retry-after"))
        if cause.status == 403 and (reason := _from_words([], text)) and not isinstance(reason, Forbidden):
            return reason  # the site gave a more specific reason
        if 300 <= cause.status < 400 and not (cause.response.get_header("location") or "http").startswith("http"):
            return RefusedAddress(text)  # urllib follows relative addresses, but not this
        if 500 <= cause.status < 600:
            return NetworkTrouble(text)
        if cause.status in _STATUS:
            return _STATUS[cause.status](text)
    return None


def _from_system_error(chain: list[BaseException], text: str) -> WebError | None:
    for cause in chain:
        if isinstance(cause, OSError):
            if cause.errno in _NO_ROOM:
                return DiskFull(text)
            if isinstance(cause, (TimeoutError, ConnectionError)):
                return NetworkTrouble(text)
    return None


def _from_class(chain: list[BaseException], text: str) -> WebError | None:
    from yt_dlp import utils
    from yt_dlp.networking.exceptions import TransportError, UnsupportedRequest

    classes: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], type[WebError]], ...] = (
        (utils.GeoRestrictedError, GeoBlocked),
        (utils.UnsupportedError, NotAVideo),
        (utils.UserNotLive, NotYetAvailable),
        (utils.ContentTooShortError, NetworkTrouble),
        (TransportError, NetworkTrouble),
        (UnsupportedRequest, RefusedAddress),
    )
    for cause in chain:
        for yt_dlp_class, web_error_class in classes:
            if isinstance(cause, yt_dlp_class):
                return web_error_class(text)
    return None


def _from_words(chain: list[BaseException], text: str) -> WebError | None:
    lower = text.lower().replace("\u2019", "'")
    for web_error_class, words in _WORDS:
        if re.search(words, lower):
            return web_error_class(text)
    return None


def _rate_limited(text: str, retry_after: str | None) -> RateLimited:
    error = RateLimited(text)
    error.retry_after_seconds = _seconds(retry_after)
    return error


def _seconds(retry_after: str | None) -> float | None:
    """Parses a Retry-After header, which holds seconds or a date; None if it holds neither."""
    if not retry_after:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        then = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields the error and its causes, nearest first, from all the places in which yt-dlp keeps causes."""
    waiting, seen = [error], set()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [nested for nested in _direct_causes(cause) if isinstance(nested, BaseException)]


def _direct_causes(error: BaseException) -> list[Any]:
    from yt_dlp.utils import UnavailableVideoError

    causes = [getattr(error, "cause", None), error.__cause__, *getattr(error, "unexpected_errors", ())]
    causes += list(getattr(error, "unsupported_errors", ()))
    exc_info = getattr(error, "exc_info", None)
    if exc_info:
        causes.append(exc_info[1])
    # For other errors, the exception that was being handled need not be the cause.
    if isinstance(error, UnavailableVideoError):
        causes.append(error.__context__)
    return causes


_TERMINAL = re.compile(r"\x1b\[[0-9;]*m")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def _text(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    if type(error).__module__ == "builtins" and not isinstance(error, OSError):
        text = f"{type(error).__name__}: {text}"  # KeyError('x') alone would be 'x'
    text = _UNPRINTABLE.sub("", _TERMINAL.sub("", text))
    return text.strip().removeprefix("ERROR: ")[:MAX_TEXT_CHARACTERS]
