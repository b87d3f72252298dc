"""The statistics mart: a DuckDB file with one table for each question in `sql/statistics/`.

Questions are answered from totals (`resources.corpus.totals`), which lie in the file's schema `totals` and are carried
on from one file to the next; what does not grow with clips is read from the lake.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.corpus.totals import Totals, TotalsOfSnapshot
from resources.lake.statements import header, statement, statements_in
from resources.lake.store import Lake, tables_in
from resources.lake.totals import names_of_totals, totals_header

if TYPE_CHECKING:
    import duckdb

MART = "statistics.duckdb"
READABLE_SINCE = "v1.0.0"  # of DuckDB: tools that people open the file with have an older one than this program
MADE_FROM = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("statement_digest", pa.string()),
        pa.field("table_versions", pa.string()),
        pa.field("snapshot", pa.string()),
    ]
)


def build_mart(
    lake: Lake,
    snapshot: str,
    path: Path,
    *,
    earlier: Path | None = None,
    log: Callable[[str], object] = lambda text: None,
) -> None:
    """Runs every statement of sql/statistics/ on the lake as it was at `snapshot`, into a new DuckDB file.

    A table has the name of its file, and the title of its header as a comment.
    earlier: the file of an earlier snapshot, whose totals are carried on. Without it, and where they cannot be, they are
    computed from the whole lake; `log` takes one line for each reason.
    """
    import duckdb

    statistics = [file.stem for file in statements_in("statistics")]
    named = dict.fromkeys(table for name in statistics for table in tables_in(statement(f"statistics/{name}")))
    with ExitStack() as stack:
        mart = stack.enter_context(
            duckdb.connect(str(path), config={"storage_compatibility_version": READABLE_SINCE})
        )
        connection = stack.enter_context(lake.connect(named, at=snapshot))
        mart.execute("create schema totals")
        computed = []
        for totals in TotalsOfSnapshot(lake, snapshot, read_totals(earlier)).all():
            _write(mart, "totals", totals.name, totals.rows, totals_header(totals.name).title)
            connection.register(totals.name, totals.rows)
            computed.append(totals)
        _write(mart, "totals", "made_from", _made_from(computed, snapshot), "What each of the totals was computed from")
        for line in _reasons(computed):
            log(line)
        for name in statistics:
            rows = connection.sql(statement(f"statistics/{name}")).to_arrow_table()
            _write(mart, "main", name, rows, header(f"statistics/{name}").title)


def read_totals(mart: Path | None) -> dict[str, Totals]:
    """Returns the totals in a file of statistics, by name; none where there is no such file, or it cannot be read."""
    import duckdb

    if mart is None or not mart.exists():
        return {}
    try:
        with duckdb.connect(str(mart), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            made_from = connection.table("totals.made_from").to_arrow_table().to_pylist()
            return {
                row["name"]: Totals(
                    row["name"],
                    json.loads(row["table_versions"]),
                    row["statement_digest"],
                    connection.table(f"totals.{row['name']}").to_arrow_table(),
                )
                for row in made_from
                if row["name"] in names_of_totals()
            }
    except duckdb.Error:  # damaged, of another program, or without totals
        return {}


def _write(mart: duckdb.DuckDBPyConnection, schema: str, name: str, rows: pa.Table, title: str) -> None:
    mart.register("rows", rows)
    mart.execute(f'create table {schema}."{name}" as select * from rows')  # the name of our own file
    quoted = title.replace("'", "''")  # a comment cannot be bound either
    mart.execute(f"comment on table {schema}.\"{name}\" is '{quoted}'")
    mart.unregister("rows")


def _made_from(computed: Iterable[Totals], snapshot: str) -> pa.Table:
    rows = [
        {
            "name": totals.name,
            "statement_digest": totals.statement_digest,
            "table_versions": json.dumps(totals.versions),
            "snapshot": snapshot,
        }
        for totals in computed
    ]
    return pa.Table.from_pylist(rows, schema=MADE_FROM)


def _reasons(computed: Iterable[Totals]) -> list[str]:
    names: dict[str, list[str]] = {}
    for totals in computed:
        if totals.why_whole:
            names.setdefault(totals.why_whole, []).append(totals.name)
    return [f"computed from the whole lake, for {why}: {', '.join(totals)}" for why, totals in names.items()]
