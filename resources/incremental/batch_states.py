"""Where every batch stands in every stage, kept in the table batch_states, so that asking costs what has changed.

The tables alone say in which state a unit is (`resources.incremental.state`). What is counted there is kept here, with
the versions of the tables that it was counted from. Who asks next finds the partitions whose rows differ since, in any
table that the stage reads, and counts those again: also after a row that was deleted by hand, a run that was killed, or
a restored version. Counted again are as well the partitions in which the time for another try has come, those that
name a row which came or went elsewhere (the original of a duplicate), and all of a stage that does something else now.

Rows and versions are one commit. Two processes that count at once leave rows that are at least as new as the versions
beside them, whichever of the two commits last.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.incremental.faults import SystemFault, raising_faults
from resources.incremental.provenance import digest
from resources.incremental.stage import Stage
from resources.incremental.state import STATES, count_by_partition, rows_of, tables_of
from resources.lake.changes import compare
from resources.lake.schema import ATTEMPTS, BATCH_STATES, OF_THE_RUN, TABLES, Table
from resources.lake.statements import statement
from resources.lake.store import Lake, tables_in

if TYPE_CHECKING:
    import duckdb
    import lance

COUNTED = (*STATES, "stale_rows")
MAX_APART = 8  # partitions that are read one by one; more of them are read in ranges, as many as fit into memory
MAX_ROWS = 1_000_000
MADE_BY_STAGE = ("digest", "provenance", "unit_rows")


@dataclass(frozen=True)
class BatchStates:
    """The rows of batch_states of some stages, as the tables are now."""

    stages: tuple[str, ...]
    rows: pa.Table

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns the number of units by stage: in total, and in each of STATES."""
        sums = self.rows.group_by("stage").aggregate([(state, "sum") for state in STATES]).to_pylist()
        by_stage = {row["stage"]: {state: row[f"{state}_sum"] or 0 for state in STATES} for row in sums}
        counts = {stage: by_stage.get(stage, dict.fromkeys(STATES, 0)) for stage in self.stages}
        return {stage: {"total": sum(number.values()), **number} for stage, number in counts.items()}

    def pending_partitions(self) -> list[str]:
        """Returns the partitions with pending units or rows to remove, in order."""
        import pyarrow.compute as pc

        is_pending = pc.or_kleene(pc.greater(self.rows["pending"], 0), pc.greater(self.rows["stale_rows"], 0))
        return sorted(set(self.rows.filter(is_pending)["partition"].to_pylist()))


def read_batch_states(lake: Lake, stages: Iterable[Stage]) -> BatchStates:
    """Returns where each partition stands in each of the stages; keeps what had to be counted for it."""
    stages = tuple(stages)
    names = tuple(stage.name for stage in stages)
    with lake.connect([]) as connection:
        stored = _Stored(lake, names, connection)
        tables = _Tables(lake, {table for stage in stages for table in tables_of(stage)})
        counted = [row for stage in stages for row in _changed(lake, stage, tables, stored)]
        fresh = pa.Table.from_pylist(counted, schema=BATCH_STATES.arrow)
        connection.register("fresh", fresh)
        rows = connection.sql(statement("incremental/known_batch_states")).to_arrow_table()
    if counted:
        # Who may only read the lake is told the same; and no room on the disk is an error of what has to write.
        with suppress(SystemFault), raising_faults(lake.root):
            lake.upsert(BATCH_STATES.name, fresh)
    return BatchStates(names, rows)


def disagreements(lake: Lake, stages: Iterable[Stage], *, part: int, parts: int) -> list[dict[str, Any]]:
    """Counts one of `parts` parts of the partitions again, and returns the rows that batch_states has otherwise.

    Each row: stage, partition, and by state the numbers `kept` and `counted`. A partition that is worked on meanwhile
    is compared again. It corrects nothing: `forget_batch_states` does.
    """
    stages = tuple(stages)
    for _ in range(3):
        kept: dict[str, dict[str, dict[str, int]]] = {stage.name: {} for stage in stages}
        for row in read_batch_states(lake, stages).rows.to_pylist():
            if _part(row["partition"], parts) == part % parts:
                kept[row["stage"]][row["partition"]] = _numbers(row)
        differing = []
        for stage in stages:
            counted = {partition: _numbers(row) for partition, row in _count(lake, stage, sorted(kept[stage.name]))}
            differing += [
                {"stage": stage.name, "partition": partition, "kept": numbers, "counted": now}
                for partition, numbers in kept[stage.name].items()
                if (now := counted.get(partition, dict.fromkeys(COUNTED, 0))) != numbers
            ]
        if not differing:
            break
    return differing


def forget_batch_states(lake: Lake) -> None:
    """Removes all that was counted: whoever asks next counts the whole lake."""
    lake.delete(
        BATCH_STATES.name, lake.polars(BATCH_STATES.name, columns=[BATCH_STATES.key])[BATCH_STATES.key].to_list()
    )


