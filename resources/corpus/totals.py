"""The totals of a snapshot, carried on from those of an earlier one: it costs what changed, however large the lake is.

The earlier totals, less the answer over the changed partitions at the earlier versions, with the answer over them at
the later ones, are the later totals. That is exact: sums are of whole numbers, and a row of an answer depends on one
partition (`resources.lake.totals`). Of a ranking, more rows are kept than anybody reads, so that rows may vanish.

Where there is nothing to carry on, or nothing to be sure of, totals are computed from the whole lake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.incremental.provenance import digest
from resources.lake.changes import changed_partitions, in_parts
from resources.lake.schema import TABLES
from resources.lake.statements import statement
from resources.lake.store import Lake, tables_in
from resources.lake.totals import names_of_totals, totals_header, totals_sql

if TYPE_CHECKING:
    import duckdb

STATEMENTS = (
    "totals_summed",
    "totals_carried_on",
    "ranking",
    "ranking_candidates",
    "exhausted_rankings",
    "ranking_carried_on",
)


@dataclass(frozen=True)
class Totals:
    """The totals of the lake as they are kept.

    versions: table -> version that they were computed from. statement_digests: name -> hash of what computed them.
    rows: name -> rows.
    """

    versions: Mapping[str, int]
    statement_digests: Mapping[str, str]
    rows: Mapping[str, pa.Table]


def totals_at(lake: Lake, snapshot: str, earlier: Totals | None) -> tuple[Totals, dict[str, str]]:
    """Returns all totals of the lake as it was at the snapshot, and the names of those that were computed from the
    whole lake, each with the reason. earlier: those of an earlier snapshot.
    """
    names = names_of_totals()
    tables = dict.fromkeys(table for name in names for table in tables_in(totals_sql(name)))
    versions = {table: lake.dataset(table, snapshot).version for table in tables}
    if earlier is None:
        rows: dict[str, pa.Table] = {}
        reasons = dict.fromkeys(names, "there are none of an earlier snapshot")
    else:
        rows, reasons = _carried_on(lake, earlier, versions)
    with lake.connect(reasons, at=versions) as connection:
        rows |= {name: _computed(connection, name) for name in reasons}
    return Totals(versions, {name: _statement_digest(name) for name in names}, rows), reasons


def _carried_on(lake: Lake, earlier: Totals, versions: Mapping[str, int]) -> tuple[dict[str, pa.Table], dict[str, str]]:
    """Returns the rows of those totals that can be carried on to these versions, and why the others cannot."""
    changed = {
        table: changed_partitions(lake, TABLES[table], earlier.versions.get(table), versions[table])
        for table in versions
    }
    reasons = {name: reason for name in names_of_totals() if (reason := _obstacle(name, earlier, changed))}
    rows = {name: earlier.rows[name] for name in names_of_totals() if name not in reasons}
    partitions = {
        partition
        for name in rows
        for table in tables_in(totals_sql(name))
        for partition in changed[table] or ()
        if partition is not None  # `_obstacle` has said so
    }
    for part in in_parts(partitions):
        gone = _computed_over(lake, rows, earlier.versions, part)
        came = _computed_over(lake, rows, versions, part)
        for name in gone:
            with lake.connect([]) as connection:
                for view, table in (("last", rows[name]), ("gone", gone[name]), ("came", came[name])):
                    connection.register(view, table)
                following = _following(connection, name, part)
            if following is None:
                del rows[name]
                reasons[name] = "too many of the first rows have vanished"
            else:
                rows[name] = following
    return rows, reasons


def _obstacle(name: str, earlier: Totals, changed: Mapping[str, set[str | None] | None]) -> str | None:
    """Returns why these totals cannot be carried on; None where they can."""
    if earlier.statement_digests.get(name) != _statement_digest(name):
        return "another version of this software computed the earlier ones"
    for table in tables_in(totals_sql(name)):
        partitions = changed[table]
        if partitions is None:
            return f"the earlier version of {table} was removed"
        if None in partitions:
            return f"rows of {table} have no batch"
    return None


def _following(connection: duckdb.DuckDBPyConnection, name: str, partitions: list[str]) -> pa.Table | None:
    """Returns the rows after `gone` and `came`, those of these partitions; None where not enough of them are known."""
    ranked = totals_header(name).ranked
    if ranked is None:
        return connection.sql(statement("corpus/totals_carried_on")).to_arrow_table()
    candidates = f"create temp table candidates as {statement('corpus/ranking_candidates')}"
    connection.execute(candidates, {"partitions": partitions})
    if connection.execute(statement("corpus/exhausted_rankings"), {"needed": ranked.needed}).fetchone():
        return None
    return connection.sql(statement("corpus/ranking_carried_on"), params={"kept": ranked.kept}).to_arrow_table()


def _computed_over(
    lake: Lake, names: Iterable[str], versions: Mapping[str, int], partitions: list[str]
) -> dict[str, pa.Table]:
    """Returns the rows of these totals over some partitions."""
    columns = {TABLES[table].partition for table in versions}
    only = {column: partitions for column in columns if column}
    with lake.connect(names, at=versions, only=only) as connection:
        return {name: _computed(connection, name) for name in names}


def _computed(connection: duckdb.DuckDBPyConnection, name: str) -> pa.Table:
    """Returns the rows of these totals as they are kept, over what is visible in the connection."""
    ranked = totals_header(name).ranked
    connection.execute(f"create or replace temp view rows as from {name}")  # the name of our own file
    if ranked is None:
        return connection.sql(statement("corpus/totals_summed")).to_arrow_table()
    return connection.sql(statement("corpus/ranking"), params={"kept": ranked.kept}).to_arrow_table()


def _statement_digest(name: str) -> str:
    """Returns a hash of all that decides the rows besides the tables."""
    return digest([totals_sql(name), *(statement(f"corpus/{part}") for part in STATEMENTS)])
