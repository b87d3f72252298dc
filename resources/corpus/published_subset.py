"""Published folders by subset: `<lake>/<folder>/<subset>/`, with files of JSON lines and parquet, and a manifest.

They are published as the export is (`resources.corpus.published_export`): a file has a hash of its content in its name,
so none ever changes, and the manifest that names them is written last. A publishing that is killed leaves the old
folder or the new one. What is there already, of the same rows and parameters, stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from resources.lake.paths import StoragePath
from resources.lake.published_files import MANIFEST, manifest_of, name_of_content, remove_others
from resources.lake.store import Lake

if TYPE_CHECKING:
    import pyarrow.parquet as pq

RECORDS_PER_FILE = 100_000
RECORDS_PER_ROW_GROUP = 500
FOLDERS = ("interleaved", "instructions")  # every folder that is published by subset


class PublishedFile(BaseModel):
    """A file of the folder. kind: what its records are. records: their number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    file: str
    kind: str
    records: int
    bytes: int
    sha256: str


class SubsetManifest(BaseModel):
    """What a folder consists of.

    snapshot: that the subset was selected from. form: version of what wrote the files. parameters: with which it was
    made. made_of: numbers, and hashes of the rows that are in the files.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    subset: str
    snapshot: str
    form: str
    parameters: dict[str, Any]
    made_of: dict[str, Any]
    files: list[PublishedFile]


@dataclass(frozen=True)
class RecordKind:
    """A kind of records, which has files of its own. schema: of its parquet files."""

    name: str
    schema: pa.Schema


@dataclass(frozen=True)
class PublishedRecord:
    """A record of a kind. value: as JSON has it."""

    kind: str
    value: dict[str, Any]


@dataclass(frozen=True)
class SubsetPublication:
    """What the folder holds. was_written: False where it was there already."""

    folder: StoragePath
    manifest: SubsetManifest
    was_written: bool


def publish_subset(
    lake: Lake,
    folder: str,
    subset: str,
    *,
    snapshot: str,
    form: str,
    parameters: dict[str, Any],
    made_of: dict[str, Any],
    kinds: Sequence[RecordKind],
    records: Iterable[PublishedRecord],
) -> SubsetPublication:
    """Brings the folder of the subset to these records, which are read only where it is not there already.

    Where only the snapshot is another, the files stay, and the manifest names the new one.
    """
    target = lake.file(folder) / subset
    wanted = SubsetManifest(
        subset=subset, snapshot=snapshot, form=form, parameters=parameters, made_of=made_of, files=[]
    )
    earlier = read_subset_manifest(target)
    sizes = {file.name: size for file, size in target.files()}
    if (
        earlier is not None
        and earlier.model_copy(update={"files": [], "snapshot": snapshot}) == wanted
        and all(sizes.get(file.file) == file.bytes for file in earlier.files)
    ):
        if earlier.snapshot != snapshot:
            earlier = earlier.model_copy(update={"snapshot": snapshot})
            (target / MANIFEST).write_text(earlier.model_dump_json(indent=1))
        return SubsetPublication(target, earlier, was_written=False)
    with lake.file(folder).temporary_folder_beside() as workplace:
        files = []
        for path, kind, count in _written(workplace, kinds, records):
            file = _described(path, kind, count)
            (target / file.file).take(path)
            files.append(file)
        manifest = wanted.model_copy(update={"files": sorted(files, key=lambda file: file.file)})
        text = workplace / MANIFEST
        text.write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
        (target / MANIFEST).take(text)
    remove_others(target, (file.file for file in manifest.files))
    return SubsetPublication(target, manifest, was_written=True)


def read_subset_manifest(folder: StoragePath) -> SubsetManifest | None:
    """Returns the manifest of a folder; None where there is none, or one that this program does not understand."""
    return manifest_of(folder, SubsetManifest)


def published_subsets(lake: Lake) -> list[str]:
    """Returns the folders that are published by subset, as FOLDER/SUBSET."""
    names = set()
    for folder in FOLDERS:
        root = lake.file(folder)
        for file, _ in root.files(with_subfolders=True):
            subset = str(file).removeprefix(f"{root}/").rpartition("/")[0]
            names.add(f"{folder}/{subset}" if subset else folder)
    return sorted(names)


def _written(
    workplace: Path, kinds: Sequence[RecordKind], records: Iterable[PublishedRecord]
) -> Iterator[tuple[Path, str, int]]:
    """Writes the records of each kind, in their order, and yields each file as it is full: path, kind, records."""
    with ExitStack() as stack:
        files = {kind.name: _KindFiles(workplace, kind, stack) for kind in kinds}
        for record in records:
            yield from files[record.kind].add(record.value)
        for of_kind in files.values():
            yield from of_kind.end()


class _KindFiles:
    """The file of JSON lines and the parquet file that are written of a kind, and those after them."""

    def __init__(self, workplace: Path, kind: RecordKind, stack: ExitStack) -> None:
        self.workplace, self.kind, self.stack = workplace, kind, stack
        self.number = self.count = 0
        self.group: list[dict[str, Any]] = []
        self.lines: Any = None
        self.parquet: pq.ParquetWriter | None = None

    def add(self, value: dict[str, Any]) -> Iterator[tuple[Path, str, int]]:
        if self.parquet is None:
            self._open()
        self.lines.write(json.dumps(value, ensure_ascii=False) + "\n")
        self.group.append(value)
        self.count += 1
        if len(self.group) >= RECORDS_PER_ROW_GROUP:
            self._write_group()
        if self.count >= RECORDS_PER_FILE:
            yield from self.end()

    def end(self) -> Iterator[tuple[Path, str, int]]:
        if self.parquet is None:
            return
        self._write_group()
        self.lines.close()
        self.parquet.close()
        self.parquet = None
        yield self._path("jsonl"), self.kind.name, self.count
        yield self._path("parquet"), self.kind.name, self.count
        self.number += 1
        self.count = 0

    def _open(self) -> None:
        import pyarrow.parquet as pq

        self.lines = self.stack.enter_context(self._path("jsonl").open("w", encoding="utf-8"))
        self.parquet = self.stack.enter_context(pq.ParquetWriter(self._path("parquet"), self.kind.schema))

    def _write_group(self) -> None:
        if self.group and self.parquet is not None:
            self.parquet.write_batch(pa.RecordBatch.from_pylist(self.group, schema=self.kind.schema))
        self.group = []

    def _path(self, suffix: str) -> Path:
        return self.workplace / f"{self.kind.name}-{self.number:05d}.{suffix}"


def _described(path: Path, kind: str, count: int) -> PublishedFile:
    name, sha256 = name_of_content(path.stem, path)
    return PublishedFile(
        file=name,
        kind=kind,
        records=count,
        bytes=path.stat().st_size,
        sha256=sha256,
    )