class _Stored:
    """The rows of batch_states of some stages, read once for all stages: `stored` in the session."""

    def __init__(self, lake: Lake, stages: Sequence[str], connection: duckdb.DuckDBPyConnection) -> None:
        import pyarrow.compute as pc

        self.read_at = datetime.now(UTC)
        self._connection = connection
        # Not as a table of DuckDB's: to copy 260,000 rows takes longer than all that is asked of them.
        rows = lake.dataset(BATCH_STATES.name).scanner(filter=pc.field("stage").isin(list(stages))).to_table()
        connection.register("stored", rows)
        # To look is ten times as fast as to sort out, and mostly there is nothing. Arrow takes three times
        # as long to count distinct texts.
        if self._select("incremental/are_batch_states_twice", {})[0][0]:
            rows = connection.sql(statement("incremental/newest_batch_states")).to_arrow_table()
            connection.register("stored", rows)
        marks = rows.filter(pc.is_null(rows["partition"])).select(["stage", "stage_version", "table_versions"])
        self.marks = {row["stage"]: (row["stage_version"], row["table_versions"]) for row in marks.to_pylist()}
        self._due: dict[str, set[str]] = defaultdict(set)
        for stage, partition in self._select("incremental/due_batch_states", {"now": self.read_at}):
            self._due[stage].add(partition)

    def partitions(self, stage: Stage) -> set[str]:
        return {partition for (partition,) in self._select("incremental/partitions_of_stage", {"stage": stage.name})}

    def due(self, stage: Stage) -> set[str]:
        """Returns the partitions in which the time for another try has come."""
        return set(self._due[stage.name])

    def naming(self, stage: Stage, keys: list[str] | None = None) -> set[str]:
        """Returns the partitions that name one of the keys, given by their hashes; without keys, that name any row."""
        asked = {"stage": stage.name, "keys": keys}
        return {partition for (partition,) in self._select("incremental/naming_batch_states", asked)}

    def _select(self, name: str, parameters: dict[str, Any]) -> list[Any]:
        return self._connection.execute(statement(name), parameters).fetchall()


class _Tables:
    """The tables at their newest versions, and what has changed in them; read once for all stages."""

    def __init__(self, lake: Lake, names: Iterable[str]) -> None:
        self.lake = lake
        self.datasets: dict[str, lance.LanceDataset] = {name: lake.dataset(name) for name in sorted(names)}
        self._partitions: dict[tuple[str, int, str], set[tuple[str, str]] | None] = {}

    def versions(self, names: Iterable[str]) -> dict[str, int]:
        return {name: self.datasets[name].version for name in sorted(names)}

    def changed_partitions(self, name: str, since: int, column: str) -> set[tuple[str, str]] | None:
        """Returns (stage, partition) of which the table has other rows now; the stage is empty but in attempts.

        None where that cannot be told.
        """
        if (name, since, column) not in self._partitions:
            self._partitions[name, since, column] = self._compare_partitions(TABLES[name], since, column)
        return self._partitions[name, since, column]

    def _compare_partitions(self, table: Table, since: int, column: str) -> set[tuple[str, str]] | None:
        columns = _deciding_columns(table)
        stage = "stage" if table is ATTEMPTS else "''"
        # Names of columns cannot be bound; these come from resources.lake.schema, never from data.
        select = f"{stage} as stage, {column} as partition, hash({', '.join(columns)}) as content"
        rows = self._compare(table, since, [column, *columns], select, "changed_partitions")
        return None if rows is None else {(stage, partition) for stage, partition in rows if partition is not None}

    def changed_keys(self, table: Table, since: int) -> list[str] | None:
        """Returns the hashes of the keys that came or went. None where that cannot be told."""
        rows = self._compare(table, since, [table.key], f"{table.key} as key", "changed_keys")
        return None if rows is None else [key for (key,) in rows]

    def _compare(self, table: Table, since: int, columns: list[str], select: str, name: str) -> list[Any] | None:
        now = self.datasets[table.name]
        return compare(self.lake, table, since, now, columns, select, f"incremental/{name}")


def _deciding_columns(table: Table) -> list[str]:
    """Returns the columns that decide in which state a unit is: what a stage computed is known by its digest."""
    names = table.column_names
    if all(name in names for name in MADE_BY_STAGE):
        return [table.key, *MADE_BY_STAGE]
    return [name for name in names if name not in OF_THE_RUN]


