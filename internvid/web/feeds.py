"""Lists the videos of a search, channel, playlist or page without a request for each video."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from internvid.web.addresses import canonical_url, site_of, youtube_url
from internvid.web.errors import NotAVideo, RefusedAddress
from internvid.web.metadata import cleaned, seconds_or_none, site_key
from internvid.web.settings import DownloadSettings

if TYPE_CHECKING:
    from internvid.web.session import Session

_SEARCH = re.compile(r"(?P<how>[a-z]+search(?:date)?)(?P<number>\d*|all):(?P<words>.*\S.*)", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """A video as the list describes it. site_key: the site's own id, if yt-dlp knows the site. seconds: duration."""

    url: str
    site: str
    site_key: str | None
    title: str | None
    channel: str | None
    channel_id: str | None
    seconds: float | None


def entries(address: str, max_entries: int, settings: DownloadSettings) -> list[Entry]:
    """Returns the first `max_entries` videos of the list, each once; a page of a single video lists that video.

    address: `ytsearch:words` (a number in it is replaced by `max_entries`), another site's search, or a URL.
    Requests only as many pages of the list as it needs. Run it in a process of its own, as `download`.
    Raises WebErrors; MemoryError if an answer takes all memory of the process.
    """
    search = _SEARCH.fullmatch(address)
    if not search and not address.startswith(("http://", "https://")):
        raise RefusedAddress(f"{address[:200]} was refused: a feed is ytsearch:words or an http or https URL")
    if address.startswith("ytsearchdate"):
        raise NotAVideo(f"{address[:200]}: yt-dlp no longer sorts YouTube's searches by date: use ytsearch:words")
    from internvid.web.session import CrawlRule, Session, web_errors_only

    query = f"{search['how']}{max_entries}:{search['words'].strip()}" if search else address
    try:
        with web_errors_only(lambda: Session(settings)) as session:
            return web_errors_only(lambda: list(islice(_distinct_entries(session, query), max_entries)))
    except CrawlRule:  # the address is a single video: listing it does no harm, and the download will give the reason
        return [_entry({}, canonical_url(address))]


def _distinct_entries(session: Session, address: str) -> Iterator[Entry]:
    seen = set()
    for entry in _entries(session, address, may_open_lists=True):
        if entry.url not in seen:
            seen.add(entry.url)
            yield entry


def _entries(session: Session, address: str, *, may_open_lists: bool) -> Iterator[Entry]:
    """Yields the entries of a page. may_open_lists: whether to open the lists of a channel (videos, shorts, …)."""
    from internvid.web.session import page_info, plain_url

    page = page_info(session, address)
    if page.get("_type", "video") == "video":
        yield _entry(page, canonical_url(plain_url(address)))
        return
    for item in page.get("entries") or ():
        if not item:
            continue
        if may_open_lists and item.get("ie_key") == "YoutubeTab":
            yield from _entries(session, item["url"], may_open_lists=False)
        elif url := _url_of(item, plain_url(address)):
            yield _entry({**_channel_of_page(page), **_without_gaps(item)}, url)
        else:
            logging.getLogger(__name__).warning("%s lists something without an http URL: %.200r", address, item)


def _url_of(item: Mapping[str, Any], page: str) -> str | None:
    """Returns the URL of an entry: its page, or the file itself if a page holds several; None if it has no http URL."""
    from internvid.web.session import plain_url

    if item.get("ie_key") == "Youtube" or item.get("extractor_key") == "Youtube":
        return youtube_url(item["id"])
    files = [form.get("url") for form in item.get("formats") or ()]
    url = next(filter(None, (item.get("url"), item.get("webpage_url"), *reversed(files))), None)
    if url is None:
        return None
    try:
        return canonical_url(urljoin(page, plain_url(url)))
    except ValueError:
        return None


def _channel_of_page(page: Mapping[str, Any]) -> dict[str, Any]:
    """Returns channel and channel_id if the page is a whole channel, whose entries do not repeat them.

    The uploader of a playlist may have collected other people's videos, so it is not taken for their channel.
    """
    if not page.get("channel_id"):
        return {}
    is_channel = str(page.get("id") or "").startswith(("UC", "@")) or page.get("id") == page.get("channel_id")
    return {name: page.get(name) for name in ("channel", "channel_id")} if is_channel else {}


def _without_gaps(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if value is not None}


def _entry(info: Mapping[str, Any], url: str) -> Entry:
    return Entry(
        url=url,
        site=site_of(url),
        site_key=site_key(info),
        title=cleaned(info.get("title"), 1_000),
        channel=cleaned(info.get("channel") or info.get("uploader"), 200),
        channel_id=cleaned(info.get("channel_id") or info.get("uploader_id"), 200),
        seconds=seconds_or_none(info.get("duration")),
    )
