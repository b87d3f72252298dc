"""The form of a lake's tables, by number, so that no program misreads what another version of it wrote.

The number stands in `format.json` beside the tables. New tables, columns and indexes need no other number: they are
added where a lake is opened, and an older program does not miss them. It grows where an older program would misread the
lake, or where what stands in it has to change: then a migration says what it does and does it. A migration may be
killed and begun again, and run in two processes at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resources.lake.paths import StoragePath
    from resources.lake.store import Lake

FILE = "format.json"
FORMAT = 2  # of lakes that this program writes
UNNUMBERED = 1  # of lakes without the file


class UnknownFormat(RuntimeError):
    """This program cannot tell what the lake's tables mean, and must not touch them. The message says what to do."""


@dataclass(frozen=True)
class Migration:
    """What turns a lake of the format before into one of `format`. does: what it does, for whoever owns the lake."""

    format: int
    does: str
    migrate: Callable[[Lake], None]


def drop_index_of_captions(lake: Lake) -> None:
    dataset = lake.dataset("clip_captions")
    for index in dataset.describe_indices():
        if index.field_names == ["caption"]:
            dataset.drop_index(index.name)


MIGRATIONS = (
    Migration(2, "removes the index over captions that the one over their terms replaced", drop_index_of_captions),
)


def format_of(lake: Lake) -> int | None:
    """Returns the lake's format; None without a lake. Raises UnknownFormat if this program is too old for it."""
    file = lake.file(FILE)
    text = _text(file)
    if text is None:
        if not lake.exists():
            return None
        text = _text(file)  # a process that makes the lake writes it before the first table
        if text is None:
            return UNNUMBERED
    try:
        written = json.loads(text)
        number, program = int(written["format"]), str(written["written_by"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnknownFormat(
            f"{file} does not say which format the lake has: restore it from a backup ({type(error).__name__}: {error})"
        ) from error
    if number > FORMAT:
        raise UnknownFormat(
            f"the lake at {lake.root} has format {number}, and this program knows formats up to {FORMAT}: it would "
            f"misread it. Install the version that wrote it, {program}, or a newer one; nothing was changed"
        )
    return number


def _text(file: StoragePath) -> str | None:
    try:
        return file.read_text()
    except FileNotFoundError:
        return None


def begun(lake: Lake) -> int:
    """Returns the lake's format before its tables are created; a new lake gets FORMAT. Raises as `format_of`."""
    number = format_of(lake)
    if number is None:
        _write(lake, FORMAT)
    return number or FORMAT


def migrate(lake: Lake, number: int, note: Callable[[str], object]) -> None:
    """Brings the lake from that format to FORMAT. The number is written after each step.

    note: is told what a step does, before it.
    """
    for migration in MIGRATIONS:
        if migration.format > number:
            note(f"{lake.root} was made by an earlier version of this software; this one {migration.does}")
            migration.migrate(lake)
            _write(lake, migration.format)


def _write(lake: Lake, number: int) -> None:
    text = json.dumps({"format": number, "written_by": f"internvid-lakehouse {version('internvid-lakehouse')}"})
    lake.file(FILE).write_text(f"{text}\n")
