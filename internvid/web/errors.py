"""What goes wrong with videos of the web, in classes that tell what to do about it; and which of them an error is.

The class decides whether and when a video is tried again. The text stays the one that the site or yt-dlp wrote.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

LONGEST_TEXT = 4_000  # characters


class WebError(Exception):
    """str(error) is the original text."""


class PrivateVideo(WebError):
    """Only people whom its owner chose may see it."""


class RemovedVideo(WebError):
    """It is not there, or no more: also 404 and 410."""


class GeoBlocked(WebError):
    """Not to be had in the country that we ask from."""


class AgeGated(WebError):
    """Only for accounts whose age is known."""


class LoginRequired(WebError):
    """Only for members, subscribers, or whoever has an account."""


class BotCheck(WebError):
    """The site wants to see a person. It will for all its videos: its queue should stop."""


class RateLimited(WebError):
    """The site was asked too often: its queue should stop. retry_after_seconds: as it says, or None."""

    retry_after_seconds: float | None = None


class Forbidden(WebError):
    """403, with no reason that tells more."""


class NetworkTrouble(WebError):
    """Timeouts, resets, names that do not resolve, 5xx, bodies cut off: worth another try."""


class RedirectLoop(WebError):
    """It leads to itself."""


class UnusableFormat(WebError):
    """There is no video in a form that can be taken, or it is encrypted."""


class NotAVideo(WebError):
    """A page of text, a picture, a sound, or a site that yt-dlp does not know."""


class IsPlaylist(WebError):
    """Several videos where one was asked for."""


class NotYetAvailable(WebError):
    """A premiere or live event to come."""


class DiskFull(WebError):
    """No room for the file here."""


class RefusedAddress(WebError):
    """What is not connected to: addresses that are not public, and URLs that are not http or https."""


class UnknownTrouble(WebError):
    """The rest."""


def classed(error: BaseException) -> WebError:
    """The error in its class, by what is found first: an HTTP status among its causes, the system's own errors, the
    classes of yt-dlp, its words. One that is a WebError, or was caused by one, stays as it is."""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, WebError):
            return cause
    text = _text(error)
    for found in (_by_status, _by_system_error, _by_class, _by_words):
        if result := found(chain, text):
            return result
    return UnknownTrouble(text)


# Whose words they are stands beside them. The text is compared in lower case, with ' for ’. The first match wins.
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


def _by_status(chain: list[BaseException], text: str) -> WebError | None:
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
        if cause.status == 403 and (told := _by_words([], text)) and not isinstance(told, Forbidden):
            return told  # the site said why
        if 300 <= cause.status < 400 and not (cause.response.get_header("location") or "http").startswith("http"):
            return RefusedAddress(text)  # what urllib does not follow; relative addresses it does
        if 500 <= cause.status < 600:
            return NetworkTrouble(text)
        if cause.status in _STATUS:
            return _STATUS[cause.status](text)
    return None


def _by_system_error(chain: list[BaseException], text: str) -> WebError | None:
    for cause in chain:
        if isinstance(cause, OSError):
            if cause.errno in _NO_ROOM:
                return DiskFull(text)
            if isinstance(cause, (TimeoutError, ConnectionError)):
                return NetworkTrouble(text)
    return None


def _by_class(chain: list[BaseException], text: str) -> WebError | None:
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
        for of_yt_dlp, ours in classes:
            if isinstance(cause, of_yt_dlp):
                return ours(text)
    return None


def _by_words(chain: list[BaseException], text: str) -> WebError | None:
    lower = text.lower().replace("\u2019", "'")
    for ours, words in _WORDS:
        if re.search(words, lower):
            return ours(text)
    return None


def _rate_limited(text: str, retry_after: str | None) -> RateLimited:
    error = RateLimited(text)
    error.retry_after_seconds = _seconds(retry_after)
    return error


def _seconds(retry_after: str | None) -> float | None:
    """Of a Retry-After header, which has seconds or a date; None for one that has neither."""
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
    """The error and what caused it, nearest first, in all the ways in which yt-dlp keeps causes."""
    waiting, seen = [error], set()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [found for found in _direct_causes(cause) if isinstance(found, BaseException)]


def _direct_causes(error: BaseException) -> list[Any]:
    from yt_dlp.utils import UnavailableVideoError

    found = [getattr(error, "cause", None), error.__cause__, *getattr(error, "unexpected_errors", ())]
    found += list(getattr(error, "unsupported_errors", ()))
    exc_info = getattr(error, "exc_info", None)
    if exc_info:
        found.append(exc_info[1])
    # Of others, what was being handled when they came need not be their cause.
    if isinstance(error, UnavailableVideoError):
        found.append(error.__context__)
    return found


_TERMINAL = re.compile(r"\x1b\[[0-9;]*m")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def _text(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    if type(error).__module__ == "builtins" and not isinstance(error, OSError):
        text = f"{type(error).__name__}: {text}"  # KeyError('x') alone would be 'x'
    text = _UNPRINTABLE.sub("", _TERMINAL.sub("", text))
    return text.strip().removeprefix("ERROR: ")[:LONGEST_TEXT]
