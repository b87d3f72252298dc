"""`raw_videos`: the stored video files, identified by their content. Files are imported, hashed and probed here."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from resources.catalog.tombstones import Tombstones
from resources.incremental.costs import Cost
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.stage import Done, Failed, Outcome, Rows, Skipped, Unit
from resources.lake.schema import RAW_VIDEOS
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.media.store import Media
from resources.media.video_file import Inspected

SHOWN = ("duration_seconds", "display_width", "display_height", "video_codec", "audio_codec", "source")


def configure(scope: StageScope, *, media: Media) -> Configuration:
    """The version names what a row depends on besides the file: the probe, and whether bytes are imported."""
    return Configuration(({"": f"probe/3+{media.keep}"},))


@stage(
    group="ingest",
    outputs=(RAW_VIDEOS,),
    configure=configure,
    pool="decode",
    kinds=("lance", "ffmpeg"),
    resources=("media",),
    samples={RAW_VIDEOS.name: SHOWN},
    cost=CostDrivers(per_video=True),
)
def raw_videos(run: StageRun, units: list[Unit], *, media: Media) -> Iterator[Outcome]:
    """The stored video files: sha256, codec, duration, size, rotation, sound. Exact duplicates share bytes.

    Changes when the file at its source does.
    """
    yield from store_and_probe(run, media, units)


def store_and_probe(run: StageRun, media: Media, units: list[Unit]) -> Iterator[Outcome]:
    """Stores and probes the file of each unit, a source. A file whose bytes are stored already is skipped."""
    files = _files(run, media, units)
    tombstones = Tombstones(run.lake)
    for unit, (file, inspected) in zip(units, media.inspect([files[unit.key] for unit in units]), strict=True):
        if isinstance(inspected, BaseException):
            yield Failed(unit, inspected)
            continue
        if forgotten := tombstones.refuses_content(inspected.sha256):
            yield Skipped(unit, "Forgotten", forgotten)
            continue
        video_id = inspected.sha256[:16]
        original = _present(run.lake, video_id)
        if original is None or original["source_id"] == unit.key:
            yield _done(media, unit, video_id, file, inspected)
        elif media.exists(original["path"]):
            reason = f"exact duplicate of {original['source']}"
            yield Skipped(unit, "ExactDuplicate", reason, related_key=video_id)
        else:
            yield _done(media, _moved(run.lake, unit, video_id, original), video_id, file, inspected)


def _moved(lake: Lake, unit: Unit, video_id: str, original: dict[str, Any]) -> Unit:
    """Handles a moved file: the same bytes were registered under a name that no longer exists.

    The new source replaces the original one, in the original ingest batch, which holds the video's clips, frames and
    captions.
    """
    batch = original["ingest_batch"]
    source = lake.fetch("sources", [unit.key]).drop_columns(["ingest_batch"])
    lake.upsert("sources", source.append_column("ingest_batch", pa.array([batch])))
    lake.delete("sources", [original["source_id"]])
    lake.delete("raw_videos", [video_id])
    return replace(unit, partition=batch)


def _present(lake: Lake, video_id: str) -> dict[str, Any] | None:
    rows = lake.known("raw_videos", [video_id], ["source_id", "source", "path", "ingest_batch"]).to_pylist()
    return rows[0] if rows else None


def _files(run: StageRun, media: Media, units: list[Unit]) -> dict[str, str]:
    """Returns the path of each source's bytes: the file that it names, or the file downloaded from it.

    A file that is not on this machine is read from the media store, if it was imported.
    """
    rows = run.query(statement("catalog/files_of_sources"), {"source_ids": [unit.key for unit in units]}).to_pylist()
    return {
        row["source_id"]: row["file"] if row["stored"] is None or media.exists(row["file"]) else row["stored"]
        for row in rows
    }


def _done(media: Media, unit: Unit, video_id: str, file: str, inspected: Inspected) -> Outcome:
    try:
        path = media.store(file, inspected.sha256)
    except OSError as error:
        return Failed(unit, error)
    packets = inspected.packets
    row = {
        "video_id": video_id,
        "source_id": unit.key,
        "source": unit.label,
        "path": path,
        "sha256": inspected.sha256,
        "packets_digest": packets.digest,
        "duration_seconds": packets.duration_seconds,
        "short_of_header": packets.short_of_header,
        "frame_count": packets.frame_count,
        "fps": packets.fps,
        "size_bytes": inspected.size_bytes,
        **vars(inspected.probe),
    }
    return Done(unit, (Rows.of([row], RAW_VIDEOS),), cost=Cost(bytes_read=inspected.size_bytes))
