"""Exports captioned clips to one file of lines, as InternVid was released."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from internvid.report.internvid_jsonl import write_internvid_jsonl
from resources.lake.statements import statement
from resources.lake.store import Lake, tables_in

ROWS_PER_READ = 10_000
MEMORY_LIMIT = "1GB"  # the sort of a large lake goes on in files


def export(
    lake: Lake,
    path: Path,
    *,
    at: str | None = None,
    subset: str | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> int:
    """Writes the captioned clips to a file, in order of batch, video and time. Returns their number.

    at: a snapshot; None: the present tables. subset: None: all clips. on_rows: called with the number of written rows.
    """
    return write_internvid_jsonl(captioned_clips(lake, at=at, subset=subset), path, on_rows)


def captioned_clips(
    lake: Lake, *, at: str | None, subset: str | None = None, ingest_batches: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Streams the captioned clips in order of batch, video and time. ingest_batches: None: all.

    at, subset: as of `export`.
    """
    sql = statement("corpus/captioned_clips")
    only = None if ingest_batches is None else {"ingest_batch": ingest_batches}
    with lake.connect(tables_in(sql), at=at, only=only, memory_limit=MEMORY_LIMIT) as connection:
        yield from connection.sql(sql, params={"subset": subset}).to_arrow_reader(ROWS_PER_READ)
