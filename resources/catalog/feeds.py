"""Feeds and their polls.

A feed is a search, or a page that lists videos: a channel, a playlist. The user adds feeds one by one or as a plan of
searches. A poll reads a feed's entries and registers new videos in `sources`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import groupby, islice
from typing import Any

import pyarrow as pa

from internvid.web.queries import Query
from resources.catalog.batching import IngestBatcher
from resources.catalog.downloader import Cooldown, Downloader, cooldown_end, site_asked, sites_in_cooldown
from resources.catalog.files import new_batcher
from resources.catalog.tombstones import Tombstones
from resources.catalog.web import WebSource, register_web
from resources.incremental.provenance import digest
from resources.incremental.retries import FailurePolicy
from resources.incremental.runner import process_pending
from resources.incremental.stage import Done, Failed, Outcome, Output, Rows, Stage, Unit, Waiting, one_by_one
from resources.lake.schema import FEED_POLLS, FEEDS
from resources.lake.statements import statement
from resources.lake.store import Lake

NO_PLAN = "feeds"  # value of feeds.plan for feeds that were added one by one
MAX_PER_POLL = 50
MAX_POLLS = 100
SEARCH_ADDRESS = re.compile(r"(?P<how>ytsearch(?:date)?)\d*:(?P<words>.*\S.*)")
FEEDS_PER_COMMIT = 10_000
LIKE_A_BATCH = re.compile(r"\d{4}-\d{2}-\d{2}-\d+")
DUE = pa.schema([("poll_id", pa.string())])


@dataclass(frozen=True)
class Feed:
    """A feed. address: as yt-dlp takes it. number: position in its plan; lower numbers are polled first.

    The other fields are those of a search, as in internvid.web.queries; None for pages.
    """

    address: str
    number: int
    words: str | None = None
    phrase: str | None = None
    category: str | None = None
    language: str | None = None
    refused: str | None = None

    @classmethod
    def of_query(cls, query: Query) -> "Feed":
        address = f"ytsearch:{query.words}"
        return cls(
            address, query.number, query.words, query.phrase, query.category, query.language, refused=query.refused
        )

    @property
    def feed_id(self) -> str:
        return digest(self.address)[:16]


@dataclass
class Added:
    """Result of adding feeds.

    new, changed, known: feeds that were added, got other settings, or were there already with the same settings.
    refused: refused searches among the new and changed feeds.
    """

    new: int = 0
    changed: int = 0
    known: int = 0
    refused: int = 0


def pages(lake: Lake, addresses: Iterable[str]) -> Iterator[Feed]:
    """Yields feeds that are not part of a plan, numbered after the existing ones.

    Raises ValueError for an address that is neither a search nor the URL of a page.
    """
    from internvid.web.addresses import site_of

    highest = "select coalesce(max(number), 0) as number from feeds where plan = $plan"
    number = lake.query(highest, {"plan": NO_PLAN}, tables=["feeds"])["number"][0].as_py()
    for position, address in enumerate(addresses, number + 1):
        if search := SEARCH_ADDRESS.fullmatch(address.strip()):
            words = " ".join(search["words"].split())
            yield Feed(f"{search['how']}:{words}", position, words=words)  # max_per_poll sets the number of entries
        else:
            site_of(address)  # raises ValueError for an address that is not a URL of the web
            yield Feed(address.strip(), position)


def add_feeds(
    lake: Lake,
    feeds: Iterable[Feed],
    *,
    plan: str = NO_PLAN,
    max_per_poll: int = MAX_PER_POLL,
    every_hours: float | None = None,
) -> Added:
    """Adds new feeds. An existing feed keeps its plan and number, and gets the given settings.

    max_per_poll: upper bound on the entries of a poll. every_hours: period of polls in hours, None for a single poll.
    Raises ValueError for invalid settings.
    """
    if LIKE_A_BATCH.fullmatch(plan):
        raise ValueError(f"a plan cannot be called {plan}: ingest batches have such names. Choose another name")
    if max_per_poll < 1:
        raise ValueError(f"max_per_poll is {max_per_poll}: a poll takes at least one video")
    if every_hours is not None and every_hours <= 0:
        raise ValueError(f"every_hours is {every_hours:g}: a feed is polled every so many hours, more than 0")
    lake.create_tables()
    added = Added()
    settings = {"max_per_poll": max_per_poll, "every_hours": every_hours}
    stream = iter(feeds)
    while chunk := list(islice(stream, FEEDS_PER_COMMIT)):
        by_id = {feed.feed_id: feed for feed in chunk}
        known = _known(lake, list(by_id))
        rows = []
        for feed_id, feed in by_id.items():
            stored = known.get(feed_id)
            row = _row(feed, plan) if stored is None else stored
            row = row | settings | {"refused": feed.refused}
            added.new += stored is None
            added.changed += stored not in (None, row)
            added.known += stored == row
            if stored != row:
                rows.append(row)
        added.refused += sum(row["refused"] is not None for row in rows)
        if rows:
            lake.upsert("feeds", pa.Table.from_pylist(rows, schema=FEEDS.arrow))
    return added


def _row(feed: Feed, plan: str) -> dict[str, Any]:
    return {
        "feed_id": feed.feed_id,
        "address": feed.address,
        "kind": "page" if feed.words is None else "search",
        "plan": plan,
        "number": feed.number,
        "words": feed.words,
        "phrase": feed.phrase,
        "category": feed.category,
        "language": feed.language,
        "added_at": datetime.now(UTC),
    }


def _known(lake: Lake, feed_ids: list[str]) -> dict[str, dict[str, Any]]:
    rows = lake.query("select * from feeds where feed_id in (select unnest($ids))", {"ids": feed_ids}, tables=["feeds"])
    return {row["feed_id"]: row for row in rows.to_pylist()}


# --- polls ----------------------------------------------------------------------------------------------------------


@dataclass
class PollResult:
    """Result of polling feeds.

    polls: number of completed polls. entries: videos that they listed. new: entries that were registered. left_out:
    entries that were forgotten before. failed, waiting: polls in these states, those of earlier runs included.
    refused: refused searches of the plans. batches: ingest batches with new sources.
    """

    polls: int = 0
    entries: int = 0
    new: int = 0
    left_out: int = 0
    failed: int = 0
    waiting: int = 0
    refused: int = 0
    batches: set[str] = field(default_factory=set)


def stage(due: Iterable[str] = ()) -> Stage:
    """Returns the stage of polls. due: ids of the polls that are due.

    Its version never changes: a poll of the past cannot be repeated.
    """
    parameters = pa.Table.from_pylist([{"poll_id": poll_id} for poll_id in due], schema=DUE)
    return Stage(
        "feed_polls", "feed_polls", (Output(FEED_POLLS, {"": "poll/1"}),), chunk_size=1_000, parameters=parameters
    )


def poll(
    lake: Lake,
    downloader: Downloader,
    policy: FailurePolicy,
    plans: Sequence[str] = (),
    max_polls: int = MAX_POLLS,
    *,
    run_id: str,
    log: Any = None,
) -> PollResult:
    """Polls the feeds that are due, plan by plan, and registers new videos.

    plans: only feeds of these plans; empty means all. max_polls: upper bound. Raises ValueError for a plan without
    feeds.
    """
    known = lake.query("select distinct plan from feeds", tables=["feeds"])["plan"].to_pylist()
    if unknown := set(plans) - set(known):
        raise ValueError(f"no feed has the plan {', '.join(sorted(unknown))}; the plans are {', '.join(sorted(known))}")
    due = _due(lake, plans, max_polls)
    polled = PollResult()
    registrar = _Registrar(lake, run_id, new_batcher(lake), Tombstones(lake), polled)
    for plan in sorted(plans or known):
        report = process_pending(
            lake,
            stage(due),
            partial(poll_feeds_by_site, lake, downloader, registrar, policy),
            partition=plan,
            run_id=run_id,
            policy=policy,
            log=log,
        )
        polled.failed += report.units["failed"]
        polled.waiting += report.units["waiting"]
        polled.refused += report.units["skipped"]
    return polled


def poll_feeds_by_site(
    lake: Lake, downloader: Downloader, registrar: "_Registrar", policy: FailurePolicy, units: list[Unit]
) -> Iterator[Outcome]:
    """Polls each feed once, site by site.

    A site that asks for a proof that the client is no robot, or reports too many requests, is not asked again: its
    remaining polls wait.
    """
    feed_ids = [unit.key.rpartition("/")[0] for unit in units]
    rows = lake.fetch("feeds", feed_ids).to_pylist()
    polls = sorted(zip(units, rows, strict=True), key=lambda item: (site_asked(item[1]["address"]), item[1]["number"]))
    cooldowns = sites_in_cooldown(lake)
    for site, of_site in groupby(polls, key=lambda item: site_asked(item[1]["address"])):
        yield from _poll_site(downloader, registrar, policy, site, list(of_site), cooldowns.get(site))


def _poll_site(
    downloader: Downloader,
    registrar: "_Registrar",
    policy: FailurePolicy,
    site: str,
    polls: list[tuple[Unit, Mapping[str, Any]]],
    stopped: Cooldown | None,
) -> Iterator[Outcome]:
    asked = 0
    if stopped is None:
        for _, answer in downloader.entries([(feed["address"], feed["max_per_poll"]) for _, feed in polls]):
            unit, feed = polls[asked]
            asked += 1
            now, tries = datetime.now(UTC), unit.tries + 1
            until = cooldown_end(answer, tries, now, policy) if isinstance(answer, Exception) else None
            if until is not None:
                stopped = Cooldown(site, until, type(answer).__name__, str(answer))
                yield Waiting(unit, site, stopped.reason_class, stopped.reason, until, was_tried=True)
                break
            if isinstance(answer, Exception):
                yield Failed(unit, answer)
            else:
                yield from one_by_one([unit], partial(registrar.take, feed=feed, entries=answer))
    for unit, _ in polls[asked:]:
        assert stopped is not None, "every feed was asked"
        yield Waiting(unit, site, stopped.reason_class, stopped.reason, stopped.until)


@dataclass
class _Registrar:
    """Registers the entries of polls. batcher: fills batches across polls. polled: result that is added to."""

    lake: Lake
    run_id: str
    batcher: IngestBatcher
    tombstones: Tombstones
    polled: PollResult

    def take(self, unit: Unit, feed: Mapping[str, Any], entries: Sequence[Any]) -> Outcome:
        """Registers the entries of one poll. entries: internvid.web.feeds.Entry."""
        sources = [
            WebSource(
                entry.url,
                site_key=entry.site_key,
                title=entry.title,
                channel=entry.channel,
                channel_id=entry.channel_id,
                query_words=feed["words"],
                seconds=entry.seconds,
            )
            for entry in entries
        ]
        registered = register_web(
            self.lake,
            sources,
            found_by=feed["feed_id"],
            run_id=self.run_id,
            batcher=self.batcher,
            tombstones=self.tombstones,
        )
        self.polled.polls += 1
        self.polled.entries += len(entries)
        self.polled.new += registered.new
        self.polled.left_out += registered.left_out
        self.polled.batches |= registered.batches
        row = {
            "poll_id": unit.key,
            "feed_id": feed["feed_id"],
            "number": int(unit.key.rpartition("/")[2]),
            "polled_at": datetime.now(UTC),
            "entries": len(entries),
            "new": registered.new,
            "left_out": registered.left_out,
        }
        return Done(unit, (Rows.of([row], FEED_POLLS),))


def _due(lake: Lake, plans: Sequence[str], max_polls: int) -> list[str]:
    parameters: dict[str, Any] = {"now": datetime.now(UTC), "plans": list(plans) or None, "polls": max_polls}
    return lake.query(statement("catalog/feeds_due"), parameters)["poll_id"].to_pylist()
