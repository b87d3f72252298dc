"""The published export: a file of captioned clips for each ingest batch, lists of these files, and a manifest of lists.

Publishing writes the files of batches that changed since the export was last made, and lets the others be. A file has
the batch and a hash of its content in its name, so no file ever changes: a reader of an older manifest reads what that
one says, or finds a file gone and reads the manifest again.

Files are in 256 folders, by a hash of the batch, each with a list of its own. So a publishing reads the manifest, and
of these folders those in which something changed, with a few others in turn, whose files may have been lost meanwhile.
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
GROUP_DIGITS = 2  # of a folder's name: 256 folders
CHECKED_IN_TURN = 8  # folders: all of them in 32 publishings, and all of a small export each time


class ExportedFile(BaseModel):
    """The clips of one ingest batch. file: its path in the export. bytes: its size. snapshot: it was written from."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    file: str
    ingest_batch: str
    clips: int
    bytes: int
    sha256: str
    snapshot: str


class FileList(BaseModel):
    """The files of one folder, in order of batches."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    files: list[ExportedFile]


class Group(BaseModel):
    """A folder of the export. list: path of its list within the export. files, clips, bytes: sums over the list."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    list: str
    files: int
    clips: int
    bytes: int


class Manifest(BaseModel):
    """What the export consists of, by the names of its folders.

    snapshot, table_versions: what it shows. format, statement_digest: what decided the lines besides the tables.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: str
    statement_digest: str
    snapshot: str
    table_versions: dict[str, int]
    files: int
    clips: int
    bytes: int
    groups: dict[str, Group]


@dataclass(frozen=True)
class Publication:
    """What a publishing left, and what it did. written, kept: files. clips_written: in them.

    whole_because: why every file was made again; None: not all were.
    """

    manifest: Manifest
    written: int
    clips_written: int
    kept: int
    whole_because: str | None


def publish_export(lake: Lake, snapshot: str) -> Publication:
    """Brings the published export to the snapshot. Killed at any moment, it leaves the old one or the new one."""
    folder = lake.file(INTERNVID_JSONL)
    for _ in range(MAX_TRIES):
        publication, touched = _publish(lake, folder, snapshot)
        # Another process that publishes may have taken our files for left-overs, or we its own.
        if _is_complete(folder, touched):
            return publication
    raise dg.Failure(f"{folder}: files are gone while they are published; do other processes publish without an end?")


def read_manifest(folder: StoragePath) -> Manifest | None:
    """Returns the manifest of an export; None where there is none, or one that this program does not understand."""
    return manifest_of(folder, Manifest)


def read_files(folder: StoragePath, manifest: Manifest) -> list[ExportedFile]:
    """Returns all files of an export, in order of batches. Raises FileNotFoundError where it was replaced meanwhile."""
    lists = (_list_of(folder, group) for group in manifest.groups.values())
    return sorted((file for files in lists for file in files), key=lambda file: file.ingest_batch)


def group_of(ingest_batch: str) -> str:
    """Returns the folder of the batch's file."""
    return digest(ingest_batch)[:GROUP_DIGITS]


