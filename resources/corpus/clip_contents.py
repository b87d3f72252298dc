"""The contents of clips: a hash of each with its frames and its caption, on which a trained model depends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resources.lake.statements import statement

if TYPE_CHECKING:
    import duckdb

TABLES = ("clips", "frames", "clip_captions")  # what the statements read
STATEMENTS = {"pictures": "clip_pictures", "captioned": "captioned_pictures", "contents": "clip_contents"}


def view_contents(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes the view `contents` (clip_id, content) over TABLES."""
    for name, file in STATEMENTS.items():
        connection.execute(f"create temp view {name} as {statement(f'training/{file}')}")


def make_contents(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes the temporary table `contents` (clip_id, content) from TABLES, in order of clip_id.

    In parts, one after the other: each has the limit of memory for itself. In one statement, 23 million clips do not
    fit in 1 GB, for a join and a group cannot give back what they hold while the next ones fill.
    """
    for name, file in STATEMENTS.items():
        made = "unordered" if name == "contents" else name
        connection.execute(f"create temp table {made} as {statement(f'training/{file}')}")
    connection.execute("create temp table contents as from unordered order by clip_id")
    for name in ("pictures", "captioned", "unordered"):
        connection.execute(f"drop table {name}")
