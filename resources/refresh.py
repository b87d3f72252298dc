"""The one function that does incremental work, and the words it is described in.

A *step* makes rows from *units*. A unit is one input: a source, a video, a frame at one scale, a clip. What a unit's
rows would carry as provenance is a hash of (the unit, its inputs' digests, the step's version and settings). A unit
is

* done: every output table holds all of its rows at that provenance,
* failed or skipped: an `attempts` row says so, at that provenance,
* waiting: an `attempts` row says until when it is not to be tried, for a reason that is not its own,
* pending: anything else, and that is the work list.

sql/operations/state.sql reads this from the tables alone, never from a marker, so a run killed anywhere goes on where
it was, and a row removed by hand makes its unit pending again. `refresh` works the list off: compute in chunks, commit
each chunk, write down what failed, remove what nothing stands behind any more, and report.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from resources.costs import FREE, Cost, Ledger
from resources.lake import Lake, tables_in
from resources.progress import progress
from resources.retries import policy_of
from resources.schema import TABLES, Table
from resources.statements import statement

if TYPE_CHECKING:
    import duckdb

BYTES_PER_COMMIT = 64 << 20  # bounds the memory of a commit; a commit costs some 20 ms, so larger gains nothing
SECONDS_PER_COMMIT = 30.0  # what a killed run loses at most
PASSES = 3  # a second pass meets what another writer, or an earlier row of the same chunk, made of a unit meanwhile
RECIPES = pa.schema([("output", pa.int32()), ("variant", pa.string()), ("recipe", pa.string())])  # of `Step.recipes`


@dataclass(frozen=True)
class Output:
    """A table that a step fills, and the version of what it does for that table, by variant of the unit."""

    table: Table
    version: Mapping[str, str]

    @property
    def readable_version(self) -> str:
        """Of all variants, for people and as the asset's code version."""
        return "; ".join(sorted(set(self.version.values())))


@dataclass(frozen=True)
class Step:
    """name: the stage, as in attempts. units: name of the SQL file that lists its units. chunk: units per compute.

    declared: what that file cannot read from the lake, as its relation `declared`: rows of equal keys, texts.
    """

    name: str
    units: str
    outputs: tuple[Output, ...]
    chunk: int
    declared: pa.Table | None = None

    @property
    def partition_column(self) -> str:
        """The column of the step's tables that holds the Dagster partition."""
        (column,) = {output.table.partition for output in self.outputs}
        assert column is not None, f"{self.name} fills a table without partitions"
        return column

    def recipes(self) -> list[dict[str, Any]]:
        """What is done to a unit, per output and variant. A later output rests on the earlier ones of the same step."""
        rows = []
        for variant in self.outputs[0].version:
            versions = [output.version[variant] for output in self.outputs]
            rows += [
                {"output": index, "variant": variant, "recipe": "|".join(versions[: index + 1])}
                for index in range(len(self.outputs))
            ]
        return rows


@dataclass(frozen=True)
class Unit:
    """One input. `provenances`: what its rows will carry, per output of the step."""

    key: str
    partition: str
    label: str
    variant: str
    provenances: list[str]
    tries: int


@dataclass(frozen=True)
class Rows:
    """Rows of one table as a stream of batches, with their number known beforehand."""

    count: int
    batches: Iterable[pa.RecordBatch]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], table: Table) -> Rows:
        """From dicts with exactly the columns of `table.content`. Raises ValueError for others."""
        schema = table.content
        for row in rows:
            if wrong := set(row) ^ set(schema.names):
                raise ValueError(f"{table.name}: unknown or missing columns: {', '.join(sorted(wrong))}")
        return cls(len(rows), [pa.RecordBatch.from_pylist([dict(row) for row in rows], schema=schema)])


@dataclass(frozen=True)
class Done:
    """The unit's rows, per output of the step; `release` is called once they have been read."""

    unit: Unit
    rows: tuple[Rows, ...]
    release: Callable[[], None] | None = None
    cost: Cost = FREE


@dataclass(frozen=True)
class Failed:
    unit: Unit
    error: BaseException
    cost: Cost = FREE


@dataclass(frozen=True)
class Skipped:
    """Not worked on, for a reason. `related_key`: the row that the reason is about, for a duplicate its original.
    `cost`: of finding that out, where it took a look.
    """

    unit: Unit
    reason_class: str
    reason: str
    related_key: str | None = None
    cost: Cost | None = None


