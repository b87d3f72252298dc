"""Reads lists of videos: one row names one video, and possibly its title, channel, language and duration."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from internvid.lists.rows import BadItem, Row, read_rows
from internvid.lists.times import seconds_of
from internvid.web.addresses import meant_url, youtube_url

# By precedence: WebVid's `videoid` is Shutterstock's id; the video is at the `contentUrl` beside it.
ADDRESS_COLUMNS = (
    *("address", "url", "video_url", "contenturl", "link", "webpage_url", "uri", "path", "file"),
    *("file_name", "filename", "video_path", "video_file", "file_path", "video", "videos"),
)
YOUTUBE_COLUMNS = ("youtube_id", "youtubeid", "video_id", "videoid", "ytid", "yt_id")
COLUMNS = {
    "title": ("title",),
    "channel": ("channel", "channel_name", "uploader"),
    "language": ("language", "lang"),
    "query_words": ("query_words", "query", "search_word"),
}
SECONDS_COLUMNS = ("seconds", "duration_seconds", "duration", "length")
WANTED = frozenset(
    [*ADDRESS_COLUMNS, *YOUTUBE_COLUMNS, *SECONDS_COLUMNS, *(name for names in COLUMNS.values() for name in names)]
)

MAX_ADDRESS_CHARACTERS = 4096  # servers refuse URLs beyond 8 KiB
LINE_COLUMN = "address"  # of a text file, whose lines have no columns
_BULLET = re.compile(r"[-*•]\s+")
_COMMENT = re.compile(r"\s+#.*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Item:
    """A video that a list names. row: as `Row.number`. seconds: duration.

    address: a URL or a path as the list has it, not checked to exist; a YouTube id becomes its URL. Other values are
    None if the list does not say them.
    """

    row: int
    address: str
    title: str | None = None
    channel: str | None = None
    language: str | None = None
    query_words: str | None = None
    seconds: float | None = None


def read_items(path: Path) -> Iterator[list[Item | BadItem]]:
    """Yields the videos of the file in its order, in chunks of a few thousand.

    Raises as `read_rows`, and ValueError if no column holds addresses.
    """
    column: str | None = None
    for rows in read_rows(path, WANTED):
        column = column or address_column(rows, path)
        yield [item for row in rows for item in _items(row, column, path.parent)]


def address_column(rows: list[Row | BadItem], path: Path) -> str | None:
    """Returns the column of the video's address; None if no row could be read. Raises ValueError if there is none."""
    columns = {name for row in rows if isinstance(row, Row) for name in row.cells}
    column = next((name for name in (*ADDRESS_COLUMNS, *YOUTUBE_COLUMNS) if name in columns), None)
    if column is None and columns:
        raise ValueError(
            f"{path.name}: no column says where a video is. Its columns are {shown(columns)}; call the one that does "
            f"url, path or youtube_id (or {', '.join((*ADDRESS_COLUMNS[2:], *YOUTUBE_COLUMNS[1:]))})"
        )
    return column


def shown(columns: Collection[str]) -> str:
    """Formats column names for a message, cut: without a header, the first line may be anything."""
    names = sorted(columns)[:20]
    return ", ".join(name[:40] for name in names) + (" and more" if len(columns) > len(names) else "")


def address_in(cells: Mapping[str, Any], column: str | None) -> str:
    """Returns the address in the row. Raises ValueError if the cell is empty or cannot be an address."""
    address = text_in(cells, column or "")
    if address is not None and column == LINE_COLUMN:
        address = _bare(address)
    if address is None:
        raise ValueError(f"nothing stands in its column {column}")
    if column in YOUTUBE_COLUMNS:
        return youtube_url(address)
    if len(address) > MAX_ADDRESS_CHARACTERS:
        raise ValueError(f"its address has {len(address):,} characters, at most {MAX_ADDRESS_CHARACTERS:,} can be one")
    if _CONTROL.search(address):
        raise ValueError(f"its address holds control characters: {address[:80]!r}")
    return address


def _bare(line: str) -> str:
    """Returns the address in a line of text: without a mark of a list, quotes, and a comment after it."""
    line = _COMMENT.sub("", line.lstrip("\ufeff")).strip()
    line = _BULLET.sub("", line)
    return line.strip("\"'<>,; \t") or line


def found_address(address: str, folder: Path) -> str:
    """Returns the URL that is meant by a bare id, a URL without scheme or a line of yt-dlp's archive; else the address.

    A file of that name in the list's folder comes first. Raises ValueError as `meant_url`.
    """
    if "://" in address:
        return address
    try:
        url = meant_url(address)
    except ValueError:
        if (folder / address).exists():
            return address
        raise
    return address if url is None or (folder / address).exists() else url


def text_in(cells: Mapping[str, Any], column: str) -> str | None:
    """Returns the cell as text; None if it is missing or blank."""
    cell = cells.get(column)
    return None if cell is None else str(cell).strip() or None


def seconds_in(cells: Mapping[str, Any]) -> float | None:
    """Returns the video's duration in the list; None if it is missing or unreadable.

    The value only sizes batches, so an unreadable one is no error.
    """
    for column in SECONDS_COLUMNS:
        if text_in(cells, column) is not None:
            try:
                return seconds_of(cells[column])
            except ValueError:
                return None
    return None


def _items(row: Row | BadItem, column: str | None, folder: Path) -> list[Item | BadItem]:
    """Returns the videos of a row: several where its cell is a list."""
    if isinstance(row, BadItem):
        return [row]
    cell = row.cells.get(column or "")
    if not isinstance(cell, list):
        return [_item(row, column, folder)]
    return [_item(Row(row.number, row.cells | {column or "": video}), column, folder) for video in cell]


def _item(row: Row, column: str | None, folder: Path) -> Item | BadItem:
    try:
        address = found_address(address_in(row.cells, column), folder)
    except ValueError as error:
        return BadItem(row.number, str(error))
    texts = {
        name: next((text for column in columns if (text := text_in(row.cells, column))), None)
        for name, columns in COLUMNS.items()
    }
    return Item(row.number, address, **texts, seconds=seconds_in(row.cells))
