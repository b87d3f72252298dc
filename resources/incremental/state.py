"""Reads the state of a stage's units from the tables alone, never from a marker file.

So an interrupted run continues where it was, and a row deleted by hand makes its unit pending again. The statements are
sql/incremental/state.sql and stale.sql; one pass of a run reads them once, for its partition. What is asked of the
whole lake is `resources.incremental.batch_states`.
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
    with unit_states(lake, stage, partition) as connection:
        pending = connection.sql("select * from state where state = 'pending'").to_arrow_table().to_pylist()
        stale = connection.sql(statement("incremental/stale")).fetchall()
        settled = connection.execute(statement("incremental/settled_attempts"), {"stage": stage.name}).fetchall()
        by_state = dict(connection.sql("select state, count(*) from state group by state").fetchall())
    counts = {state: by_state.get(state, 0) for state in STATES}
    stale_keys = [[key for output, key, _ in stale if output == index] for index in range(len(stage.outputs))]
    return StageState(
        {"total": sum(counts.values()), **counts}, pending, stale_keys, [attempt_id for (attempt_id,) in settled]
    )


def count_by_partition(lake: Lake, stage: Stage, partitions: str | tuple[str, str]) -> list[dict[str, Any]]:
    """Counts the units by partition, in one or in all from one to another: rows of sql/incremental/batch_states.sql.

    Partitions without any unit or row are not among them.
    """
    with unit_states(lake, stage, partitions) as connection:
        connection.execute(f"create temp view stale as {statement('incremental/stale')}")
        parameters = {"stage": stage.name, "now": datetime.now(UTC)}
        return connection.sql(statement("incremental/batch_states"), params=parameters).to_arrow_table().to_pylist()


def tables_of(stage: Stage) -> set[str]:
    """Returns the names of the tables that decide the state of the stage's units."""
    return {*tables_in(stage.units_sql), *(output.table.name for output in stage.outputs), "attempts"}


@contextmanager
def unit_states(lake: Lake, stage: Stage, partitions: str | tuple[str, str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens DuckDB with the views that the statements of sql/incremental/ read, and the table `state` of state.sql.

    partitions: one, or all from one to another.
    """
    units = stage.units_sql
    with lake.connect(sorted(tables_of(stage)), only=rows_of(stage.partition_column, partitions)) as connection:
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


def rows_of(partition_column: str, partitions: str | tuple[str, str]) -> dict[str, str | tuple[str, str]]:
    """Returns the filter of partitions, by column: for the stage's tables and for attempts."""
    return {partition_column: partitions, "partition": partitions}


def _originals(lake: Lake, stage: Stage, connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Returns the keys of rows of which skipped units are duplicates; these rows may be in any partition."""
    table = stage.outputs[0].table
    # Asked whether an indexed column is null, Lance reads its whole index: 60 ms for a million attempts.
    named = connection.execute(
        "select distinct related_key from attempts where stage = $stage and coalesce(related_key, '') <> ''",
        {"stage": stage.name},
    ).fetchall()
    if not named:
        return pa.table({"key": pa.array([], pa.string())})
    return lake.known(table.name, [key for (key,) in named]).rename_columns(["key"])