@dataclass(frozen=True)
class Waiting:
    """Not to be tried before `until`, and through no fault of its own: `site` is left alone until then. was_tried: it
    is the one that met with what the site said.
    """

    unit: Unit
    site: str
    reason_class: str
    reason: str
    until: datetime
    was_tried: bool = False


Outcome = Done | Failed | Skipped | Waiting
Compute = Callable[[list[Unit]], Iterable[Outcome]]


def one_by_one(units: Iterable[Unit], compute: Callable[[Unit], Outcome]) -> Iterator[Outcome]:
    """Computes each unit by itself; an error becomes that unit's failure and the others go on."""
    for unit in units:
        try:
            yield compute(unit)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a unit raises is that unit's failure
            yield Failed(unit, error)


def together_or_one_by_one(units: list[Unit], compute: Callable[[list[Unit]], list[Outcome]]) -> Iterator[Outcome]:
    """Computes a chunk at once, as models like it; if that fails, each unit by itself, to find the ones at fault."""
    try:
        outcomes = compute(units)
    except Exception:  # noqa: BLE001 - whatever it was, it comes again below under the unit that causes it
        yield from one_by_one(units, lambda unit: compute([unit])[0])
    else:
        yield from outcomes


def counts(lake: Lake, step: Step, *, partition: str | None = None) -> dict[str, int]:
    """Units of the step: total, done, failed, skipped, waiting, pending."""
    with _state_connection(lake, step, partition=partition) as connection:
        found = dict(connection.sql("select state, count(*) from state group by state").fetchall())
    by_state = {name: found.get(name, 0) for name in ("done", "failed", "skipped", "waiting", "pending")}
    return {"total": sum(by_state.values()), **by_state}


def pending_batches(lake: Lake, step: Step) -> list[str]:
    """The batches in which the step has something to do, in order: pending units, or rows to remove."""
    with _state_connection(lake, step) as connection:
        pending = connection.sql("select distinct partition from state where state = 'pending'").fetchall()
        stale = connection.sql(f"select distinct partition from ({statement('operations/stale')})").fetchall()
    return sorted({batch for (batch,) in (*pending, *stale)})


def digest(*parts: object) -> str:
    """A hash of plain values, stable between runs and machines: 32 hex digits."""
    return hashlib.md5(json.dumps(parts, sort_keys=True, default=str).encode(), usedforsecurity=False).hexdigest()


@dataclass
class Report:
    """What a refresh did. Rows per output table; units in `units`."""

    added: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    worked_on: int = 0
    units: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    ledger: Ledger = field(default_factory=Ledger)


def refresh(
    context: dg.AssetExecutionContext,
    lake: Lake,
    step: Step,
    compute: Compute,
    *,
    sample: Callable[[str], Mapping[str, Any]] = lambda table: {},
) -> Iterator[dg.MaterializeResult]:
    """Brings the step's tables up to date for the run's partition; one result per output table.

    compute: gets at most `step.chunk` units and yields one outcome for each, in their order.
    sample: further metadata for a table's result, from the rows as committed (a few rows, a contact sheet).
    """
    partition = context.partition_key
    report = work_off(lake, step, compute, partition=partition, run_id=context.run_id, log=context.log.info)
    for output in step.outputs:
        name = output.table.name
        rows_in_partition, unchanged, data_version = _content(lake, output.table, partition, context.run_id)
        context.log.info(
            f"{name}: {report.added.get(name, 0):,} rows added, {report.changed.get(name, 0):,} changed, "
            f"{report.removed.get(name, 0):,} removed, {unchanged:,} unchanged"
        )
        yield dg.MaterializeResult(
            asset_key=name,
            data_version=dg.DataVersion(data_version),
            metadata={
                **sample(name),  # first, for the UI lists metadata in this order and people look at the pictures
                "dagster/table_name": name,
                "dagster/uri": lake.uri(name),
                "dagster/storage_kind": "lance",
                "dagster/partition_row_count": rows_in_partition,
                "dagster/row_count": lake.dataset(name).count_rows(),
                "dagster/column_schema": column_schema(output.table),
                "rows_added": report.added.get(name, 0),
                "rows_changed": report.changed.get(name, 0),
                "rows_removed": report.removed.get(name, 0),
                "rows_unchanged": unchanged,
                "units_worked_on": report.worked_on,
                **{f"units_{state_}": number for state_, number in report.units.items()},
                "seconds": round(report.seconds, 3),
                "step_version": output.readable_version,
            },
            check_results=[batch_counts(name, report.units)],
        )


