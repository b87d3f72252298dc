"""`downloads`: videos fetched from the web, with their sites' metadata."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.catalog.admission import Admission
from resources.catalog.downloader import Cooldown, Downloader, Wanted, remove_folder, sites_in_cooldown
from resources.catalog.exclusions import Exclusions
from resources.catalog.tombstones import Tombstones
from resources.incremental.costs import Cost
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.retries import FailurePolicy
from resources.incremental.stage import Done, Failed, Outcome, Rows, Skipped, Unit, Waiting
from resources.lake.schema import DOWNLOADS
from resources.lake.statements import statement
from resources.media.store import Media

if TYPE_CHECKING:
    from internvid.web.download import Downloaded


def configure(scope: StageScope, *, downloader: Downloader, **needed: object) -> Configuration:
    """The version names the rules by which videos are accepted, and the size in which they are downloaded."""
    return Configuration(({"": downloader.version},), chunk_size=1_000)


@stage(
    group="ingest",
    outputs=(DOWNLOADS,),
    configure=configure,
    pool="download",
    kinds=("lance", "ytdlp"),
    providers=("downloader",),
    resources=("media", "admission", "failure_policy"),
    samples={DOWNLOADS.name: ("url", "title", "channel", "duration_seconds", "format", "licence")},
    cost=CostDrivers(per_video=True, only_web=True),
)
def downloads(
    run: StageRun,
    units: list[Unit],
    *,
    downloader: Downloader,
    media: Media,
    admission: Admission,
    failure_policy: FailurePolicy,
) -> Iterator[Outcome]:
    """Videos fetched from the web, with their metadata and subtitles; politely: rate-limited by site, and resumed.

    Changes when other sizes or kinds of subtitles are wanted.
    """
    yield from fetch(run, media, downloader, admission.exclusions(), failure_policy, units)


def fetch(
    run: StageRun,
    media: Media,
    downloader: Downloader,
    exclusions: Exclusions,
    policy: FailurePolicy,
    units: list[Unit],
) -> Iterator[Outcome]:
    """Skips excluded sources, judges files that are stored already by the present rules, and fetches the rest."""
    columns = ["source_id", "uri", "site", "site_key", "channel", "channel_id", "query_words"]
    source_ids = [unit.key for unit in units]
    rows = {row["source_id"]: row for row in run.lake.fetch("sources", source_ids, columns).to_pylist()}
    stored = _stored_downloads(run, downloader, units)
    smaller = {key: stored.pop(key) for key in list(stored) if stored[key]["below_available"]}
    tombstones = Tombstones(run.lake)
    by_key = {}
    for unit in units:
        source = rows[unit.key]
        about = (source["uri"], source["site_key"], source["channel_id"], source["channel"])
        forgotten = tombstones.refuses_source(*about)
        if refused := ("Forgotten", forgotten) if forgotten else exclusions.refuses(*about):
            remove_folder(media.download_folder(unit.key))
            yield Skipped(unit, *refused)
        elif unit.key in stored:
            yield _judged_again(downloader, unit, stored[unit.key])
        else:
            by_key[unit.key] = unit
    wanted = [
        Wanted(key, rows[key]["uri"], rows[key]["site"], media.download_folder(key), unit.tries)
        for key, unit in by_key.items()
    ]
    for item, result in downloader.fetch(wanted, sites_in_cooldown(run.lake), policy) if wanted else ():
        outcome = _outcome(media, downloader, exclusions, by_key[item.key], rows[item.key], item, result)
        if not _goes_on(outcome, policy):
            remove_folder(item.folder)
        yield _kept(outcome, smaller[item.key]) if item.key in smaller else outcome


def _goes_on(outcome: Outcome, policy: FailurePolicy) -> bool:
    """Says whether a later try will come by itself and go on with what was fetched so far."""
    if not isinstance(outcome, Failed):
        return isinstance(outcome, Waiting)
    return policy.retry(type(outcome.error)).next_try(outcome.unit.tries + 1, datetime.now(UTC)) is not None


def _stored_downloads(run: StageRun, downloader: Downloader, units: list[Unit]) -> dict[str, dict[str, Any]]:
    """Returns rows of files that were downloaded in the same form under earlier rules, by source id."""
    rows = run.query(
        statement("catalog/downloads_of_sources"), {"source_ids": [unit.key for unit in units]}
    ).to_pylist()
    form = f"{downloader.form_version}+"
    return {row["source_id"]: row for row in rows if row["version"].startswith(form)}


def _kept(outcome: Outcome, row: dict[str, Any]) -> Outcome:
    """Keeps the smaller file of an earlier try where this one gives none, and says why it is tried again.

    row: of the earlier download, with the columns of `downloads`.
    """
    from internvid.web.errors import BelowAvailable

    if isinstance(outcome, Done):
        return outcome
    why = f"{type(outcome.error).__name__}: {outcome.error}" if isinstance(outcome, Failed) else outcome.reason
    content = {name: row[name] for name in DOWNLOADS.content.names}
    improvable = BelowAvailable(f"the smaller file stays, as the last try gave none: {why}")
    return Done(outcome.unit, (Rows.of([content], DOWNLOADS),), improvable=improvable)


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
    wanted: Wanted,
    result: Any,
) -> Outcome:
    from internvid.web.crawl_rules import LeftOut

    if isinstance(result, Cooldown):
        return Waiting(unit, result.site, result.reason_class, result.reason, result.until, was_tried=result.was_asked)
    if isinstance(result, LeftOut):
        return Skipped(unit, result.reason_class, result.reason)
    if isinstance(result, BaseException):
        return Failed(unit, result)
    metadata = result.metadata
    if excluded := exclusions.refuses(source["uri"], metadata["site_key"], metadata["channel_id"], metadata["channel"]):
        return Skipped(unit, *excluded)
    try:
        return _stored(media, downloader, unit, source, wanted, result)
    except OSError as error:
        return Failed(unit, error)


def _stored(
    media: Media, downloader: Downloader, unit: Unit, source: dict[str, Any], wanted: Wanted, downloaded: "Downloaded"
) -> Outcome:
    """Moves the file into the media store, if its measured length and size fulfil the rules."""
    from internvid.web.errors import BelowAvailable

    ((_, inspected),) = media.inspect([downloaded.path])
    if isinstance(inspected, BaseException):
        return Failed(unit, inspected)
    probe = inspected.probe
    seconds = downloaded.metadata["duration_seconds"] or inspected.packets.duration_seconds
    if left_out := _against_the_rules(downloader, seconds, min(probe.display_width, probe.display_height)):
        return Skipped(unit, *left_out)
    path = media.take_in(downloaded.path, downloaded.sha256)
    subtitles = [media.take_in_beside(file, f"subtitles/{unit.key}/{Path(file).name}") for file in downloaded.subtitles]
    row = {
        "source_id": unit.key,
        "url": wanted.url,
        "path": path,
        "sha256": downloaded.sha256,
        "size_bytes": downloaded.size_bytes,
        "subtitles": subtitles,
        "query_words": source["query_words"],
        "warnings": list(downloaded.warnings),
        "fetched_at": datetime.now(UTC),
        **downloaded.metadata,
        "duration_seconds": seconds,
        "below_available": downloaded.below_available is not None,
    }
    improvable = BelowAvailable(downloaded.below_available) if downloaded.below_available else None
    cost = Cost(bytes_read=downloaded.size_bytes)
    return Done(unit, (Rows.of([row], DOWNLOADS),), cost=cost, improvable=improvable)


def _against_the_rules(downloader: Downloader, seconds: float | None, side: int | None) -> tuple[str, str] | None:
    """Returns class and reason where the rules refuse the video. side: its shorter side in pixels."""
    if seconds is not None and seconds < downloader.min_duration_seconds:
        return "TooShort", f"{seconds:.1f} s, less than {downloader.min_duration_seconds:g} s"
    if seconds is not None and seconds > downloader.max_duration_seconds:
        return "TooLong", f"{seconds:.1f} s, more than {downloader.max_duration_seconds:g} s"
    if side is not None and side < downloader.min_short_side:
        return "TooSmall", f"{side} pixels on its shorter side, less than {downloader.min_short_side}"
    return None
