"""Which videos of the web are left out, by what their site says of them before their bytes come."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Any

from internvid.web.settings import DownloadSettings

# What is asked for on the way to a video: noindex in the header of a page is about the page.
_PAGE = re.compile(r"text/|application/(?:[^;]*\+)?(?:json|xml|(?:x-)?javascript)", re.IGNORECASE)


@dataclass(frozen=True)
class LeftOut:
    """reason_class: TooShort, TooLong, TooSmall, TooLarge, LiveStream or OptedOut."""

    reason_class: str
    reason: str


def left_out_by_metadata(info: Mapping[str, Any], settings: DownloadSettings) -> LeftOut | None:
    """info: of yt-dlp, with the format that would be taken. What it does not say is no reason."""
    if info.get("is_live") or info.get("live_status") in ("is_live", "post_live"):
        return LeftOut("LiveStream", "it is live: what is recorded of it is not there yet")
    seconds = info.get("duration")
    if seconds is not None and seconds < settings.shortest_seconds:
        return LeftOut("TooShort", f"{seconds:g} s; the shortest taken are {settings.shortest_seconds:g} s")
    if seconds is not None and seconds > settings.longest_seconds:
        return LeftOut("TooLong", f"{seconds:g} s; the longest taken are {settings.longest_seconds:g} s")
    width, height = info.get("width"), info.get("height")
    if width and height and min(width, height) < settings.shortest_side:
        return LeftOut("TooSmall", f"{width}x{height}; the shorter side must have {settings.shortest_side} pixels")
    sizes = [part.get("filesize") or 0 for part in info.get("requested_formats") or [info]]
    return left_out_by_size(sum(sizes), settings)


def left_out_by_size(size_bytes: int, settings: DownloadSettings) -> LeftOut | None:
    if size_bytes > settings.most_bytes:
        return LeftOut("TooLarge", f"{size_bytes} bytes or more; the most that are taken are {settings.most_bytes}")
    return None


def is_page(headers: Message) -> bool:
    """Whether a person or a program is to read it, by its Content-Type."""
    return bool(_PAGE.match(headers.get("Content-Type") or ""))


def left_out_by_headers(url: str, headers: Message, settings: DownloadSettings) -> LeftOut | None:
    """Of an answer with media: whether its owner forbids it to be mined, and whether it is too large.

    Read as img2dataset reads them: what X-Robots-Tag says to all robots; what it says to one by name is not to us.
    `tdm-reservation: 1` is the W3C community's TDM Reservation Protocol.
    """
    if is_page(headers):
        return None
    for value in headers.get_all("X-Robots-Tag", []):
        if refused := sorted(_directives(value).intersection(settings.robots_refused)):
            return LeftOut("OptedOut", f"X-Robots-Tag: {', '.join(refused)} at {url[:500]}")
    if (headers.get("tdm-reservation") or "").strip() == "1":
        return LeftOut("OptedOut", f"tdm-reservation: 1 at {url[:500]}")
    return left_out_by_size(_whole_size(headers), settings)


def _directives(value: str) -> set[str]:
    """noai, noindex -> both; somebot: noindex -> none, for it is said to another; max-snippet:5 -> none."""
    robot, colon, _ = value.partition(":")
    if colon and "," not in robot:
        return set()
    return {directive.strip().lower() for directive in value.split(",")}


def _whole_size(headers: Message) -> int:
    """Bytes of the whole file, of a range of it as well; 0 where the headers do not say."""
    numbers: Sequence[str | None] = (
        (headers.get("Content-Range") or "").rpartition("/")[2],
        headers.get("Content-Length"),
    )
    return next((int(number) for number in numbers if number and number.isdecimal()), 0)
