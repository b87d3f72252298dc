"""`downloads`: videos that were fetched from the web, with what their sites say of them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.ingest_batches import ingest_batches
from assets.sources import sources
from resources.costs import Cost
from resources.downloader import Downloader, LeftAlone, Wanted, remove_folder, sites_left_alone
from resources.exclusions import Exclusions
from resources.lake import Lake
from resources.media import Media
from resources.refresh import (
    Done,
    Failed,
    Outcome,
    Output,
    Rows,
    Skipped,
    Step,
    Unit,
    Waiting,
    batch_counts_spec,
    refresh,
)
from resources.samples import rows_sample
from resources.schema import DOWNLOADS
from resources.statements import statement
from resources.tombstones import Tombstones

if TYPE_CHECKING:
    from internvid.web.download import Downloaded


def step(downloader: Downloader) -> Step:
    """The version names which videos are taken, and in which size."""
    return Step("downloads", "downloads_units", (Output(DOWNLOADS, {"": downloader.version}),), chunk=1_000)


@dg.asset(
    partitions_def=ingest_batches,
    deps=[sources],
    group_name="ingest",
    pool="download",
    kinds={"lance"},
    check_specs=[batch_counts_spec("downloads")],
    description="Videos fetched from the web, with their metadata and subtitles, politely: paced by site, resumed.",
)
def downloads(
    context: dg.AssetExecutionContext, lake: Lake, media: Media, downloader: Downloader
) -> Iterator[dg.MaterializeResult]:
    """One row is a video fetched from the web. Changes when other sizes or kinds of subtitles are wanted."""
    yield from refresh(
        context,
        lake,
        step(downloader),
        lambda units: fetch(lake, media, downloader, units),
        sample=lambda table: rows_sample(lake, table, context.partition_key),
    )


def fetch(lake: Lake, media: Media, downloader: Downloader, units: list[Unit]) -> Iterator[Outcome]:
    """Leaves out what is excluded, takes what is here already, and fetches the rest."""
    columns = ["source_id", "uri", "site", "site_key", "channel", "channel_id", "query_words"]
    rows = {row["source_id"]: row for row in lake.fetch("sources", [unit.key for unit in units], columns).to_pylist()}
    here = _here(lake, downloader, units)
    exclusions, tombstones = Exclusions.of_environment(), Tombstones(lake)
    by_key = {}
    for unit in units:
        source = rows[unit.key]
        about = (source["uri"], source["site_key"], source["channel_id"], source["channel"])
        if forgotten := tombstones.refuses_source(*about):
            yield Skipped(unit, "Forgotten", forgotten)
        elif excluded := exclusions.refuses(*about):
            yield Skipped(unit, *excluded)
        elif unit.key in here:
            yield _judged_again(downloader, unit, here[unit.key])
        else:
            by_key[unit.key] = unit
    wanted = [
        Wanted(key, rows[key]["uri"], rows[key]["site"], media.download_folder(key), unit.tries)
        for key, unit in by_key.items()
    ]
    for one, result in downloader.fetch(wanted, sites_left_alone(lake)) if wanted else ():
        yield _outcome(media, downloader, exclusions, by_key[one.key], rows[one.key], one, result)


def _here(lake: Lake, downloader: Downloader, units: list[Unit]) -> dict[str, dict[str, Any]]:
    """Rows of what was fetched in this form before, under other rules of what is taken at all."""
    rows = lake.query(
        statement("operations/downloads_of_sources"), {"source_ids": [unit.key for unit in units]}
    ).to_pylist()
    form = f"{downloader.form_version}+"
    return {row["source_id"]: row for row in rows if row["version"].startswith(form)}


def _judged_again(downloader: Downloader, unit: Unit, row: dict[str, Any]) -> Outcome:
    seconds, side = row["duration_seconds"], row.pop("short_side")
    if left_out := _against_the_rules(downloader, seconds, side):
        return Skipped(unit, *left_out)
    content = {name: row[name] for name in DOWNLOADS.content.names}
    return Done(unit, (Rows.of([content], DOWNLOADS),))


def _outcome(
    media: Media,
    downloader: Downloader,
    exclusions: Exclusions,
    unit: Unit,
    source: dict[str, Any],
    one: Wanted,
    result: Any,
) -> Outcome:
    from internvid.web.crawl_rules import LeftOut

    if isinstance(result, LeftAlone):
        return Waiting(unit, result.site, result.reason_class, result.reason, result.until, was_tried=result.was_asked)
    if isinstance(result, LeftOut):
        remove_folder(one.folder)
        return Skipped(unit, result.reason_class, result.reason)
    if isinstance(result, BaseException):
        return Failed(unit, result)
    said = result.metadata
    if excluded := exclusions.refuses(source["uri"], said["site_key"], said["channel_id"], said["channel"]):
        remove_folder(one.folder)
        return Skipped(unit, *excluded)
    try:
        return _stored(media, downloader, unit, source, one, result)
    except OSError as error:
        return Failed(unit, error)


def _stored(
    media: Media, downloader: Downloader, unit: Unit, source: dict[str, Any], one: Wanted, found: "Downloaded"
) -> Outcome:
    """Into the media store, if the rules allow it now that the file can be looked at."""
    ((_, inspected),) = media.inspect([found.path])
    if isinstance(inspected, BaseException):
        return Failed(unit, inspected)
    probe = inspected.probe
    seconds = found.metadata["duration_seconds"] or probe.duration_seconds
    if left_out := _against_the_rules(downloader, seconds, min(probe.display_width, probe.display_height)):
        remove_folder(one.folder)
        return Skipped(unit, *left_out)
    path = media.take_in(found.path, found.sha256)
    subtitles = [media.take_in_beside(file, f"subtitles/{unit.key}/{Path(file).name}") for file in found.subtitles]
    remove_folder(one.folder)
    row = {
        "source_id": unit.key,
        "url": one.url,
        "path": path,
        "sha256": found.sha256,
        "size_bytes": found.size_bytes,
        "subtitles": subtitles,
        "query_words": source["query_words"],
        "warnings": list(found.warnings),
        "fetched_at": datetime.now(UTC),
        **found.metadata,
        "duration_seconds": seconds,
    }
    return Done(unit, (Rows.of([row], DOWNLOADS),), cost=Cost(bytes_read=found.size_bytes))


def _against_the_rules(downloader: Downloader, seconds: float | None, side: int | None) -> tuple[str, str] | None:
    """Class and reason where the video is not to be taken."""
    if seconds is not None and seconds < downloader.shortest_seconds:
        return "TooShort", f"{seconds:.1f} s, less than {downloader.shortest_seconds:g} s"
    if seconds is not None and seconds > downloader.longest_seconds:
        return "TooLong", f"{seconds:.1f} s, more than {downloader.longest_seconds:g} s"
    if side is not None and side < downloader.shortest_side:
        return "TooSmall", f"{side} pixels on its shorter side, less than {downloader.shortest_side}"
    return None
