"""Downloads videos from the web by yt-dlp, in child processes, with a rate limit for each site.

A site that asks for a proof that the client is no robot, or reports too many requests, is in a cooldown for a while:
its videos wait, in this run and in others, and none of them counts as failed.
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

from resources.incremental.retries import FailurePolicy
from resources.media.child_process import Call, Children
from resources.models.provider import ModelProvider, Readiness

if TYPE_CHECKING:
    from internvid.web.availability import Availability
    from internvid.web.crawl_rules import LeftOut
    from internvid.web.download import Downloaded
    from internvid.web.feeds import Entry
    from internvid.web.settings import DownloadSettings
    from resources.lake.store import Lake

SECONDS_FOR_A_PAGE = 120.0  # a child's imports, and a site's answers about one feed or video
SEARCHED_SITE = "youtube.com"  # by ytsearch:words
MAX_RESTARTS = 3  # restarts of a download within a run, after waiting for its site's cooldown


@dataclass(frozen=True)
class Wanted:
    """A video to download.

    key: identifies it for the caller. folder: for partial downloads; a later call with the same folder continues them.
    tries: number of failed tries so far.
    """

    key: str
    url: str
    site: str
    folder: str
    tries: int = 0


@dataclass(frozen=True)
class Cooldown:
    """A site is not asked before `until`.

    reason: the site's message. was_asked: whether the site refused this very video.
    """

    site: str
    until: datetime
    reason_class: str
    reason: str
    was_asked: bool = False


class Downloader(ModelProvider):
    """Downloads videos, and reads feeds, with the limits of InternVid by default.

    Which videos are accepted:
    min_duration_seconds, max_duration_seconds: bounds on the length. min_short_side: lower bound on the shorter side in
    pixels. max_short_side: the largest available size up to this one is downloaded. max_bytes: upper bound on a file.
    robots_refused: words of X-Robots-Tag because of which a direct link is not downloaded.

    What is downloaded with a video:
    subtitles: subtitles by people. automatic_subtitles: automatic subtitles in the spoken language.

    How sites are asked:
    max_concurrent: upper bound on simultaneous downloads. max_concurrent_per_site: the same for one site.
    seconds_between_starts: minimum delay between two requests to a site, from all processes of this machine.
    bytes_per_second: rate limit of one download, None for no limit. timeout_seconds: of a connection.
    max_seconds_per_video: upper bound on the time of one download. max_wait_seconds: upper bound on the cooldown that a
    run waits for; videos of a site with a longer cooldown wait for a later run. allowed_addresses: networks that may be
    accessed besides public addresses, such as 10.0.0.0/8. cookies_file: in Netscape's format. proxy: a URL.
    max_memory_bytes: upper bound on the memory of the child process of one download.
    """

    min_duration_seconds: float = 10.0
    max_duration_seconds: float = 1800.0
    min_short_side: int = 360
    max_short_side: int = 720
    max_bytes: int = 4 << 30
    subtitles: bool = True
    automatic_subtitles: bool = True
    robots_refused: list[str] = ["noai", "noimageai", "noindex", "noimageindex", "none"]
    cookies_file: str | None = None
    proxy: str | None = None
    user_agent: str | None = None
    bytes_per_second: int | None = None
    timeout_seconds: float = 20.0
    max_seconds_per_video: float = 3600.0
    max_concurrent: int = 4
    max_concurrent_per_site: int = 2
    seconds_between_starts: float = 1.0
    max_wait_seconds: float = 120.0
    allowed_addresses: list[str] = []
    max_memory_bytes: int = 2 << 30

    @property
    def model(self) -> str:
        return "yt-dlp"

    @property
    def revision(self) -> str:
        from importlib.metadata import version

        return version("yt-dlp")

    @property
    def version(self) -> str:
        """Names the rules by which videos are accepted, and their size. yt-dlp's version is in the row, not here."""
        sizes = f"{self.min_short_side}-{self.max_short_side}px"
        durations = f"{self.min_duration_seconds:g}-{self.max_duration_seconds:g}s"
        return f"{self.form_version}+{sizes}+{durations}"

    @property
    def form_version(self) -> str:
        """Names what is downloaded of a video: a file with the same form_version needs no new download."""
        kinds = "+subtitles" * self.subtitles + "+automatic" * self.automatic_subtitles
        return f"download/1+{self.max_short_side}px{kinds}"

    def settings(self) -> DownloadSettings:
        from internvid.web.download import DownloadSettings
        from internvid.web.javascript import javascript_runtime

        return DownloadSettings(
            min_duration_seconds=self.min_duration_seconds,
            max_duration_seconds=self.max_duration_seconds,
            min_short_side=self.min_short_side,
            max_short_side=self.max_short_side,
            max_bytes=self.max_bytes,
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
        self, wanted: Sequence[Wanted], cooldowns: Mapping[str, Cooldown], policy: FailurePolicy
    ) -> Iterator[tuple[Wanted, Downloaded | LeftOut | Cooldown | Exception]]:
        """Yields the result of each video as downloads end. cooldowns: sites that are in a cooldown at the start."""
        yield from _Fetching(self, wanted, cooldowns, policy).run()

    def entries(self, feeds: Sequence[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], list[Entry] | Exception]]:
        """Yields the entries of each feed, in order, one feed at a time. feeds: (address, upper bound on entries)."""
        from internvid.web.feeds import entries

        settings = self.settings()
        yield from self._one_by_one(entries, feeds, lambda feed: (site_asked(feed[0]), (*feed, settings)))

    def check(self, urls: Sequence[str]) -> Iterator[tuple[str, Availability | Exception]]:
        """Yields whether each video is still available, in order, one at a time."""
        from internvid.web.availability import check

        settings = self.settings()
        yield from self._one_by_one(check, urls, lambda url: (site_asked(url), (url, settings)))

    def _one_by_one(
        self, function: Any, inputs: Sequence[Any], arguments_of: Callable[[Any], tuple[str, tuple[Any, ...]]]
    ) -> Iterator[tuple[Any, Any]]:
        """Yields (input, result of `function`), one at a time: an input is not started before the caller asks for it.

        arguments_of: returns the site that is asked for an input, and the arguments of `function`.
        """
        from internvid.web.rate_limit import rate_limited

        children = Children(1, memory_bytes=self.max_memory_bytes)
        try:
            for item in inputs:
                site, arguments = arguments_of(item)
                seconds = SECONDS_FOR_A_PAGE + self.timeout_seconds + self.seconds_between_starts
                call = children.call(rate_limited, (function, site, self.seconds_between_starts, *arguments), seconds)
                yield item, _as_web_error(children.outcome(call))
        finally:
            children.end()


