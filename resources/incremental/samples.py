"""Samples of a run's rows for the Dagster UI: a few rows, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

import dagster as dg

from resources.lake.schema import TABLES
from resources.lake.statements import statement
from resources.lake.store import Lake

ROWS = 5
CLIPS = 12
TEXT_LIMIT = 240  # characters of a cell

# Columns of a table that are shown, or a function that returns the metadata. The UI gives a table some 80 characters of
# width and breaks text only at spaces: text comes first, ids come last or not at all.
Sample = tuple[str, ...] | Callable[[Lake, str, str], Mapping[str, Any]]


def sample_of(lake: Lake, sample: Sample | None, table: str, partition: str) -> Mapping[str, Any]:
    """Returns the metadata that shows the table's rows in the partition; empty where no sample is declared."""
    if sample is None:
        return {}
    return rows_sample(lake, table, partition, sample) if isinstance(sample, tuple) else sample(lake, table, partition)


def rows_sample(lake: Lake, table: str, partition: str, columns: tuple[str, ...]) -> dict[str, dg.MetadataValue]:
    """Returns the first rows of the partition as a table."""
    # Names of tables and columns cannot be bound; these are declared with the stage, never data.
    sql = f"select {', '.join(columns)} from {table} order by {TABLES[table].key} limit {ROWS}"
    column = TABLES[table].partition
    assert column is not None, f"{table} has no partitions"
    rows = lake.query(sql, tables=[table], only={column: partition}).to_pylist()
    records = [dg.TableRecord({name: _cell(value) for name, value in row.items()}) for row in rows]
    if not records:
        return {}
    schema = dg.TableSchema([dg.TableColumn(name, "string") for name in columns])
    return {"sample": dg.MetadataValue.table(records, schema=schema)}


def contact_sheet(lake: Lake, table: str, ingest_batch: str) -> dict[str, dg.MetadataValue]:
    """Returns middle frames of clips of the whole batch as one picture, with the clips' captions.

    A clip without a caption is shown with its video and times.
    """
    from internvid.report.contact_sheet import contact_sheet_markdown

    tables = ["clips", "frames", "raw_videos", "clip_captions"]
    clips = lake.query(
        statement("corpus/contact_sheet"), {"clips": CLIPS}, tables=tables, only={"ingest_batch": ingest_batch}
    ).to_pylist()
    if not clips:
        return {}
    jpegs = lake.fetch("frames", [clip["frame_id"] for clip in clips], ["jpeg"])["jpeg"].to_pylist()
    captions = [clip["caption"] or _place(clip) for clip in clips]
    return {"contact_sheet": dg.MetadataValue.md(contact_sheet_markdown(jpegs, captions))}


def _place(clip: dict[str, Any]) -> str:
    name = unquote(PurePosixPath(clip["source"]).name)
    return f"{name}, {clip['start_seconds']:.1f} to {clip['end_seconds']:.1f} s"


def _cell(value: object) -> str:
    match value:
        case None:
            text = ""
        case list():
            text = ", ".join(map(str, value))
        case float():
            text = f"{value:.6g}"
        case _:
            text = str(value)
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"
