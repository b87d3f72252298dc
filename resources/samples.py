"""What a run shows of its rows in the Dagster UI: a few of them, and pictures."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

import dagster as dg

from resources.lake import Lake
from resources.schema import TABLES
from resources.statements import statement

ROWS = 5
CLIPS = 12
TEXT_LIMIT = 240  # characters of a cell

# The UI gives a table some 80 characters of width and breaks text only at spaces: what a row is about comes first,
# ids come last or not at all.
SHOWN = {
    "downloads": ("url", "title", "channel", "duration_seconds", "format", "licence"),
    "raw_videos": ("duration_seconds", "display_width", "display_height", "video_codec", "audio_codec", "source"),
    "clips": ("start_seconds", "end_seconds", "boundary", "motion", "stillness", "flags", "clip_id"),
    "speech": ("text", "start_seconds", "end_seconds", "language", "source", "video_id"),
    "transcripts": ("text", "language", "english", "source", "clip_id"),
    "frame_captions": ("caption", "seconds", "scale", "clip_id"),
    "clip_captions": ("caption", "nouns", "verbs", "clip_id"),
    "clip_embeddings": ("kind", "model", "dimensions", "clip_id"),
    "clip_scores": ("score", "value", "model", "clip_id"),
    "subset_snapshots": ("snapshot", "clips", "parameters"),
    "evaluations": ("benchmark", "metric", "value", "chance", "items", "checkpoint_id"),
}


def rows_sample(lake: Lake, table: str, partition: str) -> dict[str, dg.MetadataValue]:
    """The first rows of the partition as a table."""
    columns = SHOWN[table]
    # Names of tables and columns cannot be bound; these are written above, never data.
    sql = f"select {', '.join(columns)} from {table} order by {TABLES[table].key} limit {ROWS}"
    column = TABLES[table].partition
    assert column is not None, f"{table} has no partitions"
    rows = lake.query(sql, tables=[table], only={column: partition}).to_pylist()
    records = [dg.TableRecord({name: _cell(value) for name, value in row.items()}) for row in rows]
    if not records:
        return {}
    schema = dg.TableSchema([dg.TableColumn(name, "string") for name in columns])
    return {"sample": dg.MetadataValue.table(records, schema=schema)}


def contact_sheet(lake: Lake, ingest_batch: str) -> dict[str, dg.MetadataValue]:
    """Middle frames from all over the batch as one picture, with the clips' captions, or where there is none yet, with
    the clips' places in their videos.
    """
    from internvid.report.contact_sheet import contact_sheet_markdown

    tables = ["clips", "frames", "raw_videos", "clip_captions"]
    clips = lake.query(
        statement("operations/contact_sheet"), {"clips": CLIPS}, tables=tables, only={"ingest_batch": ingest_batch}
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
