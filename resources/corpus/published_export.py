"""The published export: a folder with a file of captioned clips for each ingest batch, and a manifest that names them.

Publishing writes the files of batches that changed since the export was last made, and lets the others be. A file has
the batch and a hash of its content in its name, so no file ever changes: a reader of an older manifest reads what that
one says, or finds a file gone and reads the manifest again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from internvid.report.internvid_jsonl import FORMAT, write_internvid_jsonl
from resources.corpus.exports.jsonl import captioned_clips
from resources.incremental.provenance import digest
from resources.lake.changes import changed_partitions, in_parts
from resources.lake.paths import StoragePath
from resources.lake.published_files import MANIFEST, manifest_of, name_of_content, remove_others
from resources.lake.schema import CLIP_CAPTIONS, CLIPS, RAW_VIDEOS
from resources.lake.statements import statement
from resources.lake.store import Lake

INTERNVID_JSONL = "internvid_jsonl"  # the folder
TABLES_READ = (CLIP_CAPTIONS, CLIPS, RAW_VIDEOS)
MAX_TRIES = 5


class ExportedFile(BaseModel):
    """The clips of one ingest batch. bytes: size of the file. snapshot: from which it was written."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    file: str
    ingest_batch: str
    clips: int
    bytes: int
    sha256: str
    snapshot: str


class Manifest(BaseModel):
    """What the export consists of, in order of batches.

    snapshot, table_versions: what it shows. format, statement_digest: what decided the lines besides the tables.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: str
    statement_digest: str
    snapshot: str
    table_versions: dict[str, int]
    clips: int
    bytes: int
    files: list[ExportedFile]


@dataclass(frozen=True)
class Publication:
    """What a publishing left, and what it did. whole_because: why every file was made again; None: not all were."""

    manifest: Manifest
    written: int
    kept: int
    whole_because: str | None


def publish_export(lake: Lake, snapshot: str) -> Publication:
    """Brings the published export to the snapshot. Killed at any moment, it leaves the old one or the new one."""
    folder = lake.file(INTERNVID_JSONL)
    for _ in range(MAX_TRIES):
        publication = _publish(lake, folder, snapshot)
        # Another process that publishes may have taken our files for left-overs, or we its own.
        if _is_complete(folder):
            return publication
    raise dg.Failure(f"{folder}: files are gone while they are published; do other processes publish without an end?")


def read_manifest(folder: StoragePath) -> Manifest | None:
    """Returns the manifest of an export; None where there is none, or one that this program does not understand."""
    return manifest_of(folder, Manifest)


def _publish(lake: Lake, folder: StoragePath, snapshot: str) -> Publication:
    versions = {table.name: lake.dataset(table.name, snapshot).version for table in TABLES_READ}
    sizes = _sizes(folder)
    earlier = read_manifest(folder)
    changed = _changed_batches(lake, earlier, versions)
    if earlier is None or isinstance(changed, str):
        kept: dict[str, ExportedFile] = {}
        clips: Iterable[pa.RecordBatch] = captioned_clips(lake, at=snapshot)
    else:
        kept = {
            file.ingest_batch: file
            for file in earlier.files
            if file.ingest_batch not in changed and sizes.get(file.file) == file.bytes
        }
        to_write = changed | {file.ingest_batch for file in earlier.files} - kept.keys()
        parts = (captioned_clips(lake, at=snapshot, ingest_batches=part) for part in in_parts(to_write))
        clips = (rows for part in parts for rows in part)
    with folder.temporary_folder_beside() as workplace:
        written: dict[str, ExportedFile] = {}
        for ingest_batch, rows in _by_batch(clips):
            path = workplace / "batch.jsonl"
            file = _written(rows, path, ingest_batch, snapshot)
            if sizes.get(file.file) != file.bytes:
                (folder / file.file).take(path)
            written[ingest_batch] = file
        files = [file for _, file in sorted((kept | written).items())]
        manifest = Manifest(
            format=FORMAT,
            statement_digest=_statement_digest(),
            snapshot=snapshot,
            table_versions=versions,
            clips=sum(file.clips for file in files),
            bytes=sum(file.bytes for file in files),
            files=files,
        )
        text = workplace / MANIFEST
        text.write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
        (folder / MANIFEST).take(text)
    remove_others(folder, (file.file for file in manifest.files))
    return Publication(manifest, len(written), len(kept), changed if isinstance(changed, str) else None)


def _changed_batches(lake: Lake, earlier: Manifest | None, versions: Mapping[str, int]) -> set[str] | str:
    """Returns the batches whose clips may differ from those of the earlier export; or why that cannot be told."""
    if earlier is None:
        return "there is none yet"
    if (earlier.format, earlier.statement_digest) != (FORMAT, _statement_digest()):
        return "another version of this software made the earlier one"
    changed: set[str] = set()
    for table in TABLES_READ:
        partitions = changed_partitions(lake, table, earlier.table_versions.get(table.name), versions[table.name])
        if partitions is None:
            return f"the earlier version of {table.name} was removed"
        changed |= {partition for partition in partitions if partition is not None}  # without one, it is in no file
    return changed


def _written(rows: Iterable[pa.RecordBatch], path: Path, ingest_batch: str, snapshot: str) -> ExportedFile:
    """Writes the clips of a batch to a file, and says what the manifest tells of it."""
    clips = write_internvid_jsonl(rows, path)
    # A key may hold what is no file name; quoted, different keys stay different.
    name, sha256 = name_of_content(quote(ingest_batch, safe=""), path)
    return ExportedFile(
        file=name,
        ingest_batch=ingest_batch,
        clips=clips,
        bytes=path.stat().st_size,
        sha256=sha256,
        snapshot=snapshot,
    )


def _by_batch(clips: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, Iterator[pa.RecordBatch]]]:
    """Splits a stream, which is in order of batches, at their borders."""

    def slices() -> Iterator[tuple[str, pa.RecordBatch]]:
        for rows in clips:
            runs = pc.run_end_encode(rows.column("ingest_batch"))
            start = 0
            for ingest_batch, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
                yield ingest_batch, rows.slice(start, end - start)
                start = end

    for ingest_batch, group in groupby(slices(), key=lambda pair: pair[0]):
        yield ingest_batch, (rows for _, rows in group)


def _sizes(folder: StoragePath) -> dict[str, int]:
    return {file.name: size for file, size in folder.files()}


def _is_complete(folder: StoragePath) -> bool:
    manifest, sizes = read_manifest(folder), _sizes(folder)
    return manifest is not None and all(sizes.get(file.file) == file.bytes for file in manifest.files)


def _statement_digest() -> str:
    return digest(statement("corpus/captioned_clips"))
