"""Writes metrics that a command measured into `evaluations`, beside those of the stage of that name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.incremental.provenance import digest, with_provenance
from resources.incremental.stage import Rows
from resources.lake.schema import EVALUATIONS, TABLES

if TYPE_CHECKING:
    from resources.lake.store import Lake


@dataclass(frozen=True)
class EvaluatedCheckpoint:
    """A trained model of any kind. model: its partition, recipe and subset. weights_digest: of its files."""

    checkpoint_id: str
    model: str
    weights_digest: str
    path: str


@dataclass(frozen=True)
class MetricRow:
    """A metric with its unit. items: number of what it was measured over. chance: value by guessing. published: the
    paper's. protocol: of this metric, in place of that of all.
    """

    metric: str
    value: float
    unit: str
    items: int
    chance: float | None = None
    published: float | None = None
    protocol: str | None = None


@dataclass(frozen=True)
class EvaluationAbout:
    """What was measured, and how. benchmark: its name. protocol: all that decides a value beside model and data.

    named: items that the benchmark names. data_digest: of its annotations and files. version: of the method.
    """

    benchmark: str
    split: str
    protocol: str
    named: int
    data_digest: str
    version: str


def checkpoint_named(lake: Lake, checkpoint_id: str) -> EvaluatedCheckpoint:
    """Returns the checkpoint of that id from whichever table of the lake has it. Raises ValueError where none has."""
    tables = [table for table in TABLES.values() if table.key == "checkpoint_id"]
    for table in tables:
        rows = lake.known(table.name, [checkpoint_id], [str(table.partition), "weights_digest", "path"]).to_pylist()
        if rows:
            (row,) = rows
            return EvaluatedCheckpoint(checkpoint_id, row[str(table.partition)], row["weights_digest"], row["path"])
    names = ", ".join(table.name for table in tables)
    raise ValueError(f"{checkpoint_id!r} is no checkpoint of this lake: no row of {names} has that id")


def store_evaluation(
    lake: Lake, checkpoint: EvaluatedCheckpoint, about: EvaluationAbout, metrics: Sequence[MetricRow]
) -> None:
    """Writes a row for each metric; a row of an earlier evaluation of the same checkpoint and benchmark is replaced."""
    unit = f"{checkpoint.model}/{about.benchmark}"
    rows = [
        {
            "evaluation_id": f"{checkpoint.checkpoint_id}/{about.benchmark}/{metric.metric}",
            "benchmark_of_model": unit,
            "checkpoint_id": checkpoint.checkpoint_id,
            "benchmark": about.benchmark,
            "split": about.split,
            "protocol": metric.protocol or about.protocol,
            "metric": metric.metric,
            "value": metric.value,
            "unit": metric.unit,
            "chance": metric.chance,
            "published": metric.published,
            "items": metric.items,
            "named": about.named,
            "data_digest": about.data_digest,
        }
        for metric in metrics
    ]
    made_by = {
        "model": checkpoint.model,
        "provenance": digest(
            unit, checkpoint.checkpoint_id, checkpoint.weights_digest, about.data_digest, about.protocol, about.version
        ),
        "unit_rows": len(rows),
        "version": about.version,
        "run_id": None,
        "written_at": datetime.now(UTC),
    }
    batches = [with_provenance(batch, EVALUATIONS, made_by) for batch in Rows.of(rows, EVALUATIONS).batches]
    lake.upsert(EVALUATIONS.name, pa.Table.from_batches(batches))
