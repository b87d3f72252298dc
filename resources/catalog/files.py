"""Registers local video files in `sources`, and assigns them to ingest batches. Videos of the web: `web`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa

from internvid.speech.sidecars import SidecarFinder
from internvid.video.file_kinds import is_video_name
from resources.catalog.batching import IngestBatcher
from resources.catalog.folders import FoundFiles, note_passed_over, video_files
from resources.catalog.tombstones import Tombstones
from resources.incremental.costs import REGISTERING, recorded
from resources.incremental.provenance import digest
from resources.lake.paths import local_path
from resources.lake.schema import SOURCES
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.media.store import Media

FILES_PER_COMMIT = 1_000


@dataclass
class Registered:
    """Result of registering videos.

    changed: videos whose file or subtitle files changed. left_out: forgotten videos, which are not registered again.
    batches: ingest batches of new and changed videos. tally: what was passed over in folders.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    left_out: int = 0
    batches: set[str] = field(default_factory=set)
    tally: FoundFiles = field(default_factory=FoundFiles)

    @property
    def total(self) -> int:
        """Number of registered videos."""
        return self.new + self.changed + self.unchanged

    def add(self, registered: "Registered") -> None:
        for name in ("new", "changed", "unchanged", "left_out"):
            setattr(self, name, getattr(self, name) + getattr(registered, name))
        self.batches |= registered.batches
        self.tally.add(registered.tally)


def register(
    lake: Lake,
    media: Media,
    locations: Sequence[str],
    *,
    run_id: str,
    hours_per_batch: float | None = None,
    batcher: IngestBatcher | None = None,
    on_files: Callable[[int], object] = lambda number: None,
) -> Registered:
    """Adds the video files under the locations to `sources`, new ones in new ingest batches; a changed file keeps its.

    batcher: passed by a caller with several calls, to fill batches across them. on_files: called with the number of
    files of each commit. Raises FileNotFoundError for a location that does not exist.
    """
    lake.create_tables()
    with recorded(lake, REGISTERING, run_id=f"{run_id}/{uuid4().hex[:16]}") as ledger:
        registered = _register(lake, media, locations, run_id, batcher or new_batcher(lake, hours_per_batch), on_files)
        ledger.units = registered.new + registered.changed
    return registered


def _register(
    lake: Lake,
    media: Media,
    locations: Sequence[str],
    run_id: str,
    batcher: IngestBatcher,
    on_files: Callable[[int], object],
) -> Registered:
    registered = Registered()
    tombstones = Tombstones(lake)
    files = video_files(locations, registered.tally)
    sidecars = SidecarFinder(is_video_name)
    while chunk := [seen_now(path, sidecars) for path in islice(files, FILES_PER_COMMIT)]:
        current = list({row["source_id"]: row for row in chunk}.values())  # locations may overlap
        allowed = [row for row in current if tombstones.refuses_source(row["uri"], None, None, None) is None]
        registered.left_out += len(current) - len(allowed)
        known = _known(lake, [row["source_id"] for row in allowed])
        fresh = [row for row in allowed if known.get(row["source_id"], ("",))[:2] != _state(row)]
        paths = [str(local_path(row["uri"])) for row in fresh]
        for row, (_, seconds) in zip(fresh, media.durations(paths) if paths else (), strict=True):
            is_new = row["source_id"] not in known
            batch = batcher.key_for(seconds) if is_new else known[row["source_id"]][2]
            row |= {
                "subtitles": _kept_subtitles(media, row),
                "first_seen_at": datetime.now(UTC) if is_new else known[row["source_id"]][3],
                "estimated_seconds": seconds,
                "ingest_batch": batch,
                "run_id": run_id,
                "written_at": datetime.now(UTC),
            }
            registered.new += is_new
            registered.changed += not is_new
            registered.batches.add(batch)
        if fresh:
            lake.upsert("sources", pa.Table.from_pylist(fresh, schema=SOURCES.arrow))
        registered.unchanged += len(allowed) - len(fresh)
        on_files(len(current))
    note_passed_over(lake, registered.tally, run_id)
    return registered


def new_batcher(lake: Lake, hours_per_batch: float | None = None) -> IngestBatcher:
    """Returns a batcher that continues after the existing batches. hours_per_batch: None: it grows with the lake."""
    taken = lake.query(statement("catalog/hours_by_batch"), tables=["sources"])
    hours = sum(hours or 0.0 for hours in taken["hours"].to_pylist())
    today = datetime.now(UTC).date()
    return IngestBatcher(taken["ingest_batch"].to_pylist(), today, hours_per_batch, registered_hours=hours)


def seen_now(path: Path, sidecars: SidecarFinder) -> dict[str, Any]:
    """Returns the file's present values of the row in `sources`. Raises FileNotFoundError where it was removed."""
    stat = path.stat()
    uri = path.as_uri()
    subtitles = [(file.as_uri(), *_size_and_time(file)) for file in sidecars.subtitle_files(path)]
    return {
        "source_id": digest(uri)[:16],
        "uri": uri,
        "kind": "file",
        "size_bytes": stat.st_size,
        "modified_ns": stat.st_mtime_ns,
        "subtitles": [uri for uri, *_ in subtitles],
        "subtitles_seen": digest(subtitles) if subtitles else None,
        "provenance": digest(uri, stat.st_size, stat.st_mtime_ns),
    }


def _kept_subtitles(media: Media, row: dict[str, Any]) -> list[str]:
    """Returns where the subtitle files are read later: beside the video, or, as videos are imported, in the store."""
    if media.keep == "reference":
        return row["subtitles"]
    # A changed file gets a name of its own. The last part stays as the URI has it, which any store takes.
    return [
        media.take_in_beside(uri, f"subtitles/{row['source_id']}/{row['subtitles_seen']}/{uri.rpartition('/')[2]}")
        for uri in row["subtitles"]
    ]


def _size_and_time(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _state(row: dict[str, Any]) -> tuple[str, str | None]:
    return row["provenance"], row["subtitles_seen"]


def _known(lake: Lake, source_ids: list[str]) -> dict[str, tuple[str, str | None, str, datetime | None]]:
    """Returns (provenance, subtitles_seen, ingest_batch, first_seen_at) of registered sources, by source id."""
    rows = lake.query(
        "select source_id, provenance, subtitles_seen, ingest_batch, first_seen_at from sources "
        "where source_id in (select unnest($ids))",
        {"ids": source_ids},
        tables=["sources"],
    )
    return {row["source_id"]: (*_state(row), row["ingest_batch"], row["first_seen_at"]) for row in rows.to_pylist()}