def cooldown_end(error: BaseException, tries: int, now: datetime, policy: FailurePolicy) -> datetime | None:
    """Returns the end of the cooldown of a site that answered with this error; None for errors without a cooldown.

    tries: number of tries of the input, this one included.
    """
    from internvid.web.errors import BotCheck, RateLimited

    if not isinstance(error, (BotCheck, RateLimited)):
        return None
    if isinstance(error, RateLimited) and error.retry_after_seconds is not None:
        return now + timedelta(seconds=error.retry_after_seconds)
    rule = policy.retry(type(error))
    return rule.next_try(min(tries, rule.tries - 1), now)


def sites_in_cooldown(lake: Lake) -> dict[str, Cooldown]:
    """Returns the present cooldowns by site, from the tables."""
    from resources.lake.statements import statement

    rows = lake.query(statement("catalog/sites_in_cooldown"), {"now": datetime.now(UTC)}).to_pylist()
    return {row["site"]: Cooldown(row["site"], row["until"], row["reason_class"], row["reason"]) for row in rows}


@dataclass
class _Site:
    """A site during a run. free_at: end of a cooldown that the run waits for, on the monotonic clock.

    stopped: a cooldown that the run does not wait for.
    """

    waiting: deque[Wanted] = field(default_factory=deque)
    under_way: int = 0
    free_at: float = 0.0
    stopped: Cooldown | None = None


