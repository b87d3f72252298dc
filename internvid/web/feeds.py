"""What a search, channel, playlist or page lists, without asking for each video."""

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
    """A video as the list names it. site_key: the site's own id of it, where the site is known to yt-dlp."""

    url: str
    site: str
    site_key: str | None
    title: str | None
    channel: str | None
    channel_id: str | None
    seconds: float | None


def entries(address: str, most: int, settings: DownloadSettings) -> list[Entry]:
    """The first of the list, at most so many, each once; of a single video that one.

    address: `ytsearch:words` (a number in it is replaced by `most`), the like of other sites, or a URL. Asks only for
    as many pages of the list as are needed. For a process made for it, as `download`. Raises WebErrors only.
    """
    search = _SEARCH.fullmatch(address)
    if not search and not address.startswith(("http://", "https://")):
        raise RefusedAddress(f"{address[:200]} was refused: a feed is ytsearch:words or an http or https URL")
    if address.startswith("ytsearchdate"):
        raise NotAVideo(f"{address[:200]}: yt-dlp no longer sorts YouTube's searches by date: use ytsearch:words")
    from internvid.web.session import CrawlRule, Session, asked

    asked_for = f"{search['how']}{most}:{search['words'].strip()}" if search else address
    try:
        with asked(lambda: Session(settings)) as session:
            return asked(lambda: list(islice(_once_each(session, asked_for), most)))
    except CrawlRule:  # of a single video at the address: that it is known is no harm, and download says why not
        return [_entry({}, canonical_url(address))]


def _once_each(session: Session, address: str) -> Iterator[Entry]:
    seen = set()
    for entry in _entries(session, address, may_open_lists=True):
        if entry.url not in seen:
            seen.add(entry.url)
            yield entry


def _entries(session: Session, address: str, *, may_open_lists: bool) -> Iterator[Entry]:
    """may_open_lists: of a channel, whose lists (videos, shorts, …) are what it lists."""
    from internvid.web.session import listed, plain_url

    page = listed(session, address)
    if page.get("_type", "video") == "video":
        yield _entry(page, canonical_url(plain_url(address)))
        return
    for item in page.get("entries") or ():
        if not item:
            continue
        if may_open_lists and item.get("ie_key") == "YoutubeTab":
            yield from _entries(session, item["url"], may_open_lists=False)
        elif url := _url_of(item, plain_url(address)):
            yield _entry({**_of_list(page), **_without_gaps(item)}, url)
        else:
            logging.getLogger(__name__).warning("%s lists something without an http URL: %.200r", address, item)


def _url_of(item: Mapping[str, Any], page: str) -> str | None:
    """Where the entry is: its page, or the file itself where a page holds several."""
    from internvid.web.session import plain_url

    if item.get("ie_key") == "Youtube" or item.get("extractor_key") == "Youtube":
        return youtube_url(item["id"])
    files = [form.get("url") for form in item.get("formats") or ()]
    found = next(filter(None, (item.get("url"), item.get("webpage_url"), *reversed(files))), None)
    if found is None:
        return None
    try:
        return canonical_url(urljoin(page, plain_url(found)))
    except ValueError:
        return None


def _of_list(page: Mapping[str, Any]) -> dict[str, Any]:
    """A channel's page names it once. An uploader's name on a playlist may be the collector's: that is no channel."""
    if not page.get("channel_id"):
        return {}
    whole_channel = str(page.get("id") or "").startswith(("UC", "@")) or page.get("id") == page.get("channel_id")
    return {name: page.get(name) for name in ("channel", "channel_id")} if whole_channel else {}


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
