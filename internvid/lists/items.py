"""Lists of videos: one row names one, with what it says of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from internvid.lists.rows import BadItem, Row, read_rows
from internvid.lists.times import seconds_of
from internvid.web.addresses import youtube_url

# By precedence: WebVid's `videoid` is Shutterstock's own, and `contentUrl` beside it is where the video is.
ADDRESS_COLUMNS = ("address", "url", "video_url", "contenturl", "link", "webpage_url", "uri", "path", "file")
YOUTUBE_COLUMNS = ("youtube_id", "youtubeid", "video_id", "videoid")
COLUMNS = {
    "title": ("title",),
    "channel": ("channel", "channel_name", "uploader"),
    "language": ("language", "lang"),
    "query_words": ("query_words", "query", "search_word"),
}
SECONDS_COLUMNS = ("seconds", "duration_seconds", "duration", "length")
WANTED = frozenset(
    [*ADDRESS_COLUMNS, *YOUTUBE_COLUMNS, *SECONDS_COLUMNS, *(name for of in COLUMNS.values() for name in of)]
)

LONGEST_ADDRESS = 4096  # characters; servers refuse URLs beyond 8 KiB
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Item:
    """A video that a list names. row: as `Row.number`. address: a URL or a path, as the list has it, never checked to
    be there; a YouTube id is made its URL. The rest is None where the list says nothing.
    """

    row: int
    address: str
    title: str | None = None
    channel: str | None = None
    language: str | None = None
    query_words: str | None = None
    seconds: float | None = None


def read_items(path: Path) -> Iterator[list[Item | BadItem]]:
    """The videos that the file lists, in its order, a few thousand at a time.

    Raises as `read_rows`, and ValueError where no column holds addresses.
    """
    column: str | None = None
    for rows in read_rows(path, WANTED):
        column = column or address_column(rows, path)
        yield [row if isinstance(row, BadItem) else _item(row, column) for row in rows]


def address_column(rows: list[Row | BadItem], path: Path) -> str | None:
    """The column that says where a video is; None where no row could be read. Raises ValueError where there is none."""
    columns = {name for row in rows if isinstance(row, Row) for name in row.cells}
    found = next((name for name in (*ADDRESS_COLUMNS, *YOUTUBE_COLUMNS) if name in columns), None)
    if found is None and columns:
        raise ValueError(
            f"{path.name}: no column says where a video is. Its columns are {shown(columns)}; call the one that does "
            f"url, path or youtube_id (or {', '.join((*ADDRESS_COLUMNS[2:], *YOUTUBE_COLUMNS[1:]))})"
        )
    return found


def shown(columns: Collection[str]) -> str:
    """Names for a message: the first line of a file that lacks its header may be anything."""
    names = sorted(columns)[:20]
    return ", ".join(name[:40] for name in names) + (" and more" if len(columns) > len(names) else "")


def address_in(cells: Mapping[str, Any], column: str | None) -> str:
    """What the row has in the column of addresses. Raises ValueError where that is nothing that could be one."""
    said = text_in(cells, column or "")
    if said is None:
        raise ValueError(f"nothing stands in its column {column}")
    if column in YOUTUBE_COLUMNS:
        return youtube_url(said)
    if len(said) > LONGEST_ADDRESS:
        raise ValueError(f"its address has {len(said):,} characters, at most {LONGEST_ADDRESS:,} can be one")
    if _CONTROL.search(said):
        raise ValueError(f"its address holds control characters: {said[:80]!r}")
    return said


def text_in(cells: Mapping[str, Any], column: str) -> str | None:
    """What stands there as text; None for nothing, or blanks."""
    said = cells.get(column)
    return None if said is None else str(said).strip() or None


def seconds_in(cells: Mapping[str, Any]) -> float | None:
    """How long the video is, as the list says it; None where it does not say it in a way that can be read. It only
    sizes batches, so nothing is refused for it.
    """
    for column in SECONDS_COLUMNS:
        if text_in(cells, column) is not None:
            try:
                return seconds_of(cells[column])
            except ValueError:
                return None
    return None


def _item(row: Row, column: str | None) -> Item | BadItem:
    try:
        address = address_in(row.cells, column)
    except ValueError as error:
        return BadItem(row.number, str(error))
    texts = {
        name: next((text for column in columns if (text := text_in(row.cells, column))), None)
        for name, columns in COLUMNS.items()
    }
    return Item(row.number, address, **texts, seconds=seconds_in(row.cells))