class _Fetching:
    """The downloads of one call: a queue for each site, and the calls under way."""

    def __init__(
        self,
        downloader: Downloader,
        wanted: Sequence[Wanted],
        cooldowns: Mapping[str, Cooldown],
        policy: FailurePolicy,
    ) -> None:
        self.downloader = downloader
        self.policy = policy
        self.settings = downloader.settings()
        self.sites: dict[str, _Site] = {}
        # Videos with fewer tries come first, so that a video that its site always refuses does not block the others.
        for video in sorted(wanted, key=lambda video: video.tries):
            self.sites.setdefault(video.site, _Site(stopped=cooldowns.get(video.site))).waiting.append(video)
        self.under_way: dict[Any, tuple[Wanted, Call]] = {}  # by future
        self.restarts: dict[str, int] = {}  # by key

    def run(self) -> Iterator[tuple[Wanted, Any]]:
        children = Children(self.downloader.max_concurrent, self.downloader.max_memory_bytes)
        try:
            while True:
                yield from self._refused()
                if not self.under_way and not any(site.waiting for site in self.sites.values()):
                    return
                self._begin(children)
                yield from self._ended(children)
        finally:
            children.end()

    def _refused(self) -> Iterator[tuple[Wanted, Cooldown]]:
        """Yields the waiting videos of sites in a cooldown."""
        for site in self.sites.values():
            while site.stopped and site.waiting:
                yield site.waiting.popleft(), site.stopped

    def _begin(self, children: Children) -> None:
        from internvid.web.download import download
        from internvid.web.rate_limit import rate_limited

        gap = self.downloader.seconds_between_starts
        for site in self.sites.values():
            while (
                site.waiting
                and site.under_way < self.downloader.max_concurrent_per_site
                and len(self.under_way) < self.downloader.max_concurrent
                and time.monotonic() >= site.free_at
            ):
                wanted = site.waiting.popleft()
                Path(wanted.folder).mkdir(parents=True, exist_ok=True)
                what = (download, wanted.site, gap, wanted.url, wanted.folder, self.settings)
                call = children.call(rate_limited, what, self.downloader.max_seconds_per_video)
                self.under_way[call.future] = wanted, call
                site.under_way += 1

    def _ended(self, children: Children) -> Iterator[tuple[Wanted, Any]]:
        """Waits until a download ends or may start, and yields the downloads that have ended."""
        begins = [site.free_at for site in self.sites.values() if site.waiting]
        seconds = max(0.01, min([1.0, *(at - time.monotonic() for at in begins if at > time.monotonic())]))
        if not self.under_way:
            time.sleep(seconds)
            return
        ended, _ = wait(self.under_way, timeout=seconds, return_when=FIRST_COMPLETED)
        for future in [*ended, *(future for future, (_, call) in self.under_way.items() if not call.pool.active)]:
            if future not in self.under_way:
                continue
            wanted, call = self.under_way.pop(future)
            site = self.sites[wanted.site]
            site.under_way -= 1
            yield from self._judged(wanted, site, _as_web_error(children.outcome(call)))

    def _judged(self, wanted: Wanted, site: _Site, outcome: Any) -> Iterator[tuple[Wanted, Any]]:
        now = datetime.now(UTC)
        until = cooldown_end(outcome, wanted.tries + 1, now, self.policy) if isinstance(outcome, Exception) else None
        if until is None:
            yield wanted, outcome
            return
        seconds = (until - now).total_seconds()
        restarts = self.restarts.get(wanted.key, 0)
        if seconds <= self.downloader.max_wait_seconds and restarts < MAX_RESTARTS:
            self.restarts[wanted.key] = restarts + 1
            site.free_at = max(site.free_at, time.monotonic() + seconds)
            site.waiting.appendleft(wanted)
            return
        cooldown = Cooldown(wanted.site, until, type(outcome).__name__, str(outcome))
        if site.stopped is None or site.stopped.until < until:
            site.stopped = cooldown
        yield wanted, Cooldown(cooldown.site, until, cooldown.reason_class, cooldown.reason, was_asked=True)


def site_asked(address: str) -> str:
    """Returns the site that is asked for a feed or a source. address: a URL, or ytsearch:words."""
    from internvid.web.addresses import site_of

    return site_of(address) if "://" in address else SEARCHED_SITE


def _as_web_error(answer: Any) -> Any:
    """Returns the answer; an error of a killed child process becomes NetworkTrouble, for the site did not finish."""
    from internvid.web.errors import AnswerTooLarge, NetworkTrouble
    from resources.media.child_process import DecoderCrashed, DecoderTimedOut

    if isinstance(answer, MemoryError):
        return AnswerTooLarge("the site's answer took all the memory that one download may have")
    if isinstance(answer, (DecoderTimedOut, DecoderCrashed)):
        return NetworkTrouble(str(answer).replace("the decoder crashed on this file", "the download crashed"))
    return answer


def remove_folder(folder: str) -> None:
    """Removes a partial download; the folder may be missing."""
    shutil.rmtree(folder, ignore_errors=True)