def batch_counts(table: str, units: Mapping[str, int]) -> dg.AssetCheckResult:
    """In = done + failed + skipped + waiting, for the batch just written: nothing may be left pending."""
    return dg.AssetCheckResult(
        asset_key=table,
        check_name="batch_counts_add_up",
        passed=units["pending"] == 0,
        metadata={name: number for name, number in units.items()},
        description="every input of the batch ended as done, failed or skipped, or waits until a time that is known",
    )


def batch_counts_spec(table: str) -> dg.AssetCheckSpec:
    """The check that each partitioned asset carries."""
    return dg.AssetCheckSpec(
        "batch_counts_add_up",
        asset=table,
        description="Input = done + failed + skipped + waiting in the batch just written.",
    )


def column_schema(table: Table) -> dg.TableSchema:
    """For the UI: each column with its meaning."""
    return dg.TableSchema(
        columns=[dg.TableColumn(column.name, str(column.type), description=column.meaning) for column in table.columns]
    )


def work_off(
    lake: Lake,
    step: Step,
    compute: Compute,
    *,
    partition: str,
    run_id: str,
    log: Callable[[str], object] | None = None,
) -> Report:
    """`refresh` without Dagster: works off what is pending in the partition and returns what was done."""
    started = time.monotonic()
    report = Report()
    for _ in range(PASSES):
        pending = _pending(lake, step, partition)
        if pending:
            report.worked_on += len(pending)
            with progress(step.name, len(pending), log) as advance:
                commits = _Commits(lake, step, run_id, report)
                for outcome in _outcomes(step, compute, pending):
                    commits.take(outcome)
                    advance(1)
                commits.flush()
        # Within the pass: a duplicate whose original goes is pending in the next.
        _remove_stale(lake, step, partition, report)
        if not pending:
            break
    report.units = counts(lake, step, partition=partition)
    report.seconds = time.monotonic() - started
    if report.worked_on:
        report.ledger.write(lake, step.name, partition, run_id, units=report.worked_on, wall_seconds=report.seconds)
    return report


def _pending(lake: Lake, step: Step, partition: str) -> list[dict[str, Any]]:
    """The work list: rows of sql/operations/state.sql, in its order."""
    with _state_connection(lake, step, partition=partition) as connection:
        return connection.sql("select * from state where state = 'pending'").to_arrow_table().to_pylist()


def _outcomes(step: Step, compute: Compute, pending: list[dict[str, Any]]) -> Iterator[Outcome]:
    work = []
    for row in pending:
        unit = Unit(row["unit"], row["partition"], row["label"], row["variant"], row["provenances"], row["tries"])
        if row["skip"] is None:
            work.append(unit)
        else:
            yield Skipped(unit, "NothingToDo", row["skip"])
    for first in range(0, len(work), step.chunk):
        chunk = work[first : first + step.chunk]
        answered = 0
        for outcome in compute(chunk):
            answered += 1
            yield outcome
        if answered != len(chunk):
            raise RuntimeError(f"{step.name}: {len(chunk)} inputs were given, {answered} outcomes came back")


