"""Reads the state of a stage's units from the tables alone, never from a marker file.

So an interrupted run continues where it was, and a row deleted by hand makes its unit pending again. The statements are
sql/incremental/state.sql and stale.sql; one pass of a run reads them once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.incremental.stage import Stage
from resources.lake.statements import statement
from resources.lake.store import Lake, tables_in

if TYPE_CHECKING:
    import duckdb

STATES = ("done", "failed", "skipped", "waiting", "pending")
STAGE_VERSIONS = pa.schema([("output", pa.int32()), ("variant", pa.string()), ("version", pa.string())])


@dataclass(frozen=True)
class StageState:
    """State of a stage's units in one partition.

    counts: number of units (`total`) and number in each of STATES. pending: rows of state.sql, in its order.
    stale_keys: keys of rows without a present unit, per output of the stage.
    settled_attempts: ids of obsolete attempts.
    """

    counts: dict[str, int]
    pending: list[dict[str, Any]]
    stale_keys: list[list[str]]
    settled_attempts: list[str]


def read_state(lake: Lake, stage: Stage, partition: str) -> StageState:
    """Reads the state of the partition's units."""
    with _connection(lake, stage, partition=partition) as connection:
        pending = connection.sql("select * from state where state = 'pending'").to_arrow_table().to_pylist()
        stale = connection.sql(statement("incremental/stale")).fetchall()
        settled = connection.execute(statement("incremental/settled_attempts"), {"stage": stage.name}).fetchall()
        counts = _counts(connection)
    stale_keys = [[key for output, key, _ in stale if output == index] for index in range(len(stage.outputs))]
    return StageState(counts, pending, stale_keys, [attempt_id for (attempt_id,) in settled])


def counts(lake: Lake, stage: Stage, *, partition: str | None = None) -> dict[str, int]:
    """Returns the number of the stage's units, in total and in each state, of one partition or of the lake."""
    with _connection(lake, stage, partition=partition) as connection:
        return _counts(connection)


def pending_partitions(lake: Lake, stage: Stage) -> list[str]:
    """Returns the partitions with pending units or rows to remove, in order."""
    with _connection(lake, stage) as connection:
        pending = connection.sql("select distinct partition from state where state = 'pending'").fetchall()
        stale = connection.sql(f"select distinct partition from ({statement('incremental/stale')})").fetchall()
    return sorted({partition for (partition,) in (*pending, *stale)})


def _counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    by_state = dict(connection.sql("select state, count(*) from state group by state").fetchall())
    counts = {state: by_state.get(state, 0) for state in STATES}
    return {"total": sum(counts.values()), **counts}


@contextmanager
def _connection(lake: Lake, stage: Stage, *, partition: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens DuckDB with the views and the table `state` that the statements of sql/incremental/ read."""
    units = stage.units_sql
    tables = {*tables_in(units), *(output.table.name for output in stage.outputs), "attempts"}
    with lake.connect(sorted(tables), only=rows_of(stage.partition_column, partition)) as connection:
        connection.register("stage_versions", pa.Table.from_pylist(stage.stage_versions(), schema=STAGE_VERSIONS))
        if stage.parameters is not None:
            connection.register("parameters", stage.parameters)
        connection.execute(f"create temp view units as {units}")
        # Names of tables and columns cannot be bound; these come from resources.lake.schema, never from data.
        children = " union all ".join(
            f"select {index} as output, {output.table.key} as key, {output.table.unit} as unit, "
            f"{output.table.partition} as partition, provenance, unit_rows, "
            f"{output.table.append_only} as append_only from {output.table.name}"
            for index, output in enumerate(stage.outputs)
        )
        connection.execute(f"create temp view children as {children}")
        connection.register("originals", _originals(lake, stage, connection))
        connection.execute(
            f"create temp table state as {statement('incremental/state')}",
            {"stage": stage.name, "now": datetime.now(UTC)},
        )
        yield connection


def rows_of(partition_column: str, partition: str | None) -> dict[str, str]:
    """Returns the filter of a partition, by column: for the stage's tables and for attempts. None: of no partition."""
    return {} if partition is None else {partition_column: partition, "partition": partition}


def _originals(lake: Lake, stage: Stage, connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Returns the keys of rows of which skipped units are duplicates; these rows may be in any partition."""
    table = stage.outputs[0].table
    named = connection.execute(
        "select distinct related_key from attempts where stage = $stage and related_key is not null",
        {"stage": stage.name},
    ).fetchall()
    if not named:
        return pa.table({"key": pa.array([], pa.string())})
    return lake.known(table.name, [key for (key,) in named]).rename_columns(["key"])
