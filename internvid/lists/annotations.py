"""Reads released annotations: spans of videos with captions and scores.

The columns decide the form of the list, in any file format of `rows`:

* one span a row: a column for its start, one for its end (InternVid, and lists of (url, start, end, caption));
* one video a row, with lists of spans and captions: as columns of text that hold Python lists (Panda-70M), or as
  lists themselves (HowTo100M's JSON: video_id -> start, end, text);
* one video a row with a caption of the whole of it (WebVid).
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from internvid.lists.items import (
    ADDRESS_COLUMNS,
    SECONDS_COLUMNS,
    YOUTUBE_COLUMNS,
    address_column,
    address_in,
    seconds_in,
    shown,
    text_in,
)
from internvid.lists.rows import BadItem, Row, read_rows
from internvid.lists.times import seconds_of

START_COLUMNS = ("start_timestamp", "start_seconds", "start_time", "start", "begin")
END_COLUMNS = ("end_timestamp", "end_seconds", "end_time", "end")
CAPTION_COLUMNS = ("caption", "text", "sentence", "description", "name")
SPANS_COLUMN = "timestamp"  # Panda-70M's: [[start, end], …]
# Column -> name of the score. InternVid renamed UMT-SIM to UMT_Score.
SCORES = {
    "aesthetic_score": "aesthetic_score",
    "umt_score": "umt_score",
    "umt_sim": "umt_score",
    "matching_score": "matching_score",
    "clip_score": "clip_score",
    "clipscore": "clip_score",
    "score": "score",
}
WANTED = frozenset(
    [
        *(*ADDRESS_COLUMNS, *YOUTUBE_COLUMNS, *SECONDS_COLUMNS),
        *(*START_COLUMNS, *END_COLUMNS, *CAPTION_COLUMNS, SPANS_COLUMN, *SCORES),
    ]
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """An annotated span of a video. row: as `Row.number`. start_seconds, end_seconds: from the video's first frame.

    end_seconds: None for the video's end. scores: by name, as released. video_seconds: duration of the complete video,
    None if the list does not say it.
    """

    row: int
    url: str
    start_seconds: float
    end_seconds: float | None
    caption: str | None
    scores: dict[str, float]
    video_seconds: float | None = None


class _Form(Enum):
    SPAN_A_ROW = auto()
    SPANS_IN_LISTS = auto()
    WHOLE_VIDEO = auto()


@dataclass(frozen=True)
class _Columns:
    """The columns of a list, and its form."""

    form: _Form
    address: str
    start: str | None
    end: str | None
    caption: str | None
    scores: dict[str, str]

    def scores_in(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        """Returns raw scores by name; of two columns for the same score, the one with a value."""
        return {name: cells[column] for column, name in self.scores.items() if cells.get(column) not in (None, "")}


def read_annotations(path: Path) -> Iterator[list[Annotation | BadItem]]:
    """Yields the spans of the file in its order, in chunks of a few thousand rows.

    A row or span that cannot be used becomes a BadItem. Raises as `read_rows`, and ValueError if the columns match no
    known form.
    """
    columns: _Columns | None = None
    for rows in read_rows(path, WANTED):
        columns = columns or _columns(rows, path)
        annotations: list[Annotation | BadItem] = []
        for row in rows:
            if isinstance(row, BadItem):
                annotations.append(row)
            elif columns is not None:  # never None once there is a readable row
                annotations += _row_annotations(row, columns)
        yield annotations


def _columns(rows: list[Row | BadItem], path: Path) -> _Columns | None:
    """Finds the columns in the names of a chunk's rows; None if no row could be read."""
    readable = [row for row in rows if isinstance(row, Row)]
    if not readable:
        return None
    names = {name for row in readable for name in row.cells}
    address = address_column(rows, path)
    assert address is not None
    start, end, caption = (
        next((name for name in known if name in names), None) for known in (START_COLUMNS, END_COLUMNS, CAPTION_COLUMNS)
    )
    if SPANS_COLUMN in names or (start and isinstance(readable[0].cells.get(start), list)):
        form = _Form.SPANS_IN_LISTS
    elif start and end:
        form = _Form.SPAN_A_ROW
    elif caption and not start and not end:
        form = _Form.WHOLE_VIDEO
    else:
        raise ValueError(
            f"{path.name}: its columns ({shown(names)}) are of no form that is known here. Beside the video it needs "
            "start and end; or timestamp, with the spans of a video; or a caption of the whole video"
        )
    scores = {column: name for column, name in SCORES.items() if column in names}
    return _Columns(form, address, start, end, caption, scores)


