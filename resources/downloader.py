"""The door to videos on the web: yt-dlp, in child processes, paced by site.

A site that asks whether we are a robot, or says that it is asked too often, is left alone for a while: what waits for
it is not tried meanwhile, by this run or another, and nothing of it counts as failed.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.child_process import Call, Children
from resources.door import Door, Readiness
from resources.retries import policy_of

if TYPE_CHECKING:
    from internvid.web.availability import Availability
    from internvid.web.crawl_rules import LeftOut
    from internvid.web.download import Downloaded
    from internvid.web.feeds import Entry
    from internvid.web.settings import DownloadSettings
    from resources.lake import Lake

SECONDS_FOR_A_PAGE = 120.0  # a child's imports, and a site's answers about one feed or video
SEARCHED_SITE = "youtube.com"  # by ytsearch:words
WAITED_OUT = 3  # times that one download is begun anew within a run after its site said to wait


@dataclass(frozen=True)
class Wanted:
    """A video to fetch. key: of the caller. folder: for what is fetched in part; the same again to go on with it."""

    key: str
    url: str
    site: str
    folder: str
    tries: int = 0


@dataclass(frozen=True)
class LeftAlone:
    """A site is left alone until then. reason: its own words. was_asked: the video that this stands for met with it."""

    site: str
    until: datetime
    reason_class: str
    reason: str
    was_asked: bool = False


class Downloader(Door):
    """Which videos are taken, as InternVid did: of shortest_seconds to longest_seconds; of at least shortest_side
    pixels on the shorter side, in the largest size up to longest_short_side.

    at_once: downloads at the same time; at_once_per_site: of one site. seconds_between_starts: of downloads from a site
    and looks at it, whichever process of this machine makes them. bytes_per_second: of one
    download, None for no limit. longest_wait_seconds: that a run waits where a site says how long it is to be left
    alone; where it is longer, that site's videos are left to a later run. seconds_at_most: for one video.
    subtitles: those that people made, and automatic_subtitles: those by machine in the language that is spoken.
    robots_refused: words of X-Robots-Tag that keep a direct link from being taken. allowed_addresses: besides public
    ones, as 10.0.0.0/8. cookies_file: in Netscape's form. proxy: a URL.
    """

    shortest_seconds: float = 10.0
    longest_seconds: float = 1800.0
    shortest_side: int = 360
    longest_short_side: int = 720
    most_bytes: int = 4 << 30
    subtitles: bool = True
    automatic_subtitles: bool = True
    robots_refused: list[str] = ["noai", "noimageai", "noindex", "noimageindex", "none"]
    cookies_file: str | None = None
    proxy: str | None = None
    user_agent: str | None = None
    bytes_per_second: int | None = None
    timeout_seconds: float = 20.0
    seconds_at_most: float = 3600.0
    at_once: int = 4
    at_once_per_site: int = 2
    seconds_between_starts: float = 1.0
    longest_wait_seconds: float = 120.0
    allowed_addresses: list[str] = []

    @property
    def model(self) -> str:
        return "yt-dlp"

    @property
    def revision(self) -> str:
        from importlib.metadata import version

        return version("yt-dlp")

    @property
    def version(self) -> str:
        """What decides which videos are taken, and in which size; yt-dlp's version is a row's, not the step's."""
        rules = f"{self.shortest_side}-{self.longest_short_side}px+{self.shortest_seconds:g}-{self.longest_seconds:g}s"
        return f"{self.form_version}+{rules}"

    @property
    def form_version(self) -> str:
        """What decides what is taken of a video: of one that was fetched by the same, nothing needs to be fetched."""
        kinds = "+subtitles" * self.subtitles + "+automatic" * self.automatic_subtitles
        return f"download/1+{self.longest_short_side}px{kinds}"

    def settings(self) -> DownloadSettings:
        from internvid.web.download import DownloadSettings
        from internvid.web.javascript import javascript_runtime

        return DownloadSettings(
            shortest_seconds=self.shortest_seconds,
            longest_seconds=self.longest_seconds,
            shortest_side=self.shortest_side,
            longest_short_side=self.longest_short_side,
            most_bytes=self.most_bytes,
            subtitles=self.subtitles,
            automatic_subtitles=self.automatic_subtitles,
            robots_refused=tuple(self.robots_refused),
            cookies_file=self.cookies_file,
            proxy=self.proxy,
            user_agent=self.user_agent,
            bytes_per_second=self.bytes_per_second,
            timeout_seconds=self.timeout_seconds,
            allowed_addresses=tuple(self.allowed_addresses),
            javascript_runtime=javascript_runtime(),
        )

    def readiness(self) -> Readiness:
        from internvid.web.javascript import youtube_readiness

        lacking = youtube_readiness()
        return Readiness("ready", 0, f"other sites work; for YouTube: {lacking}" if lacking else "")

    def fetch(
        self, wanted: Sequence[Wanted], left_alone: Mapping[str, LeftAlone]
    ) -> Iterator[tuple[Wanted, Downloaded | LeftOut | LeftAlone | Exception]]:
        """What became of each, as they end. left_alone: sites that are to be left alone from the start."""
        yield from _Fetching(self, wanted, left_alone).run()

    def entries(self, feeds: Sequence[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], list[Entry] | Exception]]:
        """What each feed lists, given as its address and how many are wanted at most; in order, one after the other."""
        from internvid.web.feeds import entries

        settings = self.settings()
        yield from self._one_by_one(entries, feeds, lambda feed: (site_asked(feed[0]), (*feed, settings)))

    def check(self, urls: Sequence[str]) -> Iterator[tuple[str, Availability | Exception]]:
        """Whether each can still be had; in order, one after the other."""
        from internvid.web.availability import check

        settings = self.settings()
        yield from self._one_by_one(check, urls, lambda url: (site_asked(url), (url, settings)))

    def _one_by_one(
        self, work: Any, inputs: Sequence[Any], told: Callable[[Any], tuple[str, tuple[Any, ...]]]
    ) -> Iterator[tuple[Any, Any]]:
        """told: the site that is asked for an input, and what `work` is given. A next one is not begun before whoever
        takes the answers wants it.
        """
        from internvid.web.pace import paced

        children = Children(1, memory_bytes=None)  # a JavaScript runtime reserves more addresses than it ever uses
        try:
            for item in inputs:
                site, arguments = told(item)
                seconds = SECONDS_FOR_A_PAGE + self.timeout_seconds + self.seconds_between_starts
                call = children.call(paced, (work, site, self.seconds_between_starts, *arguments), seconds)
                yield item, _as_web_error(children.outcome(call))
        finally:
            children.end()


