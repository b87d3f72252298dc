"""Reads the rows of a csv, tsv, jsonl, json, parquet or txt file, a few thousand at a time.

This module knows file formats only; the meaning of columns belongs in their readers: `items`, `annotations`, phrases to
search for, exclusions, benchmarks.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import pyarrow.parquet as pq

ROWS_PER_CHUNK = 4096
MAX_CELL_CHARACTERS = 64 << 20  # the csv module's own limit, 128 Ki, is too small for a long video's captions
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # as spreadsheets write "Unicode text"


@dataclass(frozen=True, slots=True)
class Row:
    """A row. number: its first line, from 1; in parquet and json its position, from 1. cells: by plain column name."""

    number: int
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadItem:
    """A row that cannot be used. entry: which of several entries in the row, from 1; None for the complete row."""

    row: int
    why: str
    entry: int | None = None


Reader = Callable[[Path, Collection[str], str | None], Iterator[Row | BadItem]]  # path, wanted, other_encoding


def read_rows(
    path: Path, wanted: Collection[str], *, other_encoding: str | None = None
) -> Iterator[list[Row | BadItem]]:
    """Yields the file's rows in chunks. The suffix decides the format; txt has one column, `address`.

    wanted: plain names of the columns to read; in parquet, others are not read. other_encoding: of a csv, tsv or txt
    file that is not UTF-8; without it, rows that are not UTF-8 are broken. A broken row becomes a BadItem in its place.
    Raises ValueError for an unknown suffix, a missing header, two columns of one name, and a file that is not of its
    format at all; FileNotFoundError and PermissionError as the system raises them.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path.name}: a list is a file that ends in {', '.join(_READERS)}")
    rows = reader(path, wanted, other_encoding)
    while chunk := list(islice(rows, ROWS_PER_CHUNK)):
        yield chunk


def read_sound_rows(path: Path, wanted: Collection[str], *, other_encoding: str | None = None) -> Iterator[Row]:
    """Yields the file's rows, for readers that need the complete file.

    Raises ValueError as `read_rows` does, and for the first broken row, with its file and line.
    """
    for chunk in read_rows(path, wanted, other_encoding=other_encoding):
        for row in chunk:
            yield _sound(path, row)


def read_lines(path: Path) -> Iterator[Row]:
    """Yields the lines of a text file of any name, in a column `line`, except empty lines and those that begin with #.

    Raises ValueError for a line that is not UTF-8, with its file and number.
    """
    for row in _lines("line")(path, (), None):
        yield _sound(path, row)


def _sound(path: Path, row: Row | BadItem) -> Row:
    if isinstance(row, BadItem):
        raise ValueError(f"{path}:{row.row}: {row.why}")
    return row


def plain(column: str) -> str:
    """Normalises a column's name: lower case, one kind of separator. `UMT-SIM` and `umt_sim` are the same."""
    return column.strip().casefold().replace("-", "_").replace(" ", "_")


def plain_columns(names: Iterable[str], path: Path) -> list[str]:
    """Normalises the columns' names. Raises ValueError if two columns have the same plain name."""
    plains = [plain(name) for name in names]
    repeated = sorted({name for name in plains if name and plains.count(name) > 1})
    if repeated:
        raise ValueError(f"{path.name}: several columns are called {', '.join(repeated)}: rename or remove all but one")
    return plains


def _delimited(delimiter: str) -> Reader:
    def rows(path: Path, wanted: Collection[str], other_encoding: str | None) -> Iterator[Row | BadItem]:
        csv.field_size_limit(MAX_CELL_CHARACTERS)
        with _text(path, other_encoding) as file:
            # Strict: else an unclosed quote silently makes one cell of all the rows after it.
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = next((cells for cells in reader if cells), None)
            if header is None:
                raise ValueError(f"{path.name} is empty: its first line should name the columns")
            columns = plain_columns(header, path)
            while True:
                number = reader.line_num + 1
                try:
                    cells = next(reader, None)
                except csv.Error as error:
                    lines = (
                        f" (up to line {reader.line_num}: is a quote not closed?)" if reader.line_num > number else ""
                    )
                    yield BadItem(number, f"not readable as {path.suffix[1:]}: {error}{lines}")
                    continue
                if cells is None:
                    return
                if cells:
                    yield _delimited_row(number, columns, cells)

    return rows


def _delimited_row(number: int, columns: list[str], cells: list[str]) -> Row | BadItem:
    if len(cells) != len(columns):
        return BadItem(number, f"it has {len(cells)} cells, the header names {len(columns)}")
    if not _is_text("".join(cells)):
        return BadItem(number, "it is not UTF-8: save the file as UTF-8")
    return Row(number, dict(zip(columns, cells, strict=True)))


def _text(path: Path, other_encoding: str | None) -> TextIO:
    """Opens a text file; an undecodable byte becomes a lone surrogate, so that the rest can still be read."""
    with path.open("rb") as file:
        encoding = _BYTE_ORDER_MARKS.get(file.read(2), "utf-8-sig")
    if other_encoding is not None and encoding == "utf-8-sig":
        try:
            path.read_text(encoding)
        except UnicodeDecodeError:
            return path.open(encoding=other_encoding, errors="replace", newline="")
    return path.open(encoding=encoding, errors="surrogateescape", newline="")


def _is_text(text: str) -> bool:
    return text.isascii() or not any("\udc80" <= character <= "\udcff" for character in text)


