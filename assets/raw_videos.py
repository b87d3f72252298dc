"""`raw_videos`: the stored video files, known by their content. Importing, hashing and probing happens here."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.downloads import downloads
from assets.ingest_batches import ingest_batches
from assets.sources import sources
from resources.costs import Cost
from resources.lake import Lake
from resources.media import Media
from resources.refresh import Done, Failed, Outcome, Output, Rows, Skipped, Step, Unit, batch_counts_spec, refresh
from resources.samples import rows_sample
from resources.schema import RAW_VIDEOS
from resources.statements import statement
from resources.tombstones import Tombstones
from resources.video_file import Inspected


def step(media: Media) -> Step:
    """The version names what decides a row besides the file: the probe, and whether bytes are imported."""
    version = {"": f"probe/2+{media.keep}"}
    return Step("raw_videos", "raw_videos_units", (Output(RAW_VIDEOS, version),), chunk=64)


@dg.asset(
    partitions_def=ingest_batches,
    deps=[sources, downloads],
    group_name="ingest",
    pool="decode",
    kinds={"lance"},
    check_specs=[batch_counts_spec("raw_videos")],
    description="The stored video files: sha256, codec, duration, size, rotation, sound. Exact duplicates share bytes.",
)
def raw_videos(context: dg.AssetExecutionContext, lake: Lake, media: Media) -> Iterator[dg.MaterializeResult]:
    """One row is a stored video file. Changes when the file at its source does."""
    yield from refresh(
        context,
        lake,
        step(media),
        lambda units: store_and_probe(lake, media, units),
        sample=lambda table: rows_sample(lake, table, context.partition_key),
    )


def store_and_probe(lake: Lake, media: Media, units: list[Unit]) -> Iterator[Outcome]:
    """A row for each file that can be read; a skip for one whose bytes are here already."""
    files = _files(lake, units)
    tombstones = Tombstones(lake)
    for unit, (file, found) in zip(units, media.inspect([files[unit.key] for unit in units]), strict=True):
        if isinstance(found, BaseException):
            yield Failed(unit, found)
            continue
        if forgotten := tombstones.refuses_content(found.sha256):
            yield Skipped(unit, "Forgotten", forgotten)
            continue
        video_id = found.sha256[:16]
        original = _present(lake, video_id)
        if original is None or original["source_id"] == unit.key:
            yield _done(media, unit, video_id, file, found)
        elif media.exists(original["path"]):
            reason = f"exact duplicate of {original['source']}"
            yield Skipped(unit, "ExactDuplicate", reason, related_key=video_id)
        else:
            yield _done(media, _moved(lake, unit, video_id, original), video_id, file, found)


def _moved(lake: Lake, unit: Unit, video_id: str, original: dict[str, Any]) -> Unit:
    """The same bytes were here under a name that is gone: the file was moved. Its source takes the old one's place, in
    the old one's batch, for that is where the video's clips, frames and captions are."""
    batch = original["ingest_batch"]
    source = lake.fetch("sources", [unit.key]).drop_columns(["ingest_batch"])
    lake.upsert("sources", source.append_column("ingest_batch", pa.array([batch])))
    lake.delete("sources", [original["source_id"]])
    lake.delete("raw_videos", [video_id])
    return replace(unit, partition=batch)


def _present(lake: Lake, video_id: str) -> dict[str, Any] | None:
    rows = lake.query(
        "select source_id, source, path, ingest_batch from raw_videos where video_id = $video_id",
        {"video_id": video_id},
        tables=["raw_videos"],
    ).to_pylist()
    return rows[0] if rows else None


def _files(lake: Lake, units: list[Unit]) -> dict[str, str]:
    """Where the bytes of each source are: the file that it names, or what was downloaded from it."""
    rows = lake.query(statement("operations/files_of_sources"), {"source_ids": [unit.key for unit in units]})
    return {row["source_id"]: row["file"] for row in rows.to_pylist()}


def _done(media: Media, unit: Unit, video_id: str, file: str, found: Inspected) -> Outcome:
    try:
        path = media.store(file, found.sha256)
    except OSError as error:
        return Failed(unit, error)
    row = {
        "video_id": video_id,
        "source_id": unit.key,
        "source": unit.label,
        "path": path,
        "sha256": found.sha256,
        "packets_digest": found.packets_digest,
        "size_bytes": found.size_bytes,
        **vars(found.probe),
    }
    return Done(unit, (Rows.of([row], RAW_VIDEOS),), cost=Cost(bytes_read=found.size_bytes))