def _row_annotations(row: Row, columns: _Columns) -> list[Annotation | BadItem]:
    try:
        url = address_in(row.cells, columns.address)
        entries = _ENTRY_READERS[columns.form](row.cells, columns)
    except ValueError as error:
        return [BadItem(row.number, str(error))]
    video_seconds = seconds_in(row.cells)
    annotations: list[Annotation | BadItem] = []
    for number, (start, end, caption, scores) in enumerate(entries, start=1):
        try:
            span = _span(start, end)
            numbers = {name: value for name, raw in scores.items() if (value := _score(name, raw)) is not None}
        except ValueError as error:
            annotations.append(BadItem(row.number, str(error), number if len(entries) > 1 else None))
        else:
            text = None if caption is None else str(caption).strip() or None
            annotations.append(Annotation(row.number, url, *span, text, numbers, video_seconds))
    return annotations


_Entry = tuple[Any, Any, Any, dict[str, Any]]  # start, end, caption, scores: unparsed


def _span_a_row(cells: Mapping[str, Any], columns: _Columns) -> list[_Entry]:
    start = text_in(cells, columns.start or "")
    if start is None:
        raise ValueError(f"nothing stands in its column {columns.start}")
    end, caption = text_in(cells, columns.end or ""), text_in(cells, columns.caption or "")
    return [(start, end, caption, columns.scores_in(cells))]


def _whole_video(cells: Mapping[str, Any], columns: _Columns) -> list[_Entry]:
    caption = text_in(cells, columns.caption or "")
    if caption is None:
        raise ValueError(f"nothing stands in its column {columns.caption}")
    return [(0.0, None, caption, columns.scores_in(cells))]


def _spans_in_lists(cells: Mapping[str, Any], columns: _Columns) -> list[_Entry]:
    if SPANS_COLUMN in cells:
        spans = _list(cells[SPANS_COLUMN], SPANS_COLUMN)
        for span in spans:
            if not isinstance(span, list | tuple) or len(span) != 2:
                raise ValueError(f"its column {SPANS_COLUMN} should hold pairs of start and end, not {span!r:.80}")
        starts, ends = [span[0] for span in spans], [span[1] for span in spans]
    else:
        starts = _list(cells.get(columns.start or ""), columns.start)
        ends = _list(cells.get(columns.end), columns.end) if columns.end else [None] * len(starts)
    captions = _list(cells.get(columns.caption), columns.caption) if columns.caption else [None] * len(starts)
    scores = {name: _list(cell, name) for name, cell in columns.scores_in(cells).items()}
    lengths = {"spans": len(starts), "ends": len(ends), "captions": len(captions)} | {
        name: len(values) for name, values in scores.items()
    }
    if len(set(lengths.values())) > 1:
        raise ValueError(f"its lists differ in length: {', '.join(f'{n} {name}' for name, n in lengths.items())}")
    if not starts:
        raise ValueError("it has no span")
    return [
        (start, end, caption, {name: values[index] for name, values in scores.items()})
        for index, (start, end, caption) in enumerate(zip(starts, ends, captions, strict=True))
    ]


_ENTRY_READERS = {
    _Form.SPAN_A_ROW: _span_a_row,
    _Form.SPANS_IN_LISTS: _spans_in_lists,
    _Form.WHOLE_VIDEO: _whole_video,
}


def _list(cell: Any, column: str | None) -> list[Any]:
    """Parses a cell that is a list, or the text of a Python list; only literals are evaluated."""
    if isinstance(cell, str):
        try:
            cell = ast.literal_eval(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise ValueError(f"its column {column} is no list as Python writes one: {cell[:80]!r}") from None
    if not isinstance(cell, list | tuple):
        raise ValueError(f"its column {column} should hold a list, not {cell!r:.80}")
    return list(cell)


def _span(start: Any, end: Any) -> tuple[float, float | None]:
    start_seconds = seconds_of(start)
    if end is None:
        return start_seconds, None
    end_seconds = seconds_of(end)
    if end_seconds <= start_seconds:
        where = "where" if end_seconds == start_seconds else "before"
        raise ValueError(f"it ends at {end_seconds:g} s, {where} it begins ({start_seconds:g} s)")
    return start_seconds, end_seconds


def _score(name: str, raw: Any) -> float | None:
    """Parses a score; None for an empty cell, NaN and infinity."""
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return None
    try:
        value = float(raw)
    except (TypeError, ValueError):
        raise ValueError(f"its {name} is no number: {raw!r:.80}") from None
    return value if math.isfinite(value) else None
