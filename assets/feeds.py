"""`feeds` and `feed_looks`: where videos are found, and what each look there found.

A feed is a search, or a page that lists videos: a channel, a playlist. The user adds them, alone or as a plan of
searches. A look registers in `sources` what is new in it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import groupby, islice
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.ingest_batches import BatchCutter, ingest_batches
from assets.sources import new_cutter
from assets.web_sources import WebSource, register_web
from internvid.web.queries import Query
from resources.downloader import Downloader, LeftAlone, pause_of, site_asked, sites_left_alone
from resources.lake import Lake
from resources.refresh import (
    Done,
    Failed,
    Outcome,
    Output,
    Rows,
    Step,
    Unit,
    Waiting,
    column_schema,
    digest,
    one_by_one,
    work_off,
)
from resources.schema import FEED_LOOKS, FEEDS
from resources.statements import statement
from resources.tombstones import Tombstones

NO_PLAN = "feeds"  # stands in feeds.plan where a feed was added by itself
MOST_PER_LOOK = 50
LOOKS_AT_MOST = 100
SEARCH_ADDRESS = re.compile(r"(?P<how>ytsearch(?:date)?)\d*:(?P<words>.*\S.*)")
FEEDS_PER_COMMIT = 10_000
LIKE_A_BATCH = re.compile(r"\d{4}-\d{2}-\d{2}-\d+")
DUE = pa.schema([("look_id", pa.string())])


@dataclass(frozen=True)
class Feed:
    """Where to look. address: as yt-dlp takes it. number: its place in its plan, the lower come first. The rest is of
    searches, as in internvid.web.queries.
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
    """Feeds that were given: new; changed, which have other settings since; known. refused: of the new and changed."""

    new: int = 0
    changed: int = 0
    known: int = 0
    refused: int = 0


def pages(lake: Lake, addresses: Iterable[str]) -> Iterator[Feed]:
    """Feeds that are added by themselves, numbered after those that are there. Raises ValueError for what is neither a
    search nor the URL of a page.
    """
    from internvid.web.addresses import site_of

    highest = "select coalesce(max(number), 0) as number from feeds where plan = $plan"
    number = lake.query(highest, {"plan": NO_PLAN}, tables=["feeds"])["number"][0].as_py()
    for place, address in enumerate(addresses, number + 1):
        if search := SEARCH_ADDRESS.fullmatch(address.strip()):
            words = " ".join(search["words"].split())
            yield Feed(f"{search['how']}:{words}", place, words=words)  # how many it takes is a setting of its own
        else:
            site_of(address)  # raises for what is no URL of the web
            yield Feed(address.strip(), place)


def add_feeds(
    lake: Lake,
    feeds: Iterable[Feed],
    *,
    plan: str = NO_PLAN,
    most_per_look: int = MOST_PER_LOOK,
    every_hours: float | None = None,
) -> Added:
    """Adds those that are new. One that is there keeps its plan and number, and takes the settings that are given now.

    every_hours: None for one look. Raises ValueError for settings that make no sense.
    """
    if LIKE_A_BATCH.fullmatch(plan):
        raise ValueError(f"a plan cannot be called {plan}: that is how ingest batches are called")
    if most_per_look < 1:
        raise ValueError(f"a look takes at least one video, not {most_per_look}")
    if every_hours is not None and every_hours <= 0:
        raise ValueError(f"a feed is looked at every so many hours, more than 0, not every {every_hours:g}")
    lake.create_tables()
    added = Added()
    settings = {"most_per_look": most_per_look, "every_hours": every_hours}
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


# --- looks ----------------------------------------------------------------------------------------------------------


feeds = dg.AssetSpec(
    "feeds",
    group_name="ingest",
    kinds={"lance"},
    description="Where sources are found: searches, channels, playlists. `internvid feeds` adds them.",
)


class Looks(dg.Config):
    """plans: those whose feeds are looked at; none means all. looks_at_most: in this run; the rest have their turn in
    the next.
    """

    plans: list[str] = []
    looks_at_most: int = LOOKS_AT_MOST


@dg.asset(
    deps=[feeds],
    group_name="ingest",
    pool="download",
    kinds={"lance"},
    description="Looks at feeds that are due, and what each found. New videos become sources, in new ingest batches.",
)
def feed_looks(
    context: dg.AssetExecutionContext, config: Looks, lake: Lake, downloader: Downloader
) -> dg.MaterializeResult:
    """One row is a look at a feed. A look is never made anew: the next one is another row."""
    lake.create_tables()
    looked = look(lake, downloader, config.plans, config.looks_at_most, run_id=context.run_id, log=context.log.info)
    context.instance.add_dynamic_partitions(str(ingest_batches.name), sorted(looked.batches))
    if looked.new:
        # Looking registers them: the UI shows `sources` as changed, as when files are registered.
        context.instance.report_runless_asset_event(
            dg.AssetMaterialization("sources", metadata={"sources_new": looked.new, "found_by": "feed_looks"})
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/table_name": FEED_LOOKS.name,
            "dagster/uri": lake.uri(FEED_LOOKS.name),
            "dagster/row_count": lake.dataset(FEED_LOOKS.name).count_rows(),
            "dagster/column_schema": column_schema(FEED_LOOKS),
            "looks": looked.looks,
            "found": looked.found,
            "sources_new": looked.new,
            "left_out": looked.left_out,
            "looks_failed": looked.failed,
            "looks_waiting": looked.waiting,
            "searches_refused": looked.refused,
            "batches": sorted(looked.batches),
        }
    )


