"""Reads released annotations: spans of videos with captions and scores.

The columns decide the form of the list (`annotation_forms`), in any file format of `rows`; this module checks what the
form's rows say, and parses times and scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from internvid.lists.annotation_forms import WANTED, Entry, Form, form_of
from internvid.lists.items import address_column, found_address, seconds_in, shown
from internvid.lists.rows import BadItem, Row, read_rows
from internvid.lists.times import seconds_of


@dataclass(frozen=True, slots=True)
class Annotation:
    """An annotated span of a video. row: as `Row.number`. start_seconds, end_seconds: from the video's first frame.

    url: a URL, or a path; a relative path starts at the list's folder. end_seconds: None for the video's end. scores:
    by name, as released. video_seconds: duration of the complete video, None if not stated. clip: name of a
    file that holds the span alone, None if the list names none. is_whole_clip: whether the list gives no span: then it
    is the whole of that file, and nothing is known of it without the file.
    """

    row: int
    url: str
    start_seconds: float
    end_seconds: float | None
    caption: str | None
    scores: dict[str, float] = field(default_factory=dict)
    video_seconds: float | None = None
    clip: str | None = field(default=None, compare=False)  # where it may lie, not what is said of it
    is_whole_clip: bool = False


def read_annotations(
    path: Path, on_form: Callable[[Form], object] = lambda form: None
) -> Iterator[list[Annotation | BadItem]]:
    """Yields the spans of the file in its order, in chunks of a few thousand rows.

    A row or span that cannot be used becomes a BadItem. on_form: called with the form once it is known. Raises as
    `read_rows`, and ValueError if the columns match no known form.
    """
    form: Form | None = None
    for rows in read_rows(path, WANTED):
        if form is None and (form := _form(rows, path)) is not None:
            on_form(form)
        annotations: list[Annotation | BadItem] = []
        for row in rows:
            if isinstance(row, BadItem):
                annotations.append(row)
            elif form is not None:  # never None once there is a readable row
                annotations += _row_annotations(row, form, path.parent)
        yield annotations


def _form(rows: list[Row | BadItem], path: Path) -> Form | None:
    """Finds the form by the columns of a chunk's rows; None if no row could be read."""
    readable = [row for row in rows if isinstance(row, Row)]
    if not readable:
        return None
    names = {name for row in readable for name in row.cells}
    fullest = max(readable[:100], key=lambda row: sum(cell not in (None, "") for cell in row.cells.values()))
    form = form_of(names, fullest.cells)
    if form is None:
        address_column(rows, path)  # raises where no column says where a video is
        raise ValueError(
            f"{path.name}: its columns ({shown(names)}) are of no form that is known here. Beside the video it needs "
            "start and end; or timestamp, with the spans of a video; or a caption of the whole video"
        )
    return form


def _row_annotations(row: Row, form: Form, folder: Path) -> list[Annotation | BadItem]:
    try:
        entries = form.entries(row.cells)
    except ValueError as error:
        return [BadItem(row.number, str(error))]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        # A form expects what its dataset has; another shape in one row is that row's fault.
        return [BadItem(row.number, f"it is not as rows of {form.name} are: {type(error).__name__}: {error}")]
    video_seconds = seconds_in(row.cells)
    annotations: list[Annotation | BadItem] = []
    for number, entry in enumerate(entries, start=1):
        try:
            annotations.append(_annotation(row.number, entry, folder, video_seconds))
        except ValueError as error:
            annotations.append(BadItem(row.number, str(error), number if len(entries) > 1 else None))
    return annotations


def _annotation(row: int, entry: Entry, folder: Path, video_seconds: float | None) -> Annotation:
    start, end = _span(entry.start, entry.end)
    scores = {name: value for name, raw in entry.scores.items() if (value := _score(name, raw)) is not None}
    caption = None if entry.caption is None else str(entry.caption).strip() or None
    url = found_address(entry.address, folder) if entry.address else ""
    return Annotation(row, url, start, end, caption, scores, video_seconds, entry.clip, entry.is_whole_clip)


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
