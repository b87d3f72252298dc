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
