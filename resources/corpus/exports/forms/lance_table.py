"""A Lance table that holds its clips, in a column of blobs: `lance.dataset("OUT/clips.lance").take_blobs("clip", ...)`.

A part is a fragment, whose file has the part's number for a name; the table is committed at the end.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from resources.corpus.exports.forms.form import CLIP_COLUMNS, Form, values_of
from resources.corpus.exports.layout import ExportFolder, Part, Row

TABLE = "clips.lance"
BLOB = pa.field("clip", pa.large_binary(), metadata={"lance-encoding:blob": "true"})
COLUMNS = (
    CLIP_COLUMNS.insert(1, pa.field("split", pa.string()))
    .append(pa.field("file", pa.string()))
    .append(pa.field("clip_sha256", pa.string()))
)


class LanceTable(Form):
    name = "lance"
    packs = True

    def place(self, part: str, file_name: str) -> str:
        return file_name

    def write(self, part: Part, folder: Path) -> None:
        from lance.fragment import write_fragments

        if not part.exported:
            return
        schema = _schema(any(row["file"] for row in part.exported))

        def clips() -> Iterator[pa.RecordBatch]:  # one by one: memory holds a clip, and what Lance has of a page
            for row in part.exported:
                yield pa.RecordBatch.from_pylist([_values(row, part.clips)], schema=schema)

        reader = pa.RecordBatchReader.from_batches(schema, clips())
        (fragment,) = write_fragments(
            reader, str(folder / TABLE), schema=schema, mode="create", data_storage_version="2.1"
        )
        described = fragment.to_json()
        (file,) = described["files"]
        # Lance's own names are drawn by chance, and a part that is made again is to be the same file.
        data = folder / TABLE / "data"
        os.replace(data / file["path"], data / f"{part.name}.lance")
        file["path"] = f"{part.name}.lance"
        (folder / TABLE / FRAGMENTS).mkdir()
        text = json.dumps(described | {"schema_holds_clips": len(schema) > len(COLUMNS)}, sort_keys=True)
        (folder / TABLE / FRAGMENTS / f"{part.name}.json").write_text(text, encoding="utf-8")

    def clips(self, folder: ExportFolder, number: int, rows: Iterable[Row]) -> Iterator[tuple[str, bytes]]:
        import lance

        table = lance.dataset(str(folder.path / TABLE))
        (fragment,) = [each for each in table.get_fragments() if each.data_files()[0].path == f"{number:05d}.lance"]
        names = fragment.to_table(columns=["file"], with_row_id=True)
        for name, row_id in zip(names["file"].to_pylist(), names["_rowid"].to_pylist(), strict=True):
            (blob,) = table.take_blobs("clip", ids=[row_id])
            assert blob is not None, "every clip of the table has its file"
            with blob:
                yield name, blob.readall()

    def whole(self, folder: ExportFolder) -> Iterator[str]:
        """Commits the fragments of all parts as the table's only version."""
        import lance
        from lance.fragment import FragmentMetadata

        table = folder.path / TABLE
        for name in OF_A_COMMIT:
            shutil.rmtree(table / name, ignore_errors=True)
        fragments, has_clips = [], False
        for number, path in enumerate(sorted((table / FRAGMENTS).glob("*.json"))):
            described = json.loads(path.read_text(encoding="utf-8")) | {"id": number}
            has_clips = described.pop("schema_holds_clips")
            fragments.append(FragmentMetadata.from_json(json.dumps(described)))
        if not fragments:
            return
        lance.LanceDataset.commit(str(table), lance.LanceOperation.Overwrite(_schema(has_clips), fragments))
        for name in OF_A_COMMIT:
            yield from (path.relative_to(folder.path).as_posix() for path in sorted((table / name).iterdir()))


FRAGMENTS = "_fragments"  # what a commit needs to know of each data file; Lance reads no folder of that name
OF_A_COMMIT = ("_versions", "_transactions")


def _schema(has_clips: bool) -> pa.Schema:
    return COLUMNS.append(BLOB) if has_clips else COLUMNS


def _values(row: Row, clips: Path) -> dict[str, Any]:
    values = values_of(row, COLUMNS)
    if row["file"] is not None:
        values["clip"] = (clips / row["file"]).read_bytes()
    return values
