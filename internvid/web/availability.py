"""Checks whether a video on the web can still be downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from internvid.web.crawl_rules import is_page
from internvid.web.errors import NotAVideo, RefusedAddress
from internvid.web.metadata import cleaned
from internvid.web.settings import DownloadSettings


@dataclass(frozen=True)
class Availability:
    """Result of a successful check. licence: as the site states it now. opted_out: the owner's reservation, or None."""

    licence: str | None
    opted_out: str | None = None


def check(url: str, settings: DownloadSettings) -> Availability:
    """Checks by the site's metadata, without fetching the video's bytes, that the video can be downloaded.

    Run it in a process of its own, as `download`. Raises the WebError that says why it cannot be downloaded.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise RefusedAddress(f"{url[:200]} was refused: only http and https URLs are opened")
    from internvid.web.session import CrawlRule, web_errors_only

    try:
        return web_errors_only(lambda: _check(url, settings))
    except CrawlRule as rule:
        left_out = rule.left_out
        return Availability(None, left_out.reason if left_out.reason_class == "OptedOut" else None)


def _check(url: str, settings: DownloadSettings) -> Availability:
    from internvid.web.session import CONTAINERS, Session, single_video

    with Session(settings) as session:
        if PurePosixPath(urlsplit(url).path).suffix.lower().removeprefix(".") in CONTAINERS:
            headers = session.fetch_headers(url)
            if is_page(headers):
                raise NotAVideo(f"{url} is {headers['Content-Type']}")
            return Availability(None)
        return Availability(cleaned(single_video(session, url).get("license"), 200))