def _changed(lake: Lake, stage: Stage, tables: _Tables, stored: _Stored) -> Iterator[dict[str, Any]]:
    """Yields the rows of the stage that are to be kept: of partitions that may stand elsewhere than `stored` says."""
    names = tables_of(stage)
    versions, version = tables.versions(names), _version_of(stage)
    mark = stored.marks.get(stage.name)
    if mark is None or mark[0] != version:
        partitions = None
    else:
        since = json.loads(mark[1])
        partitions = _partitions_to_count(stage, tables, since, stored)
        if not partitions and partitions is not None and since == versions:
            return
    known = stored.partitions(stage)
    rows = None
    if partitions is None:
        rows = _rows_by_partition(lake, stage)
        partitions = known | rows.keys()
    numbers = dict(_count(lake, stage, sorted(partitions), rows))
    for partition in sorted(numbers.keys() | (partitions & known)):
        row = numbers.get(partition, dict.fromkeys(COUNTED, 0))
        yield {
            **dict.fromkeys(BATCH_STATES.column_names),
            "batch_state_id": f"{stage.name}/{partition}",
            "stage": stage.name,
            "partition": partition,
            "written_at": stored.read_at,
            **row,
        }
    yield {
        **dict.fromkeys(BATCH_STATES.column_names),
        "batch_state_id": f"{stage.name}/",
        "stage": stage.name,
        "stage_version": version,
        "table_versions": json.dumps(versions),
        "written_at": stored.read_at,
    }


def _partitions_to_count(stage: Stage, tables: _Tables, since: dict[str, int], stored: _Stored) -> set[str] | None:
    """Returns the partitions that changed since those versions, or whose time has come; None: all may have."""
    chosen = stored.due(stage)
    for name, version in tables.versions(tables_of(stage)).items():
        if since.get(name) == version:
            continue
        column = _partition_column(stage, TABLES[name])
        if column is None or name not in since:
            return None  # its rows may count in every partition
        changed = tables.changed_partitions(name, since[name], column)
        if changed is None:
            return None
        # Of attempts each stage reads its own, but for those whose units name the table.
        its_own = name == ATTEMPTS.name and name not in tables_in(stage.units_sql)
        chosen |= {partition for of_stage, partition in changed if not its_own or of_stage == stage.name}
    first = stage.outputs[0].table
    has_changed = since[first.name] != tables.datasets[first.name].version
    if has_changed and stored.naming(stage):
        keys = tables.changed_keys(first, since[first.name])
        if keys is None:
            return None
        chosen |= stored.naming(stage, keys)
    return chosen


def _count(
    lake: Lake, stage: Stage, partitions: list[str], rows: dict[str, int] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each of the partitions that has any unit or row, with its columns in batch_states.

    rows: number of rows by partition, where it is known already.
    """
    chosen = set(partitions)
    ranges: Iterable[str | tuple[str, str]] = partitions
    if len(partitions) > MAX_APART:
        ranges = _ranges(partitions, _rows_by_partition(lake, stage) if rows is None else rows)
    for each in ranges:
        for row in count_by_partition(lake, stage, each):
            if (partition := row.pop("partition")) in chosen:
                yield partition, row


def _ranges(partitions: list[str], rows: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Yields the first and the last of successive partitions that have about MAX_ROWS rows together."""
    first, size = partitions[0], 0
    for partition, following in zip(partitions, [*partitions[1:], None], strict=True):
        size += rows.get(partition, 0)
        if following is None or size + rows.get(following, 0) > MAX_ROWS:
            yield first, partition
            first, size = following or "", 0


def _rows_by_partition(lake: Lake, stage: Stage) -> dict[str, int]:
    """Returns how many rows of the stage's inputs and outputs each partition has, in all tables together."""
    columns = {name: _partition_column(stage, TABLES[name]) for name in tables_of(stage) - {"attempts"}}
    # Names of tables and columns cannot be bound; these come from resources.lake.schema, never from data.
    selects = [f"select {column} as partition from {name}" for name, column in sorted(columns.items()) if column]
    rows = lake.query(
        f"select partition, count(*) as rows from ({' union all '.join(selects)}) group by partition",
        tables=[name for name, column in columns.items() if column],
    )
    return {row["partition"]: row["rows"] for row in rows.to_pylist() if row["partition"] is not None}


def _partition_column(stage: Stage, table: Table) -> str | None:
    return next((column for column in rows_of(stage.partition_column, "") if column in table.column_names), None)


def _version_of(stage: Stage) -> str:
    """Returns a hash of what decides the state of the stage's units besides the rows of the tables."""
    parameters = None if stage.parameters is None else stage.parameters.to_pylist()
    statements = [statement(f"incremental/{name}") for name in ("state", "stale", "batch_states")]
    return digest([stage.stage_versions(), parameters, stage.units_sql, *statements])


def _numbers(row: dict[str, Any]) -> dict[str, int]:
    return {name: row[name] for name in COUNTED}


def _part(partition: str, parts: int) -> int:
    return int(hashlib.md5(partition.encode(), usedforsecurity=False).hexdigest(), 16) % parts
