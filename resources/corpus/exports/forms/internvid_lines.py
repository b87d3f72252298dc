"""Lines of JSON as InternVid was released; where clips are cut, each with the file of its clip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from internvid.report.internvid_jsonl import write_internvid_jsonl
from resources.corpus.exports.forms.form import Form
from resources.corpus.exports.layout import Part

if TYPE_CHECKING:
    from internvid.report.dataset_card import Facts

COLUMNS = pa.schema(
    [
        ("video_id", pa.string()),
        ("source", pa.string()),
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("caption", pa.string()),
        ("clip_file", pa.string()),
    ]
)


class InternVidLines(Form):
    name = "jsonl"

    def write(self, part: Part, folder: Path) -> None:
        rows = [{**row, "clip_file": row["file"]} for row in part.exported]
        batch = pa.RecordBatch.from_pylist([{name: row[name] for name in COLUMNS.names} for row in rows], COLUMNS)
        write_internvid_jsonl([batch], folder / part.split / f"{part.name}.jsonl")

    def configurations(self, facts: Facts) -> list[dict[str, Any]]:
        return [{"split": split, "path": f"{split}/*.jsonl"} for split in facts.splits]
