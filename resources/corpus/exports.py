"""Exports: the captioned clips as files that other people's trainers read, and the record of what was written out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from internvid.report.internvid_jsonl import write_internvid_jsonl
from resources.lake.schema import EXPORTS
from resources.lake.statements import statement
from resources.lake.store import Lake

INTERNVID_JSONL = "internvid.jsonl"
ROWS_PER_READ = 10_000


def export(
    lake: Lake,
    path: Path,
    *,
    at: str | None = None,
    subset: str | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> int:
    """Writes the captioned clips, now or as of a snapshot, all or a subset's, in the order of video and time.

    Returns how many.
    """
    with lake.connect(["clip_captions", "clips", "raw_videos", "subsets"], at=at) as connection:
        clips = connection.sql(statement("corpus/captioned_clips"), params={"subset": subset})
        reader = clips.to_arrow_reader(ROWS_PER_READ)
        return write_internvid_jsonl(reader, path, on_rows)


def note_export(lake: Lake, path: Path, *, subset: str | None, snapshot: str | None, clips: int) -> None:
    """Writes down that the file was given out: who forgets a video is told that it may hold it."""
    now = datetime.now(UTC)
    row = {
        "export_id": f"{path.resolve()}@{now.isoformat()}",
        "path": str(path.resolve()),
        "subset": subset,
        "snapshot": snapshot,
        "clips": clips,
        "written_at": now,
    }
    lake.upsert(EXPORTS.name, pa.Table.from_pylist([row], schema=EXPORTS.arrow))
