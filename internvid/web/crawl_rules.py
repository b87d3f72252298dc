"""Decides which videos of the web are left out, by what their site says of them before their bytes are fetched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Any

from internvid.web.settings import DownloadSettings

# Pages and manifests fetched on the way to a video: noindex in the header of a page concerns the page.
_PAGE = re.compile(r"text/|application/(?:[^;]*\+)?(?:json|xml|(?:x-)?javascript)", re.IGNORECASE)


@dataclass(frozen=True)
class LeftOut:
    """A video that a rule excludes. reason_class: TooShort, TooLong, TooSmall, TooLarge, LiveStream or OptedOut."""

    reason_class: str
    reason: str


def left_out_by_metadata(info: Mapping[str, Any], settings: DownloadSettings) -> LeftOut | None:
    """Applies the rules to yt-dlp's `info`, with the format that would be taken. A missing value excludes nothing."""
    if info.get("is_live") or info.get("live_status") in ("is_live", "post_live"):
        return LeftOut("LiveStream", "it is live: what is recorded of it is not there yet")
    seconds = info.get("duration")
    if seconds is not None and seconds < settings.min_duration_seconds:
        return LeftOut("TooShort", f"{seconds:g} s; the shortest taken are {settings.min_duration_seconds:g} s")
    if seconds is not None and seconds > settings.max_duration_seconds:
        return LeftOut("TooLong", f"{seconds:g} s; the longest taken are {settings.max_duration_seconds:g} s")
    width, height = info.get("width"), info.get("height")
    if width and height and min(width, height) < settings.min_short_side:
        return LeftOut("TooSmall", f"{width}x{height}; the shorter side must have {settings.min_short_side} pixels")
    sizes = [part.get("filesize") or 0 for part in info.get("requested_formats") or [info]]
    return left_out_by_size(sum(sizes), settings)


def left_out_by_size(size_bytes: int, settings: DownloadSettings) -> LeftOut | None:
    """Applies the size limit. size_bytes: known so far; 0 if unknown."""
    if size_bytes > settings.max_bytes:
        return LeftOut("TooLarge", f"{size_bytes} bytes or more; the most that are taken are {settings.max_bytes}")
    return None


def is_page(headers: Message) -> bool:
    """Whether the response is a page, script or manifest rather than media, by its Content-Type."""
    return bool(_PAGE.match(headers.get("Content-Type") or ""))


def left_out_by_headers(url: str, headers: Message, settings: DownloadSettings) -> LeftOut | None:
    """Applies the rules to the headers of a media response: the owner's reservation, and the size.

    X-Robots-Tag is read as img2dataset reads it: directives for all robots count, those for a named robot do not.
    `tdm-reservation: 1` is the W3C community's TDM Reservation Protocol.
    """
    if is_page(headers):
        return None
    for value in headers.get_all("X-Robots-Tag", []):
        if refused := sorted(_directives(value).intersection(settings.robots_refused)):
            return LeftOut("OptedOut", f"X-Robots-Tag: {', '.join(refused)} at {url[:500]}")
    if (headers.get("tdm-reservation") or "").strip() == "1":
        return LeftOut("OptedOut", f"tdm-reservation: 1 at {url[:500]}")
    return left_out_by_size(_file_size(headers), settings)


def _directives(value: str) -> set[str]:
    """Parses X-Robots-Tag: noai, noindex -> both; somebot: noindex -> none, it names a robot; max-snippet:5 -> none."""
    robot, colon, _ = value.partition(":")
    if colon and "," not in robot:
        return set()
    return {directive.strip().lower() for directive in value.split(",")}


def _file_size(headers: Message) -> int:
    """Returns the bytes of the complete file, also if the response is a range of it; 0 if the headers do not say."""
    numbers: Sequence[str | None] = (
        (headers.get("Content-Range") or "").rpartition("/")[2],
        headers.get("Content-Length"),
    )
    return next((int(number) for number in numbers if number and number.isdecimal()), 0)
