"""Defines stage, unit and outcome, the terms of incremental work.

A *stage* makes rows from *units*. A unit is one input: a source, a video, a frame at one scale, a clip. The provenance
of a unit's rows is a hash of (the unit, its inputs' digests, the stage's version). A unit is

* done: every output table holds all of its rows at that provenance, and no `attempts` row asks for better ones by now,
* failed or skipped: an `attempts` row at that provenance says so,
* waiting: an `attempts` row gives the time before which it is not tried, such as the end of its site's cooldown,
* pending: in every other case. The pending units are what a run processes.

`state` reads the state of the units, `runner` processes them, `commits` writes the results, `declaration` declares a
stage, and `materialization` shows it in the Dagster UI.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from resources.incremental.costs import FREE, Cost
from resources.incremental.faults import system_fault_of
from resources.lake.schema import Table
from resources.lake.statements import FOLDER, statement


@dataclass(frozen=True)
class Output:
    """A table that a stage fills, and the version of what the stage does for that table, by variant of the unit."""

    table: Table
    version: Mapping[str, str]

    @property
    def readable_version(self) -> str:
        """The versions of all variants, for people and as the asset's code version."""
        return "; ".join(sorted(set(self.version.values())))


@dataclass(frozen=True)
class Stage:
    """A stage as it is configured now.

    name: as in the table attempts. units: name of the file in sql/units/ that lists the stage's units, or a path.
    chunk_size: upper bound on units per call of the stage's function. parameters: values that the units file cannot
    read from the lake; the file reads them as the relation `parameters`. is_divisible: whether smaller chunks give the
    same rows as fast.
    """

    name: str
    units: str
    outputs: tuple[Output, ...]
    chunk_size: int
    parameters: pa.Table | None = None
    is_divisible: bool = False

    @property
    def units_sql(self) -> str:
        return units_sql(self.units)

    @property
    def partition_column(self) -> str:
        """The column of the stage's tables that holds the Dagster partition."""
        (column,) = {output.table.partition for output in self.outputs}
        assert column is not None, f"{self.name} fills a table without partitions"
        return column

    def stage_versions(self) -> list[dict[str, Any]]:
        """Returns the version of each output and variant. A later output depends on the earlier ones of its stage."""
        rows = []
        for variant in self.outputs[0].version:
            versions = [output.version[variant] for output in self.outputs]
            rows += [
                {"output": index, "variant": variant, "version": "|".join(versions[: index + 1])}
                for index in range(len(self.outputs))
            ]
        return rows


def units_sql(units: str) -> str:
    """Returns the statement that lists a stage's units. units: name of a file in sql/units/, or the path of a file."""
    if units.endswith(".sql"):
        return Path(units).read_text(encoding="utf-8")
    return statement(f"units/{units}")


def units_file(units: str) -> Path:
    """Returns the file of that statement."""
    return Path(units) if units.endswith(".sql") else FOLDER / "units" / f"{units}.sql"


@dataclass(frozen=True)
class Unit:
    """One input. provenances: provenance of its rows, per output of the stage. tries: number of failed tries so far."""

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
        """Converts dicts with exactly the columns of `table.content`. Raises ValueError for other columns."""
        schema = table.content
        for row in rows:
            if wrong := set(row) ^ set(schema.names):
                raise ValueError(f"{table.name}: unknown or missing columns: {', '.join(sorted(wrong))}")
        return cls(len(rows), [pa.RecordBatch.from_pylist([dict(row) for row in rows], schema=schema)])


@dataclass(frozen=True)
class Done:
    """The unit's rows, per output of the stage; `release` is called once they have been read.

    improvable: why a later try may give better rows. The unit is done, and pending again when its class's rule says.
    """

    unit: Unit
    rows: tuple[Rows, ...]
    release: Callable[[], None] | None = None
    cost: Cost = FREE
    improvable: Exception | None = None


@dataclass(frozen=True)
class Failed:
    """An error of this unit alone: it becomes a row of attempts, and the other units are processed."""

    unit: Unit
    error: BaseException
    cost: Cost = FREE


@dataclass(frozen=True)
class Skipped:
    """The unit is not processed, for a reason.

    related_key: key of the row that the reason names, such as the original of a duplicate.
    cost: cost of finding the reason, where the input had to be read.
    """

    unit: Unit
    reason_class: str
    reason: str
    related_key: str | None = None
    cost: Cost | None = None


@dataclass(frozen=True)
class Waiting:
    """The unit is not tried before `until`, because `site` is in a cooldown.

    was_tried: whether the site refused this very unit.
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
    """Computes units one at a time; an error becomes that unit's failure, and the next units are computed.

    An error of the system (a full disk, a missing model) is raised: no unit caused it.
    """
    for unit in units:
        try:
            yield compute(unit)
        except Exception as error:
            if fault := system_fault_of(error):
                raise fault from error
            yield Failed(unit, error)


def together_or_one_by_one(units: list[Unit], compute: Callable[[list[Unit]], list[Outcome]]) -> Iterator[Outcome]:
    """Computes a chunk in one call, as models are fastest; if it fails, each unit separately, to isolate the errors."""
    try:
        outcomes = compute(units)
    except Exception as error:
        if fault := system_fault_of(error):
            raise fault from error
        yield from one_by_one(units, lambda unit: compute([unit])[0])
    else:
        yield from outcomes
