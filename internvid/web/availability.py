"""Whether a video of the web can still be had."""

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
    """licence: as the site states it now. opted_out: what its owner says against its use now, or None."""

    licence: str | None
    opted_out: str | None = None


def check(url: str, settings: DownloadSettings) -> Availability:
    """That it can be had, by what its site says and without its bytes; or the WebError that says why not.

    For a process made for it, as `download`.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise RefusedAddress(f"{url[:200]} was refused: only http and https URLs are opened")
    from internvid.web.session import CrawlRule, asked

    try:
        return asked(lambda: _check(url, settings))
    except CrawlRule as rule:
        left_out = rule.left_out
        return Availability(None, left_out.reason if left_out.reason_class == "OptedOut" else None)


def _check(url: str, settings: DownloadSettings) -> Availability:
    from internvid.web.session import CONTAINERS, Session, single

    with Session(settings) as session:
        if PurePosixPath(urlsplit(url).path).suffix.lower().removeprefix(".") in CONTAINERS:
            headers = session.headers_of(url)
            if is_page(headers):
                raise NotAVideo(f"{url} is {headers['Content-Type']}")
            return Availability(None)
        return Availability(cleaned(single(session, url).get("license"), 200))
