"""Exports captioned clips to files for external trainers, and records the exports."""

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
    """Writes the captioned clips to a file, in order of video and time. Returns their number.

    at: a snapshot; None: the present tables. subset: None: all clips. on_rows: called with the number of written rows.
    """
    with lake.connect(["clip_captions", "clips", "raw_videos", "subsets"], at=at) as connection:
        clips = connection.sql(statement("corpus/captioned_clips"), params={"subset": subset})
        reader = clips.to_arrow_reader(ROWS_PER_READ)
        return write_internvid_jsonl(reader, path, on_rows)


def note_export(lake: Lake, path: Path, *, subset: str | None, snapshot: str | None, clips: int) -> None:
    """Records the exported file, so that `internvid forget` can report that it may contain a forgotten video."""
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
