"""`sources`: where videos can be had. Local files and folders here; what is on the web in `web_sources`."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.ingest_batches import HOURS_PER_BATCH, BatchCutter, ingest_batches
from internvid.speech.sidecars import SUFFIXES as SUBTITLE_SUFFIXES
from internvid.speech.sidecars import SidecarFinder
from resources.lake import Lake
from resources.media import Media
from resources.refresh import column_schema, digest
from resources.schema import SOURCES
from resources.tombstones import Tombstones
from resources.video_file import local_path

FILES_PER_COMMIT = 1_000

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("3g2", "3gp", "asf", "avi", "f4v", "flv", "m2ts", "m2v", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts"),
        *("mxf", "ogv", "ts", "vob", "webm", "wmv"),
    )
)


@dataclass
class Registered:
    """What a look at some locations found. `changed`: also videos beside which only subtitles changed. `ignored`: files
    whose name says neither that they are video nor that they are subtitles. `left_out`: forgotten, so not registered.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    ignored: int = 0
    left_out: int = 0
    batches: set[str] = field(default_factory=set)

    @property
    def found(self) -> int:
        return self.new + self.changed + self.unchanged

    def add(self, other: "Registered") -> None:
        for name in ("new", "changed", "unchanged", "ignored", "left_out"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.batches |= other.batches


class Locations(dg.Config):
    """locations: files and folders to look at; none means the inbox, INTERNVID_INBOX."""

    locations: list[str] = []


@dg.asset(
    deps=[dg.AssetKey("feed_looks")],  # by its name: looking registers sources, so its module imports this one
    group_name="ingest",
    kinds={"lance"},
    description="Where videos can be had, one row a place. Registering cuts the ingest batches that all else works on.",
)
def sources(context: dg.AssetExecutionContext, config: Locations, lake: Lake, media: Media) -> dg.MaterializeResult:
    """One row is a place where a video can be had. Changes when the file does, or a subtitle file beside it."""
    locations = config.locations or [inbox()]
    registered = register(lake, media, locations, run_id=context.run_id)
    context.instance.add_dynamic_partitions(str(ingest_batches.name), sorted(registered.batches))
    return dg.MaterializeResult(
        metadata={
            "dagster/table_name": SOURCES.name,
            "dagster/uri": lake.uri(SOURCES.name),
            "dagster/row_count": lake.dataset(SOURCES.name).count_rows(),
            "dagster/column_schema": column_schema(SOURCES),
            "files_new": registered.new,
            "files_changed": registered.changed,
            "files_unchanged": registered.unchanged,
            "files_ignored": registered.ignored,
            "batches": sorted(registered.batches),
        }
    )


def inbox() -> str:
    """The watched folder. Raises dg.Failure when none is configured."""
    folder = os.environ.get("INTERNVID_INBOX")
    if not folder:
        raise dg.Failure("nothing to look at: give `locations` in the run's config, or set INTERNVID_INBOX to a folder")
    return folder


def register(
    lake: Lake,
    media: Media,
    locations: Sequence[str],
    *,
    run_id: str,
    hours_per_batch: float = HOURS_PER_BATCH,
    cutter: BatchCutter | None = None,
    on_files: Callable[[int], object] = lambda number: None,
) -> Registered:
    """Adds the video files under the locations to `sources` and cuts new ones into batches; a changed one keeps its.

    cutter: of a caller with many calls, which then fills batches across them. Raises FileNotFoundError for a location
    that does not exist.
    """
    lake.create_tables()
    registered = Registered()
    cutter = cutter or new_cutter(lake, hours_per_batch)
    tombstones = Tombstones(lake)
    files = video_files(locations, registered)
    sidecars = SidecarFinder(is_video)
    while seen := [seen_now(path, sidecars) for path in islice(files, FILES_PER_COMMIT)]:
        found = list({row["source_id"]: row for row in seen}.values())  # locations may overlap
        chunk = [row for row in found if tombstones.refuses_source(row["uri"], None, None, None) is None]
        registered.left_out += len(found) - len(chunk)
        known = _known(lake, [row["source_id"] for row in chunk])
        fresh = [row for row in chunk if known.get(row["source_id"], ("",))[:2] != _state(row)]
        paths = [str(local_path(row["uri"])) for row in fresh]
        for row, (_, seconds) in zip(fresh, media.durations(paths) if paths else (), strict=True):
            is_new = row["source_id"] not in known
            batch = cutter.key_for(seconds) if is_new else known[row["source_id"]][2]
            row |= {
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
        registered.unchanged += len(chunk) - len(fresh)
        on_files(len(found))
    return registered


def new_cutter(lake: Lake, hours_per_batch: float = HOURS_PER_BATCH) -> BatchCutter:
    """Goes on after the batches that there are."""
    taken = lake.query("select distinct ingest_batch from sources", tables=["sources"])["ingest_batch"].to_pylist()
    return BatchCutter(taken, datetime.now(UTC).date(), hours_per_batch)


def video_files(locations: Iterable[str], registered: Registered) -> Iterator[Path]:
    """Files given by name, and those in folders, at any depth, whose suffix is a video's; in order of name."""
    for location in locations:
        path = Path(local_path(location) or location).expanduser()
        if path.is_dir():
            for folder, subfolders, names in os.walk(path):
                subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
                for name in sorted(names):
                    if is_video(name) and (file := Path(folder, name).resolve()).is_file():
                        yield file
                    elif not name.lower().endswith(SUBTITLE_SUFFIXES):  # also a link that leads nowhere
                        registered.ignored += 1
        elif path.exists():
            yield path.resolve()
        else:
            raise FileNotFoundError(f"no such file or folder: {location}")


def is_video(name: str) -> bool:
    """Whether the name says so."""
    return Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")


def seen_now(path: Path, sidecars: SidecarFinder) -> dict[str, Any]:
    """What `sources` holds of the file as it is now. Raises FileNotFoundError where it is gone meanwhile."""
    stat = path.stat()
    uri = path.as_uri()
    subtitles = [(file.as_uri(), *_size_and_time(file)) for file in sidecars.of(path)]
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


def _size_and_time(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _state(row: dict[str, Any]) -> tuple[str, str | None]:
    return row["provenance"], row["subtitles_seen"]


def _known(lake: Lake, source_ids: list[str]) -> dict[str, tuple[str, str | None, str, datetime | None]]:
    """Provenance, subtitles, batch and first sight of those that are registered already."""
    rows = lake.query(
        "select source_id, provenance, subtitles_seen, ingest_batch, first_seen_at from sources "
        "where source_id in (select unnest($ids))",
        {"ids": source_ids},
        tables=["sources"],
    )
    return {row["source_id"]: (*_state(row), row["ingest_batch"], row["first_seen_at"]) for row in rows.to_pylist()}