class _Commits:
    """Gathers outcomes and commits them when there is enough to commit."""

    def __init__(self, lake: Lake, step: Step, run_id: str, report: Report) -> None:
        self.lake, self.step, self.run_id, self.report = lake, step, run_id, report
        self._start()

    def _start(self) -> None:
        self.slices: list[list[pa.RecordBatch]] = [[] for _ in self.step.outputs]
        self.keys: list[set[str]] = [set() for _ in self.step.outputs]
        self.attempts: list[dict[str, Any]] = []
        self.bytes = 0
        self.since = time.monotonic()

    def take(self, outcome: Outcome) -> None:
        if not isinstance(outcome, Waiting) and outcome.cost is not None:
            self.report.ledger.add(outcome.cost)
        match outcome:
            case Done():
                for index, rows in enumerate(outcome.rows):
                    for batch in rows.batches:
                        self._take_batch(index, outcome.unit, rows.count, batch)
                if outcome.release is not None:
                    outcome.release()
            case Failed():
                self.attempts.append(_failed(self.step, outcome, self.run_id))
            case Skipped():
                self.attempts.append(_skipped(self.step, outcome, self.run_id))
            case Waiting():
                self.attempts.append(_waiting(self.step, outcome, self.run_id))
        if time.monotonic() - self.since >= SECONDS_PER_COMMIT:
            self.flush()

    def _take_batch(self, index: int, unit: Unit, unit_rows: int, batch: pa.RecordBatch) -> None:
        output = self.step.outputs[index]
        keys = batch.column(output.table.key).to_pylist()
        if not self.keys[index].isdisjoint(keys):
            return  # another unit of this commit made the same row; the next pass decides what this unit is
        self.keys[index].update(keys)
        made = _made_by(batch, output, unit, unit.provenances[index], unit_rows, self.run_id)
        self.slices[index].append(made)
        self.bytes += made.nbytes
        self.report.ledger.bytes_written += made.nbytes
        if self.bytes >= BYTES_PER_COMMIT:
            self.flush()

    def flush(self) -> None:
        """Outputs in their order, then attempts: whatever moment the process dies at, what is missing is seen."""
        for output, batches in zip(self.step.outputs, self.slices, strict=True):
            if batches:
                change = self.lake.upsert(output.table.name, pa.Table.from_batches(batches))
                _add(self.report.added, output.table.name, change.added)
                _add(self.report.changed, output.table.name, change.changed)
        if self.attempts:
            self.lake.upsert("attempts", pa.Table.from_pylist(self.attempts, schema=TABLES["attempts"].arrow))
        self._start()


def _made_by(
    batch: pa.RecordBatch, output: Output, unit: Unit, provenance: str, unit_rows: int, run_id: str
) -> pa.RecordBatch:
    """The batch with the columns that say what made its rows, in the table's column order."""
    made_by = {
        output.table.partition: unit.partition,
        "provenance": provenance,
        "unit_rows": unit_rows,
        "version": output.version[unit.variant],
        "run_id": run_id,
        "written_at": datetime.now(UTC),
    }
    columns = {name: batch.column(name) for name in batch.schema.names}
    columns["digest"] = pa.array(_row_digests(batch), pa.string())
    for name, value in made_by.items():
        columns[name] = pa.array([value] * batch.num_rows, output.table.arrow.field(name).type)
    return pa.RecordBatch.from_pydict(
        {name: columns[name] for name in output.table.column_names}, schema=output.table.arrow
    )


def _row_digests(batch: pa.RecordBatch) -> list[str]:
    """A hash of each row's own content. Binary values and vectors are hashed as their bytes, the rest as JSON."""
    columns = {name: _hashable(batch.column(name)) for name in sorted(batch.schema.names)}
    digests = []
    for index in range(batch.num_rows):
        hashed = hashlib.md5(usedforsecurity=False)
        for name, values in columns.items():
            value = values[index]
            hashed.update(name.encode())
            hashed.update(value if isinstance(value, bytes) else json.dumps(value, default=str).encode())
        digests.append(hashed.hexdigest())
    return digests


def _hashable(column: pa.Array) -> list[Any]:
    if not pa.types.is_fixed_size_list(column.type):
        return column.to_pylist()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
    return [vector.tobytes() for vector in vectors]


def _failed(step: Step, failed: Failed, run_id: str) -> dict[str, Any]:
    tries = failed.unit.tries + 1
    now = datetime.now(UTC)
    return _attempt(step, failed.unit, run_id, now) | {
        "outcome": "failed",
        "error_class": type(failed.error).__name__,
        # An error may quote a file name that is not text.
        "message": (str(failed.error) or repr(failed.error)).encode(errors="backslashreplace").decode(),
        "tries": tries,
        "next_try_at": policy_of(type(failed.error)).next_try(tries, now),
    }


def _skipped(step: Step, skipped: Skipped, run_id: str) -> dict[str, Any]:
    return _attempt(step, skipped.unit, run_id, datetime.now(UTC)) | {
        "outcome": "skipped",
        "error_class": skipped.reason_class,
        "message": skipped.reason,
        "related_key": skipped.related_key,
        "tries": 0,
    }


