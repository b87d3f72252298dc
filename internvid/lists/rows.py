"""The rows of a table or list in a file, whatever its form, a few thousand at a time.

What the columns mean is `items` and `annotations`; here are only the forms: csv, tsv, jsonl, json, parquet and txt.
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
LONGEST_CELL = 64 << 20  # characters; the csv module's own limit, 128 Ki, is below what a long video's captions take
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # as spreadsheets write "Unicode text"


@dataclass(frozen=True, slots=True)
class Row:
    """number: the line it begins at, from 1; of parquet and json its position, from 1. cells: by plain column name."""

    number: int
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadItem:
    """A row that says nothing that can be used. entry: which of several things in the row, from 1; None: all of it."""

    row: int
    why: str
    entry: int | None = None


def read_rows(path: Path, wanted: Collection[str]) -> Iterator[list[Row | BadItem]]:
    """The file's rows, in chunks. The name's suffix says its form; txt has one column, `address`.

    wanted: plain names of the columns that are of use: of parquet, others are not read. What is broken in one row is a
    BadItem in its place. Raises ValueError for another suffix, a file without a header, one whose columns are called
    the same, and one that is none of its form at all; FileNotFoundError and PermissionError as the system gives them.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path.name}: a list is a file that ends in {', '.join(_READERS)}")
    rows = reader(path, wanted)
    while chunk := list(islice(rows, ROWS_PER_CHUNK)):
        yield chunk


def plain(column: str) -> str:
    """A column's name as it is compared: small letters, one kind of separator. `UMT-SIM` and `umt_sim` are the same."""
    return column.strip().casefold().replace("-", "_").replace(" ", "_")


def plain_columns(names: Iterable[str], path: Path) -> list[str]:
    """Raises ValueError where two columns could be meant by one name."""
    plains = [plain(name) for name in names]
    twice = sorted({name for name in plains if name and plains.count(name) > 1})
    if twice:
        raise ValueError(f"{path.name}: several columns are called {', '.join(twice)}: rename or remove all but one")
    return plains


def _delimited(delimiter: str) -> Callable[[Path, Collection[str]], Iterator[Row | BadItem]]:
    def rows(path: Path, wanted: Collection[str]) -> Iterator[Row | BadItem]:
        csv.field_size_limit(LONGEST_CELL)
        with _text(path) as file:
            # Strict: else a quote that is not closed makes one cell of all the rows after it, and nothing tells.
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


def _text(path: Path) -> TextIO:
    """What is no text stands in it as lone surrogates, so that one such byte does not end the reading of the rest."""
    with path.open("rb") as file:
        encoding = _BYTE_ORDER_MARKS.get(file.read(2), "utf-8-sig")
    return path.open(encoding=encoding, errors="surrogateescape", newline="")


def _is_text(text: str) -> bool:
    return text.isascii() or not any("\udc80" <= character <= "\udcff" for character in text)


def _json_lines(path: Path, wanted: Collection[str]) -> Iterator[Row | BadItem]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            try:
                said = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield BadItem(number, f"not JSON: {error}")
                continue
            if isinstance(said, dict):
                yield Row(number, {plain(name): value for name, value in said.items()})
            else:
                yield BadItem(number, "not a JSON object, {…}")


def _json(path: Path, wanted: Collection[str]) -> Iterator[Row | BadItem]:
    """One JSON document: a list of objects; or an object of objects, whose names are then the column `video_id`."""
    import ijson

    with path.open("rb") as file:
        first = next((byte for byte in iter(lambda: file.read(1), b"") if not byte.isspace()), b"")
        file.seek(0)
        try:
            if first == b"[":
                found = ((None, value) for value in ijson.items(file, "item", use_float=True))
            else:
                found = ijson.kvitems(file, "", use_float=True)
            for number, (name, said) in enumerate(found, start=1):
                if isinstance(said, dict):
                    cells = {plain(key): value for key, value in said.items()}
                    yield Row(number, cells if name is None else {"video_id": name} | cells)
                else:
                    yield BadItem(number, "not a JSON object, {…}")
        except ijson.JSONError as error:
            raise ValueError(f"{path.name} is no JSON document, or not all of one: {error}") from error


def _parquet(path: Path, wanted: Collection[str]) -> Iterator[Row | BadItem]:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        columns = plain_columns(names, path)
        of_use = {name: column for name, column in zip(names, columns, strict=True) if column in wanted}
        if not of_use:
            raise ValueError(f"{path.name}: none of its columns is of use here; they are {', '.join(names)}")
        number = 0
        for batch in file.iter_batches(ROWS_PER_CHUNK, columns=list(of_use)):
            for cells in batch.to_pylist():
                number += 1
                yield Row(number, {of_use[name]: value for name, value in cells.items()})


def _lines(path: Path, wanted: Collection[str]) -> Iterator[Row | BadItem]:
    with _text(path) as file:
        for number, line in enumerate(file, start=1):
            address = line.strip()
            if not address or address.startswith("#"):
                continue
            if _is_text(address):
                yield Row(number, {"address": address})
            else:
                yield BadItem(number, "it is not UTF-8: save the file as UTF-8")


_READERS: dict[str, Callable[[Path, Collection[str]], Iterator[Row | BadItem]]] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".parquet": _parquet,
    ".txt": _lines,
}