@dataclass
class Looked:
    """What a run of looks found. looks: that were made. failed, waiting: looks that are not made now, also those an
    earlier run began. refused: searches of its plans. batches: in which there are new sources.
    """

    looks: int = 0
    found: int = 0
    new: int = 0
    left_out: int = 0
    failed: int = 0
    waiting: int = 0
    refused: int = 0
    batches: set[str] = field(default_factory=set)


def step(due: Iterable[str] = ()) -> Step:
    """due: ids of the looks whose turn it is. The version stays: a look at a feed cannot be made anew."""
    declared = pa.Table.from_pylist([{"look_id": look_id} for look_id in due], schema=DUE)
    return Step("feed_looks", "feed_looks_units", (Output(FEED_LOOKS, {"": "look/1"}),), chunk=1_000, declared=declared)


def look(
    lake: Lake,
    downloader: Downloader,
    plans: Sequence[str] = (),
    looks_at_most: int = LOOKS_AT_MOST,
    *,
    run_id: str,
    log: Any = None,
) -> Looked:
    """Looks at the feeds whose turn it is, plan by plan, and registers what is new.

    Raises ValueError for a plan without feeds.
    """
    known = lake.query("select distinct plan from feeds", tables=["feeds"])["plan"].to_pylist()
    if unknown := set(plans) - set(known):
        raise ValueError(f"no feed is of the plan {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    due = _due(lake, plans, looks_at_most)
    looked = Looked()
    registrar = _Registrar(lake, run_id, new_cutter(lake), Tombstones(lake), looked)
    for plan in sorted(plans or known):
        report = work_off(
            lake,
            step(due),
            partial(look_at, lake, downloader, registrar),
            partition=plan,
            run_id=run_id,
            log=log,
        )
        looked.failed += report.units["failed"]
        looked.waiting += report.units["waiting"]
        looked.refused += report.units["skipped"]
    return looked


def look_at(lake: Lake, downloader: Downloader, registrar: "_Registrar", units: list[Unit]) -> Iterator[Outcome]:
    """One look at each feed, site after site. A site that asks whether we are a robot, or says that it is asked too
    often, is not asked again: the rest of its looks wait.
    """
    feed_ids = [unit.key.rpartition("/")[0] for unit in units]
    rows = lake.fetch("feeds", feed_ids).to_pylist()
    work = sorted(zip(units, rows, strict=True), key=lambda item: (site_asked(item[1]["address"]), item[1]["number"]))
    left_alone = sites_left_alone(lake)
    for site, of_site in groupby(work, key=lambda item: site_asked(item[1]["address"])):
        yield from _look_at_site(downloader, registrar, site, list(of_site), left_alone.get(site))


def _look_at_site(
    downloader: Downloader,
    registrar: "_Registrar",
    site: str,
    work: list[tuple[Unit, Mapping[str, Any]]],
    stopped: LeftAlone | None,
) -> Iterator[Outcome]:
    asked = 0
    if stopped is None:
        for _, answer in downloader.entries([(feed["address"], feed["most_per_look"]) for _, feed in work]):
            unit, feed = work[asked]
            asked += 1
            until = pause_of(answer, unit.tries + 1, datetime.now(UTC)) if isinstance(answer, Exception) else None
            if until is not None:
                stopped = LeftAlone(site, until, type(answer).__name__, str(answer))
                yield Waiting(unit, site, stopped.reason_class, stopped.reason, until, was_tried=True)
                break
            if isinstance(answer, Exception):
                yield Failed(unit, answer)
            else:
                yield from one_by_one([unit], partial(registrar.take, feed=feed, entries=answer))
    for unit, _ in work[asked:]:
        assert stopped is not None, "every feed was asked"
        yield Waiting(unit, site, stopped.reason_class, stopped.reason, stopped.until)


@dataclass
class _Registrar:
    """Registers what looks find; `cutter` fills batches across them."""

    lake: Lake
    run_id: str
    cutter: BatchCutter
    tombstones: Tombstones
    looked: Looked

    def take(self, unit: Unit, feed: Mapping[str, Any], entries: Sequence[Any]) -> Outcome:
        """entries: of internvid.web.feeds."""
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
            cutter=self.cutter,
            tombstones=self.tombstones,
        )
        self.looked.looks += 1
        self.looked.found += len(entries)
        self.looked.new += registered.new
        self.looked.left_out += registered.left_out
        self.looked.batches |= registered.batches
        row = {
            "look_id": unit.key,
            "feed_id": feed["feed_id"],
            "number": int(unit.key.rpartition("/")[2]),
            "looked_at": datetime.now(UTC),
            "found": len(entries),
            "new": registered.new,
            "left_out": registered.left_out,
        }
        return Done(unit, (Rows.of([row], FEED_LOOKS),))


def _due(lake: Lake, plans: Sequence[str], looks_at_most: int) -> list[str]:
    parameters: dict[str, Any] = {"now": datetime.now(UTC), "plans": list(plans) or None, "looks": looks_at_most}
    return lake.query(statement("operations/feeds_due"), parameters)["look_id"].to_pylist()
