"""Writes the dataset in InternVid's released form: one JSON line a clip.

This module knows the form of a line and writes the file; the caller chooses the clips.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from internvid.report.whole_file import whole_file

# Changes with every change of what is written for the same rows: files of another version are made again.
FORMAT = "internvid-jsonl/1"

REQUIRED_COLUMNS = ("video_id", "source", "start_seconds", "end_seconds", "caption")
SCORE_NAMES = {"aesthetic_score": "Aesthetic_Score", "umt_score": "UMT_Score"}  # our column -> the released key
CLIP_FILE = "clip_file"  # a column that the release does not have

_YOUTUBE_URL = re.compile(
    r"https?://(?:(?:[a-z0-9-]+\.)*youtube(?:-nocookie)?\.com/(?:watch/?\?(?:[^#]*&)?v=|shorts/|embed/|live/|v/)"
    r"|youtu\.be/)"
    r"(?P<id>[0-9A-Za-z_-]{11})(?![0-9A-Za-z_-])",
    re.IGNORECASE,
)


def write_internvid_jsonl(
    rows: Iterable[pa.RecordBatch], path: Path, on_rows: Callable[[int], None] | None = None
) -> int:
    """Writes the clips as InternVid annotations; returns the number of lines.

    rows: batches with the columns video_id, source (URI), start_seconds, end_seconds (from the video's first frame)
        and caption, and optionally aesthetic_score and umt_score: a score is written if it is a finite number; and
        clip_file: where the clip's own file is, which is written as Clip_File where there is one.
        Batches are consumed one at a time, so the file may be larger than memory.
    on_rows: called after each batch with the number of lines so far.

    YoutubeID is the id in the source's URL if that is a YouTube page, else our video_id: ids are never guessed from
    file names. The file is written atomically.
    Raises ValueError for a missing column, and for a row without caption or with an impossible time.
    """
    written = 0
    with whole_file(path) as file:
        for batch in rows:
            file.writelines(_lines(batch))
            written += batch.num_rows
            if on_rows is not None:
                on_rows(written)
    return written


def timestamp(seconds: float) -> str:
    """Formats HH:MM:SS.mmm, rounded to the nearest millisecond; hours may take more than two digits.

    Raises ValueError for a negative or infinite number.
    """
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"not a time within a video: {seconds} seconds")
    total_minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(total_minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"


@lru_cache(maxsize=4096)  # a video's clips follow one another, so its URL is parsed once
def youtube_id(uri: str) -> str | None:
    """Returns a YouTube video's id, 11 characters; None if `uri` is not a YouTube page of a video."""
    match = _YOUTUBE_URL.match(uri)
    return match["id"] if match else None


def _lines(batch: pa.RecordBatch) -> Iterator[str]:
    missing = [name for name in REQUIRED_COLUMNS if name not in batch.schema.names]
    if missing:
        raise ValueError(f"columns missing: {', '.join(missing)}; present: {', '.join(batch.schema.names)}")
    columns = [batch.column(name).to_pylist() for name in REQUIRED_COLUMNS]
    scores = [
        (released_name, batch.column(name).to_pylist())
        for name, released_name in SCORE_NAMES.items()
        if name in batch.schema.names
    ]
    clip_files = batch.column(CLIP_FILE).to_pylist() if CLIP_FILE in batch.schema.names else [None] * batch.num_rows
    for index, (video_id, source, start_seconds, end_seconds, caption) in enumerate(zip(*columns, strict=True)):
        if caption is None or start_seconds is None or end_seconds is None or end_seconds < start_seconds:
            raise ValueError(f"video {video_id}, {start_seconds} to {end_seconds} s: no caption, or an impossible time")
        line = {
            "YoutubeID": (youtube_id(source) if source else None) or video_id,
            "Start_timestamp": timestamp(start_seconds),
            "End_timestamp": timestamp(end_seconds),
            "Caption": caption,
        }
        for released_name, values in scores:
            if values[index] is not None and math.isfinite(values[index]):
                line[released_name] = values[index]
        if clip_files[index] is not None:
            line["Clip_File"] = clip_files[index]
        yield json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"
