"""Addresses of the web: one canonical URL for each video, and the site whose rate limit applies to it."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs, quote, urlsplit, urlunsplit

_PORTS = {"http": 80, "https": 443}
_YOUTUBE = {"youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "gaming.youtube.com"}
_YOUTUBE_EMBEDDED = {"youtube-nocookie.com", "www.youtube-nocookie.com"}
_YOUTUBE_SHORT = {"youtu.be", "www.youtu.be", "y2u.be"}
_YOUTUBE_PATH = re.compile(r"/(?:shorts|live|embed|v|e)/(?P<id>[^/]+)")
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_ARCHIVED = re.compile(r"(?P<extractor>[A-Za-z0-9]+(?::[A-Za-z0-9:]+)?)[ \t]+(?P<id>[^\s/]+)")
_ARCHIVED_ADDRESSES = {
    "vimeo": "https://vimeo.com/{}",
    "dailymotion": "https://www.dailymotion.com/video/{}",
    "bilibili": "https://www.bilibili.com/video/{}",
    "ted": "https://www.ted.com/talks/{}",
    "archive.org": "https://archive.org/details/{}",
    "twitch:vod": "https://www.twitch.tv/videos/{}",
    "tiktok": "https://www.tiktok.com/@_/video/{}",
}
# A host with a path: what else has a point before its first slash is a folder.
_WITHOUT_SCHEME = re.compile(
    r"(?://)?(?:www\.[\w.-]+|(?:[a-z0-9-]+\.)+(?:com|org|net|tv|be|io|edu|gov|fr|de|uk|jp|cn|ru|nl|it|es|ch|at|info))"
    r"(?::\d+)?/\S+",
    re.IGNORECASE,
)
_TRACKING = re.compile(r"utm_[a-z_]+", re.IGNORECASE)
_SAFE = "/:?#[]@!$&'()*+,;=%~"  # reserved characters and what is encoded already: RFC 3986
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


def canonical_url(url: str) -> str:
    """Returns the canonical form of a URL.

    A YouTube video's URL becomes `youtube_url`. In any other URL the host is lower-case ASCII, and the default port,
    the fragment and utm_* parameters are removed.
    Raises ValueError if `url` is not an http or https URL, or contains a user name or password.
    """
    parts = _web(url)
    if video := _youtube_id(parts):
        return youtube_url(video)
    host = _host(parts)
    if host in _YOUTUBE:
        host = "www.youtube.com"
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    kept = [pair for pair in parts.query.split("&") if pair and not _TRACKING.fullmatch(pair.partition("=")[0])]
    bracketed = f"[{host}]" if ":" in host else host
    path, query = quote(parts.path or "/", safe=_SAFE), quote("&".join(kept), safe=_SAFE)
    return urlunsplit((parts.scheme, bracketed + port, path, query, ""))


def site_of(url: str) -> str:
    """Returns the host without www. and port; youtube.com for every YouTube address. Raises as `canonical_url`."""
    host = _host(_web(url))
    if host in _YOUTUBE | _YOUTUBE_EMBEDDED | _YOUTUBE_SHORT:
        return "youtube.com"
    return host.removeprefix("www.")


def youtube_url(video: str) -> str:
    """Returns the canonical URL of a YouTube video. video: its id: 11 letters, digits, - and _; else ValueError."""
    if not _YOUTUBE_ID.fullmatch(video):
        raise ValueError(f"{video[:100]!r} is no id of a YouTube video: those have 11 letters, digits, - and _")
    return f"https://www.youtube.com/watch?v={video}"


def meant_url(text: str) -> str | None:
    """Returns the URL that is meant by a text without a scheme; None if it is none that is known, a path perhaps.

    text: a YouTube id, a URL without https://, or a line of yt-dlp's archive (`youtube ID`). Raises ValueError for a
    line of the archive whose extractor does not tell the address.
    """
    text = text.strip()
    if _YOUTUBE_ID.fullmatch(text):
        return youtube_url(text)
    if match := _ARCHIVED.fullmatch(text):
        extractor, video = match["extractor"].lower(), match["id"]
        if extractor == "youtube":
            return youtube_url(video)
        if extractor in _ARCHIVED_ADDRESSES:
            return _ARCHIVED_ADDRESSES[extractor].format(video)
        if "." not in text and "/" not in text:
            raise ValueError(
                f"{text[:100]!r} looks like a line of yt-dlp's archive, and where {extractor} has it is not known: "
                "write its URL"
            )
    if _WITHOUT_SCHEME.match(text):
        return f"https://{text.removeprefix('//')}"
    return None


def youtube_id_of(url: str) -> str | None:
    """Returns the id of the YouTube video at the URL; None for other URLs, and for what is none."""
    try:
        return _youtube_id(_web(url))
    except ValueError:
        return None


def _web(url: str) -> SplitResult:
    text = url.strip()
    # urlsplit would drop some control characters: the URL that is checked must be the URL that is opened.
    if _CONTROL.search(text.replace(" ", "")):
        raise ValueError(f"{url[:200]!r} has control characters in it")
    parts = urlsplit(text)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url[:200]!r} is no http or https URL")
    if "@" in parts.netloc:
        raise ValueError(f"the URL at {parts.hostname} has a user name or password in it, which would stand in tables")
    _ = parts.port  # raises ValueError for an invalid port
    return parts


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    return host if host.isascii() else host.encode("idna").decode()


def _youtube_id(parts: SplitResult) -> str | None:
    host = _host(parts)
    if host in _YOUTUBE_SHORT:
        video: str | None = parts.path.strip("/")
    elif host not in _YOUTUBE | _YOUTUBE_EMBEDDED:
        return None
    elif match := _YOUTUBE_PATH.match(parts.path):
        video = match["id"]
    elif parts.path.rstrip("/") == "/watch":
        video = next(iter(parse_qs(parts.query).get("v", ())), None)
    else:
        return None
    return video if video and _YOUTUBE_ID.fullmatch(video) else None
