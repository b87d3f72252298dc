"""What a run shows of its rows in the Dagster UI: a few of them, and pictures."""

from __future__ import annotations

import dagster as dg

from resources.lake import Lake
from resources.schema import MADE_BY, TABLES
from resources.statements import statement

ROWS = 5
CLIPS = 12
TEXT_LIMIT = 120  # characters of a cell
HIDDEN = {"jpeg", "evidence", *(column.name for column in MADE_BY)}


def rows_sample(lake: Lake, table: str, ingest_batch: str) -> dict[str, dg.MetadataValue]:
    """The first rows of the batch as a table."""
    columns = [name for name in TABLES[table].column_names if name not in HIDDEN]
    # Column names cannot be bound; these come from resources.schema, never from data.
    sql = f"select {', '.join(columns)} from {table} order by {TABLES[table].key} limit {ROWS}"
    rows = lake.query(sql, tables=[table], ingest_batch=ingest_batch).to_pylist()
    records = [dg.TableRecord({name: _cell(value) for name, value in row.items()}) for row in rows]
    if not records:
        return {}
    schema = dg.TableSchema([dg.TableColumn(name, "string") for name in columns])
    return {"sample": dg.MetadataValue.table(records, schema=schema)}


def contact_sheet(lake: Lake, ingest_batch: str) -> dict[str, dg.MetadataValue]:
    """Middle frames from all over the batch, with their captions where they have them, as one picture."""
    from internvid.report.contact_sheet import contact_sheet_markdown

    tables = ["clips", "frames", "raw_videos", "clip_captions"]
    clips = lake.query(
        statement("operations/contact_sheet"), {"clips": CLIPS}, tables=tables, ingest_batch=ingest_batch
    ).to_pylist()
    if not clips:
        return {}
    jpegs = lake.fetch("frames", [clip["frame_id"] for clip in clips], ["jpeg"])["jpeg"].to_pylist()
    captions = [clip["caption"] or "" for clip in clips]
    return {"contact_sheet": dg.MetadataValue.md(contact_sheet_markdown(jpegs, captions))}


def _cell(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"
