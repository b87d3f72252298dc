"""Parquet as Hugging Face's `datasets` reads it: with a `video` feature whose bytes are in the rows.

Clips are in the rows, not in files beside them, because a repository of the Hub holds few files well. Row groups are
small, as readers load one at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.corpus.exports.forms.form import CLIP_COLUMNS, Form, values_of
from resources.corpus.exports.layout import ExportFolder, Part, Row

if TYPE_CHECKING:
    from internvid.report.dataset_card import Facts

BYTES_PER_ROW_GROUP = 64 << 20
ROWS_PER_ROW_GROUP = 100

VIDEO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


class Hub(Form):
    name = "hf"
    packs = True

    def place(self, part: str, file_name: str) -> str:
        return file_name

    def write(self, part: Part, folder: Path) -> None:
        import pyarrow.parquet as pq

        path = folder / "data" / f"{part.split}-{part.name}.parquet"
        path.parent.mkdir(parents=True)
        has_clips = any(row["file"] for row in part.exported)
        schema = _schema(has_clips)
        with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
            for rows in _groups(part.exported):
                values = [_values(row, part.clips if has_clips else None) for row in rows]
                writer.write_table(pa.Table.from_pylist(values, schema=schema))

    def clips(self, folder: ExportFolder, number: int, rows: Iterable[Row]) -> Iterator[tuple[str, bytes]]:
        import pyarrow.parquet as pq

        for path in (folder.path / "data").glob(f"*-{number:05d}.parquet"):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=1, columns=["video"]):
                    for row in batch.to_pylist():
                        yield row["video"]["path"], row["video"]["bytes"]

    def configurations(self, facts: Facts) -> list[dict[str, Any]]:
        return [{"split": split, "path": f"data/{split}-*.parquet"} for split in facts.splits]


def _schema(has_clips: bool) -> pa.Schema:
    """Returns the schema, with the features as `datasets` writes them into Parquet files."""
    schema = CLIP_COLUMNS.append(pa.field("video", VIDEO)) if has_clips else CLIP_COLUMNS
    features = {field.name: _feature(field.type) for field in schema}
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _feature(type_: pa.DataType) -> Any:
    if type_ == VIDEO:
        return {"_type": "Video"}
    if pa.types.is_list(type_):
        return {"feature": _feature(type_.value_type), "_type": "List"}
    names = {pa.float64(): "float64", pa.float32(): "float32"}
    return {"dtype": names.get(type_, str(type_)), "_type": "Value"}


def _groups(rows: list[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size = 0
    for row in rows:
        if group and (len(group) == ROWS_PER_ROW_GROUP or size + (row["clip_bytes"] or 0) > BYTES_PER_ROW_GROUP):
            yield group
            group, size = [], 0
        group.append(row)
        size += row["clip_bytes"] or 0
    if group:
        yield group


def _values(row: Row, clips: Path | None) -> dict[str, Any]:
    values = values_of(row, CLIP_COLUMNS)
    if clips is not None:
        values["video"] = {"bytes": (clips / row["file"]).read_bytes(), "path": row["file"]}
    return values