def _publish(lake: Lake, folder: StoragePath, snapshot: str) -> tuple[Publication, set[str]]:
    """Returns what it did, and the folders that it looked into."""
    versions = {table.name: lake.dataset(table.name, snapshot).version for table in TABLES_READ}
    earlier = read_manifest(folder)
    changed = _changed_batches(lake, earlier, versions)
    lists: dict[str, list[ExportedFile]] = {}
    if earlier is not None and not isinstance(changed, str):
        groups = {group_of(ingest_batch) for ingest_batch in changed} | _in_turn(earlier, snapshot)
        try:
            lists = {name: _list_of(folder, earlier.groups[name]) for name in groups & earlier.groups.keys()}
        except (FileNotFoundError, ValueError):
            changed = "a list of files was lost"
    if earlier is None or isinstance(changed, str):
        untouched: dict[str, Group] = {}
        sizes = _sizes(folder)
        groups = {file.split("/")[0] for file in sizes if "/" in file}
        kept: dict[str, ExportedFile] = {}
        clips: Iterable[pa.RecordBatch] = captioned_clips(lake, at=snapshot)
    else:
        untouched = {name: group for name, group in earlier.groups.items() if name not in groups}
        sizes = _sizes(folder, groups)
        listed = [file for files in lists.values() for file in files]
        kept = {
            file.ingest_batch: file
            for file in listed
            if file.ingest_batch not in changed and sizes.get(file.file) == file.bytes
        }
        to_write = changed | {file.ingest_batch for file in listed} - kept.keys()
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
        new: dict[str, list[ExportedFile]] = {}
        for _, file in sorted((kept | written).items()):
            new.setdefault(group_of(file.ingest_batch), []).append(file)
        all_groups = untouched | {name: _listed(folder, name, files, workplace) for name, files in new.items()}
        manifest = Manifest(
            format=FORMAT,
            statement_digest=_statement_digest(),
            snapshot=snapshot,
            table_versions=versions,
            files=sum(group.files for group in all_groups.values()),
            clips=sum(group.clips for group in all_groups.values()),
            bytes=sum(group.bytes for group in all_groups.values()),
            groups=dict(sorted(all_groups.items())),
        )
        text = workplace / MANIFEST
        text.write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
        (folder / MANIFEST).take(text)
    groups |= new.keys()
    remove_others(folder, ())
    for name in groups:
        named = [file.file for file in new.get(name, [])]
        named += [manifest.groups[name].list] if name in new else []
        remove_others(folder / name, (Path(file).name for file in named))
    publication = Publication(
        manifest,
        written=len(written),
        clips_written=sum(file.clips for file in written.values()),
        kept=manifest.files - len(written),
        whole_because=changed if isinstance(changed, str) else None,
    )
    return publication, groups


def _in_turn(manifest: Manifest, snapshot: str) -> set[str]:
    """Returns some folders, other ones with each snapshot, whose files are looked at though nothing changed."""
    return set(sorted(manifest.groups, key=lambda name: digest(snapshot, name))[:CHECKED_IN_TURN])


def _list_of(folder: StoragePath, group: Group) -> list[ExportedFile]:
    return FileList.model_validate_json((folder / group.list).read_text()).files


def _listed(folder: StoragePath, name: str, files: list[ExportedFile], workplace: Path) -> Group:
    """Writes the list of a folder, where it is not there, and says what the manifest tells of it."""
    path = workplace / "files.json"
    path.write_text(FileList(files=files).model_dump_json(indent=1), encoding="utf-8")
    place = f"{name}/{name_of_content('files', path)[0]}"
    if not (folder / place).exists():
        (folder / place).take(path)
    return Group(
        list=place,
        files=len(files),
        clips=sum(file.clips for file in files),
        bytes=sum(file.bytes for file in files),
    )


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
        file=f"{group_of(ingest_batch)}/{name}",
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


def _sizes(folder: StoragePath, groups: Iterable[str] | None = None) -> dict[str, int]:
    """Path within the export -> bytes, of the files in some of its folders; None: of all files."""
    if groups is None:
        return {str(file).removeprefix(f"{folder}/"): size for file, size in folder.files(with_subfolders=True)}
    return {f"{name}/{file.name}": size for name in groups for file, size in (folder / name).files()}


def _is_complete(folder: StoragePath, groups: Iterable[str]) -> bool:
    """Says whether there are the files of these folders that the manifest names."""
    manifest = read_manifest(folder)
    if manifest is None:
        return False
    there = manifest.groups.keys() & set(groups)
    sizes = _sizes(folder, there)
    try:
        return all(
            sizes.get(file.file) == file.bytes for name in there for file in _list_of(folder, manifest.groups[name])
        )
    except FileNotFoundError:
        return False


def _statement_digest() -> str:
    return digest(statement("corpus/captioned_clips"))