def _json_lines(path: Path, wanted: Collection[str], _: str | None) -> Iterator[Row | BadItem]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield BadItem(number, f"not JSON: {error}")
                continue
            if isinstance(value, dict):
                yield Row(number, {plain(name): cell for name, cell in value.items()})
            else:
                yield BadItem(number, "not a JSON object, {…}")


def _json(path: Path, wanted: Collection[str], _: str | None) -> Iterator[Row | BadItem]:
    """Reads one JSON document: a list of objects, or an object of objects, whose names become the column `video_id`.

    Of an object that is one row by itself, or that holds lists of rows, see `_rows_of_object`.
    """
    import ijson

    if _holds_rows_inside(path):
        yield from _rows_of_object(json.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf")))
        return
    with path.open("rb") as file:
        first = next((byte for byte in iter(lambda: file.read(1), b"") if not byte.isspace()), b"")
        file.seek(0)
        try:
            if first == b"[":
                entries = ((None, value) for value in ijson.items(file, "item", use_float=True))
            else:
                entries = ijson.kvitems(file, "", use_float=True)
            for number, (name, value) in enumerate(entries, start=1):
                if isinstance(value, dict):
                    cells = {plain(key): cell for key, cell in value.items()}
                    yield Row(number, cells if name is None else {"video_id": name} | cells)
                else:
                    yield BadItem(number, "not a JSON object, {…}")
        except ijson.JSONError as error:
            raise ValueError(f"{path.name} is no JSON document, or not all of one: {error}") from error


# Names that stand in an object beside its rows, or around them: MSR-VTT, Vript, FineVideo, YouCook2.
_NAMES_AROUND_ROWS = {
    *("info", "videos", "sentences", "meta", "data", "database", "version", "taxonomy", "content_metadata", "clips"),
    *("annotations", "results", "type"),
}


def _holds_rows_inside(path: Path) -> bool:
    """Says whether the document is an object that is no table of videos by their ids, by its first name and value."""
    import ijson

    with path.open("rb") as file:
        events = ijson.parse(file)
        try:
            first = next(events, ("", "", None))
            name, value = next(events, ("", "", None)), next(events, ("", "", None))
        except ijson.JSONError:
            return False  # what is wrong with it is told where its rows are read
    return (
        first[1] == "start_map"
        and name[1] == "map_key"
        and (name[2] in _NAMES_AROUND_ROWS or value[1] not in ("start_map", "end_map"))
    )


def _rows_of_object(document: dict[str, Any]) -> Iterator[Row | BadItem]:
    """Yields the rows of an object: those of its list; with `sentences` beside `videos`, one for each sentence; of its
    `database`; or the object as a single row.
    """
    videos, sentences = document.get("videos"), document.get("sentences")
    if isinstance(videos, list) and isinstance(sentences, list):
        rows: Iterable[Any] = _joined(videos, sentences)
    elif isinstance(database := document.get("database"), dict):
        rows = ({"video_id": name} | row if isinstance(row, dict) else row for name, row in database.items())
    else:
        lists = [document[name] for name in ("data", "annotations", "videos", "clips", "results") if name in document]
        rows_inside = next(
            (rows for rows in lists if isinstance(rows, list) and rows and isinstance(rows[0], dict)), None
        )
        has_own_columns = "video_id" in document or "url" in document or "video" in document
        rows = [document] if rows_inside is None or has_own_columns else rows_inside
    for number, row in enumerate(rows, start=1):
        if isinstance(row, dict):
            yield Row(number, {plain(name): cell for name, cell in row.items()})
        else:
            yield BadItem(number, "not a JSON object, {…}")


def _joined(videos: list[Any], sentences: list[Any]) -> Iterator[Any]:
    """Yields each sentence with the columns of its video, then the videos without a sentence."""
    by_id = {video.get("video_id"): video for video in videos if isinstance(video, dict)}
    without = dict(by_id)
    for sentence in sentences:
        if isinstance(sentence, dict):
            without.pop(sentence.get("video_id"), None)
            yield by_id.get(sentence.get("video_id"), {}) | sentence
        else:
            yield sentence
    yield from without.values()


def _parquet(path: Path, wanted: Collection[str], _: str | None) -> Iterator[Row | BadItem]:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        columns = plain_columns(names, path)
        wanted_columns = {name: column for name, column in zip(names, columns, strict=True) if column in wanted}
        if not wanted_columns:
            raise ValueError(f"{path.name}: none of its columns is of use here; they are {', '.join(names)}")
        number = 0
        for batch in file.iter_batches(ROWS_PER_CHUNK, columns=list(wanted_columns)):
            for cells in batch.to_pylist():
                number += 1
                yield Row(number, {wanted_columns[name]: value for name, value in cells.items()})


def _lines(column: str) -> Reader:
    def rows(path: Path, wanted: Collection[str], other_encoding: str | None) -> Iterator[Row | BadItem]:
        with _text(path, other_encoding) as file:
            for number, line in enumerate(file, start=1):
                text = line.strip()
                if not text or text.startswith("#"):
                    continue
                if _is_text(text):
                    yield Row(number, {column: text})
                else:
                    yield BadItem(number, "it is not UTF-8: save the file as UTF-8")

    return rows


_READERS: dict[str, Reader] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".parquet": _parquet,
    ".txt": _lines("address"),
}
