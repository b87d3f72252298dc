"""The totals of a snapshot, carried on from those of an earlier one: it costs what changed, however large the lake is.

The earlier totals, less the answer over the changed partitions at the earlier versions, with the answer over them at
the later ones, are the later totals. That is exact: sums are of whole numbers, and a row of an answer depends on one
partition (`resources.lake.totals`). Of a ranking, more rows are kept than anybody reads, so that rows may vanish.

Where there is nothing to carry on, or nothing to be sure of, totals are computed from the whole lake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.incremental.provenance import digest
from resources.lake.changes import compare
from resources.lake.schema import TABLES, Table
from resources.lake.statements import statement
from resources.lake.store import Lake, tables_in
from resources.lake.totals import Ranked, names_of_totals, totals_header, totals_sql

if TYPE_CHECKING:
    import duckdb

PARTITIONS_AT_A_TIME = 50  # some 100,000 clips: their rows fit into memory, and an index finds them
MADE_BY_STAGE = ("digest", "provenance", "unit_rows", "version", "run_id", "written_at")
ENGINE = (
    "totals_summed",
    "totals_carried_on",
    "ranking",
    "ranking_candidates",
    "exhausted_rankings",
    "ranking_carried_on",
)


@dataclass(frozen=True)
class Totals:
    """The kept rows of one statement of sql/totals/.

    versions: of the tables that they were computed from. statement_digest: hash of what computed them.
    why_whole: why they were computed from the whole lake; None where they were carried on.
    """

    name: str
    versions: Mapping[str, int]
    statement_digest: str
    rows: pa.Table
    why_whole: str | None = None


@dataclass
class TotalsOfSnapshot:
    """Computes the totals of one snapshot. earlier: totals of an earlier snapshot, by name, as far as there are any."""

    lake: Lake
    snapshot: str
    earlier: Mapping[str, Totals]
    _versions: dict[str, int] = field(default_factory=dict)
    _changed: dict[tuple[str, int], set[str | None] | None] = field(default_factory=dict)

    def all(self) -> Iterable[Totals]:
        """Yields all totals."""
        return map(self.named, names_of_totals())

    def named(self, name: str) -> Totals:
        versions = {table: self._version(table) for table in tables_in(totals_sql(name))}
        rows, why_whole = self._carried_on(name, versions)
        if rows is None:
            rows = _computed(self.lake, name, versions)
        return Totals(name, versions, _statement_digest(name), rows, why_whole)

    def _carried_on(self, name: str, versions: Mapping[str, int]) -> tuple[pa.Table | None, str | None]:
        """Returns the rows; or None, and why they cannot be carried on."""
        earlier = self.earlier.get(name)
        if earlier is None:
            return None, "there are none of an earlier snapshot"
        if earlier.statement_digest != _statement_digest(name):
            return None, "another version of this software computed those of the earlier snapshot"
        partitions: set[str | None] = set()
        for table in versions:
            changed = self._changed_partitions(TABLES[table], earlier.versions[table])
            if changed is None:
                return None, f"version {earlier.versions[table]} of {table} was removed"
            partitions |= changed
        if None in partitions:
            return None, "there are rows without a batch"
        known = sorted(partition for partition in partitions if partition is not None)
        ranked = totals_header(name).ranked
        rows = (
            _carried_on_sums(self.lake, earlier, versions, known)
            if ranked is None
            else _carried_on_ranking(self.lake, earlier, versions, known, ranked)
        )
        return rows, None if rows is not None else "too many of the first rows have vanished"

    def _version(self, table: str) -> int:
        if table not in self._versions:
            self._versions[table] = self.lake.dataset(table, self.snapshot).version
        return self._versions[table]

    def _changed_partitions(self, table: Table, since: int) -> set[str | None] | None:
        """Returns the partitions of which the table has other rows than then; None where that cannot be told."""
        if (table.name, since) not in self._changed:
            self._changed[table.name, since] = (
                set() if since == self._version(table.name) else self._compared(table, since)
            )
        return self._changed[table.name, since]

    def _compared(self, table: Table, since: int) -> set[str | None] | None:
        assert table.partition is not None
        names = table.column_names
        # What a stage computed is known by its digest, which spares reading it.
        told_by = [table.key, *MADE_BY_STAGE] if all(name in names for name in MADE_BY_STAGE) else names
        # Names of columns cannot be bound; these come from resources.lake.schema, never from data.
        select = f"'' as stage, {table.partition} as partition, hash({', '.join(told_by)}) as content"
        now = self.lake.dataset(table.name, self._version(table.name))
        columns = [table.partition, *told_by]
        rows = compare(self.lake, table, since, now, columns, select, "incremental/changed_partitions")
        return None if rows is None else {partition for _, partition in rows}


def _statement_digest(name: str) -> str:
    """Returns a hash of all that decides the rows besides the tables."""
    return digest([totals_sql(name), *(statement(f"corpus/{part}") for part in ENGINE)])


def _computed(
    lake: Lake, name: str, versions: Mapping[str, int], partitions: Sequence[str] | None = None
) -> pa.Table:
    """Returns the rows as they are kept, over these partitions; None: over the whole lake."""
    ranked = totals_header(name).ranked
    columns = {TABLES[table].partition for table in versions}
    only = None if partitions is None else {column: list(partitions) for column in columns if column}
    with lake.connect([name], at=versions, only=only) as connection:
        connection.execute(f"create temp view rows as from {name}")  # the name of our own file
        if ranked is None:
            return connection.sql(statement("corpus/totals_summed")).to_arrow_table()
        return connection.sql(statement("corpus/ranking"), params={"kept": ranked.kept}).to_arrow_table()


def _carried_on_sums(lake: Lake, earlier: Totals, versions: Mapping[str, int], partitions: Sequence[str]) -> pa.Table:
    gone, came = [earlier.rows.schema.empty_table()], [earlier.rows.schema.empty_table()]
    for some_partitions in _parts(partitions):
        gone.append(_computed(lake, earlier.name, earlier.versions, some_partitions))
        came.append(_computed(lake, earlier.name, versions, some_partitions))
    with lake.connect([]) as connection:
        _register(connection, last=earlier.rows, gone=pa.concat_tables(gone), came=pa.concat_tables(came))
        return connection.sql(statement("corpus/totals_carried_on")).to_arrow_table()


def _carried_on_ranking(
    lake: Lake, earlier: Totals, versions: Mapping[str, int], partitions: Sequence[str], ranked: Ranked
) -> pa.Table | None:
    """Returns the ranking; None where not enough of its rows are known."""
    last = earlier.rows
    for some_partitions in _parts(partitions):
        gone = _computed(lake, earlier.name, earlier.versions, some_partitions)
        came = _computed(lake, earlier.name, versions, some_partitions)
        with lake.connect([]) as connection:
            _register(connection, last=last, gone=gone, came=came)
            connection.execute(
                f"create temp table candidates as {statement('corpus/ranking_candidates')}",
                {"batches": some_partitions},
            )
            exhausted = statement("corpus/exhausted_rankings")
            if connection.execute(exhausted, {"needed": ranked.needed}).fetchone():
                return None
            carried_on = statement("corpus/ranking_carried_on")
            last = connection.sql(carried_on, params={"kept": ranked.kept}).to_arrow_table()
    return last


def _parts(partitions: Sequence[str]) -> Iterable[list[str]]:
    for start in range(0, len(partitions), PARTITIONS_AT_A_TIME):
        yield list(partitions[start : start + PARTITIONS_AT_A_TIME])


def _register(connection: duckdb.DuckDBPyConnection, **tables: pa.Table) -> None:
    for name, rows in tables.items():
        connection.register(name, rows)