def pause_of(error: BaseException, tries: int, now: datetime) -> datetime | None:
    """Until when a site is to be left alone that answered so, the input having been tried so often with this time; None
    for other errors.
    """
    from internvid.web.errors import BotCheck, RateLimited

    if not isinstance(error, (BotCheck, RateLimited)):
        return None
    if isinstance(error, RateLimited) and error.retry_after_seconds is not None:
        return now + timedelta(seconds=error.retry_after_seconds)
    policy = policy_of(type(error))
    return policy.next_try(min(tries, policy.tries - 1), now)


def sites_left_alone(lake: Lake) -> dict[str, LeftAlone]:
    """As the tables say now, by site."""
    from resources.statements import statement

    rows = lake.query(statement("operations/sites_left_alone"), {"now": datetime.now(UTC)}).to_pylist()
    return {row["site"]: LeftAlone(row["site"], row["until"], row["reason_class"], row["reason"]) for row in rows}


@dataclass
class _Site:
    """One site's part of a run. free_at: by the monotonic clock, when it may be asked again that said to wait."""

    waiting: deque[Wanted] = field(default_factory=deque)
    under_way: int = 0
    free_at: float = 0.0
    stopped: LeftAlone | None = None


class _Fetching:
    def __init__(self, downloader: Downloader, wanted: Sequence[Wanted], left_alone: Mapping[str, LeftAlone]) -> None:
        self.downloader = downloader
        self.settings = downloader.settings()
        self.sites: dict[str, _Site] = {}
        # What was tried least comes first: a video that its site always refuses does not keep the others from theirs.
        for one in sorted(wanted, key=lambda one: one.tries):
            self.sites.setdefault(one.site, _Site(stopped=left_alone.get(one.site))).waiting.append(one)
        self.under_way: dict[Any, tuple[Wanted, Call]] = {}  # by future
        self.waited_out: dict[str, int] = {}

    def run(self) -> Iterator[tuple[Wanted, Any]]:
        children = Children(self.downloader.at_once, memory_bytes=None)
        try:
            while True:
                yield from self._refused()
                if not self.under_way and not any(site.waiting for site in self.sites.values()):
                    return
                self._begin(children)
                yield from self._ended(children)
        finally:
            children.end()

    def _refused(self) -> Iterator[tuple[Wanted, LeftAlone]]:
        """What waits for sites that are left alone from now on."""
        for site in self.sites.values():
            while site.stopped and site.waiting:
                yield site.waiting.popleft(), site.stopped

    def _begin(self, children: Children) -> None:
        from internvid.web.download import download
        from internvid.web.pace import paced

        gap = self.downloader.seconds_between_starts
        for site in self.sites.values():
            while (
                site.waiting
                and site.under_way < self.downloader.at_once_per_site
                and len(self.under_way) < self.downloader.at_once
                and time.monotonic() >= site.free_at
            ):
                one = site.waiting.popleft()
                Path(one.folder).mkdir(parents=True, exist_ok=True)
                what = (download, one.site, gap, one.url, one.folder, self.settings)
                call = children.call(paced, what, self.downloader.seconds_at_most)
                self.under_way[call.future] = one, call
                site.under_way += 1

    def _ended(self, children: Children) -> Iterator[tuple[Wanted, Any]]:
        """Waits until something ends or may begin, and gives away what has ended."""
        begins = [site.free_at for site in self.sites.values() if site.waiting]
        seconds = max(0.01, min([1.0, *(at - time.monotonic() for at in begins if at > time.monotonic())]))
        if not self.under_way:
            time.sleep(seconds)
            return
        ended, _ = wait(self.under_way, timeout=seconds, return_when=FIRST_COMPLETED)
        for future in [*ended, *(future for future, (_, call) in self.under_way.items() if not call.pool.active)]:
            if future not in self.under_way:
                continue
            one, call = self.under_way.pop(future)
            site = self.sites[one.site]
            site.under_way -= 1
            yield from self._judged(one, site, _as_web_error(children.outcome(call)))

    def _judged(self, one: Wanted, site: _Site, outcome: Any) -> Iterator[tuple[Wanted, Any]]:
        now = datetime.now(UTC)
        until = pause_of(outcome, one.tries + 1, now) if isinstance(outcome, Exception) else None
        if until is None:
            yield one, outcome
            return
        seconds = (until - now).total_seconds()
        times = self.waited_out.get(one.key, 0)
        if seconds <= self.downloader.longest_wait_seconds and times < WAITED_OUT:
            self.waited_out[one.key] = times + 1
            site.free_at = max(site.free_at, time.monotonic() + seconds)
            site.waiting.appendleft(one)
            return
        alone = LeftAlone(one.site, until, type(outcome).__name__, str(outcome))
        if site.stopped is None or site.stopped.until < until:
            site.stopped = alone
        yield one, LeftAlone(alone.site, until, alone.reason_class, alone.reason, was_asked=True)


def site_asked(address: str) -> str:
    """Whom a look at a feed (a URL, or ytsearch:words) or at a source asks."""
    from internvid.web.addresses import site_of

    return site_of(address) if "://" in address else SEARCHED_SITE


def _as_web_error(answer: Any) -> Any:
    """A child that had to be killed met with a site that does not come to an end."""
    from internvid.web.errors import NetworkTrouble
    from resources.child_process import DecoderCrashed, DecoderTimedOut

    if isinstance(answer, (DecoderTimedOut, DecoderCrashed)):
        return NetworkTrouble(str(answer).replace("the decoder crashed on this file", "the download crashed"))
    return answer


def remove_folder(folder: str) -> None:
    """What was fetched in part; also where nothing was."""
    shutil.rmtree(folder, ignore_errors=True)