def _waiting(step: Step, waiting: Waiting, run_id: str) -> dict[str, Any]:
    return _attempt(step, waiting.unit, run_id, datetime.now(UTC)) | {
        "outcome": "waiting",
        "error_class": waiting.reason_class,
        "message": waiting.reason,
        "related_key": waiting.site,
        "tries": waiting.unit.tries + waiting.was_tried,
        "next_try_at": waiting.until,
    }


def _attempt(step: Step, unit: Unit, run_id: str, now: datetime) -> dict[str, Any]:
    return {
        "attempt_id": f"{step.name}/{unit.key}",
        "stage": step.name,
        "key": unit.key,
        "label": unit.label,
        "partition": unit.partition,
        "provenance": unit.provenances[-1],
        "run_id": run_id,
        "written_at": now,
    }


def _remove_stale(lake: Lake, step: Step, partition: str, report: Report) -> None:
    with _state_connection(lake, step, partition=partition) as connection:
        stale = connection.sql(statement("operations/stale")).fetchall()
        settled = connection.execute(statement("operations/settled_attempts"), {"stage": step.name}).fetchall()
    for index, output in enumerate(step.outputs):
        keys = [key for output_index, key, _ in stale if output_index == index]
        if keys:
            _add(report.removed, output.table.name, lake.delete(output.table.name, keys))
    if settled:
        lake.delete("attempts", [attempt_id for (attempt_id,) in settled])


@contextmanager
def _state_connection(lake: Lake, step: Step, *, partition: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the views and the table `state` that the statements of sql/operations/ read."""
    units = statement(f"operations/{step.units}")
    tables = {*tables_in(units), *(output.table.name for output in step.outputs), "attempts"}
    with lake.connect(sorted(tables), only=_only(step, partition)) as connection:
        connection.register("recipes", pa.Table.from_pylist(step.recipes(), schema=RECIPES))
        if step.declared is not None:
            connection.register("declared", step.declared)
        connection.execute(f"create temp view units as {units}")
        # Names of tables and columns cannot be bound; these come from resources.schema, never from data.
        children = " union all ".join(
            f"select {index} as output, {output.table.key} as key, {output.table.unit} as unit, "
            f"{output.table.partition} as partition, provenance, unit_rows, "
            f"{output.table.keeps_history} as keeps_history from {output.table.name}"
            for index, output in enumerate(step.outputs)
        )
        connection.execute(f"create temp view children as {children}")
        connection.register("originals", _originals(lake, step, connection))
        connection.execute(
            f"create temp table state as {statement('operations/state')}",
            {"stage": step.name, "now": datetime.now(UTC)},
        )
        yield connection


def _only(step: Step, partition: str | None) -> dict[str, str]:
    """What the statements see of a partition: its rows, and its attempts."""
    return {} if partition is None else {step.partition_column: partition, "partition": partition}


def _originals(lake: Lake, step: Step, connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Those rows of the step's first table that skipped units are duplicates of: they may lie in any batch."""
    table = step.outputs[0].table
    named = connection.execute(
        "select distinct related_key from attempts where stage = $stage and related_key is not null",
        {"stage": step.name},
    ).fetchall()
    if not named:
        return pa.table({"key": pa.array([], pa.string())})
    return lake.query(
        f"select {table.key} as key from {table.name} where {table.key} in (select unnest($keys))",
        {"keys": [key for (key,) in named]},
        tables=[table.name],
    )


def _content(lake: Lake, table: Table, partition: str, run_id: str) -> tuple[int, int, str]:
    """Number of the batch's rows, of those that other runs wrote, and a hash of what they say: equal rows leave
    everything downstream fresh."""
    found = lake.query(
        "select count(*) as n, count(*) filter (run_id is distinct from $run_id) as unchanged, "
        f"md5(string_agg({table.key} || '=' || digest, ',' order by {table.key})) as version from {table.name}",
        {"run_id": run_id},
        tables=[table.name],
        only={table.partition or "": partition},
    ).to_pylist()[0]
    return found["n"], found["unchanged"], found["version"] or "empty"


def _add(totals: dict[str, int], name: str, number: int) -> None:
    totals[name] = totals.get(name, 0) + number
