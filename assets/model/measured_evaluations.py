"""Evaluations that the command `internvid evaluate` makes: rows of the table `evaluations`, each made once.

No partition of the lake has a folder and a protocol that a user names, so this is no stage, but its work is done by the
same function. As `model` these rows have the checkpoint's id, which is no partition of Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa

from assets.model.evaluations import rows_of_metrics
from resources.incremental.provenance import digest
from resources.incremental.runner import process_pending
from resources.incremental.stage import Done, Outcome, Output, Rows, Stage, Unit
from resources.lake.schema import EVALUATIONS
from resources.lake.store import Lake

if TYPE_CHECKING:
    from internvid.evaluation.run import Evaluation, Metric

NAME = "measured_evaluations"
VERSION = "evaluate-1"


@dataclass(frozen=True)
class Measurement:
    """What is measured: a checkpoint on a split of a benchmark by a protocol.

    weights_digest: of the checkpoint. protocol: in words, all that decides a metric beside model and data. data_digest:
    of the benchmark's content.
    """

    checkpoint_id: str
    weights_digest: str
    benchmark: str
    split: str
    protocol: str
    data_digest: str

    @property
    def unit(self) -> str:
        return f"{self.checkpoint_id}/{self.benchmark}/{self.split}/{self.protocol}"


def measured_once(lake: Lake, measurement: Measurement, measure: Callable[[], Evaluation]) -> Evaluation | None:
    """Measures, and writes a row for each metric; returns None where the table has them already.

    An error of `measure` is raised: nothing is written.
    """
    inputs = digest(measurement.weights_digest, measurement.data_digest)
    parameters = {"unit": [measurement.unit], "checkpoint_id": [measurement.checkpoint_id], "inputs": [inputs]}
    stage = Stage(NAME, NAME, (Output(EVALUATIONS, {"": VERSION}),), chunk_size=1, parameters=pa.table(parameters))
    made: list[Evaluation] = []

    def compute(units: list[Unit]) -> Iterator[Outcome]:
        for unit in units:
            evaluation = measure()
            made.append(evaluation)
            yield Done(unit, (Rows.of(_rows(measurement, evaluation), EVALUATIONS),))

    run_id = f"internvid/{uuid4().hex[:16]}"
    process_pending(lake, stage, compute, partition=measurement.checkpoint_id, run_id=run_id)
    return made[0] if made else None


def stored_metrics(lake: Lake, measurement: Measurement) -> list[Metric]:
    """Returns the metrics that are in the table."""
    from internvid.evaluation.run import Metric

    rows = lake.query(
        "select metric, value, items, chance, unit from evaluations where benchmark_of_model = $unit "
        "order by written_at, evaluation_id",
        {"unit": measurement.unit},
        tables=["evaluations"],
        only={"model": measurement.checkpoint_id},
    ).to_pylist()
    return [
        Metric(measurement.benchmark, row["metric"], row["value"], row["items"], row["chance"], row["unit"])
        for row in rows
    ]


def _rows(measurement: Measurement, evaluation: Evaluation) -> Sequence[dict[str, Any]]:
    about = {
        "split": measurement.split,
        "protocol": measurement.protocol,
        "named": evaluation.named,
        "data_digest": measurement.data_digest,
    }
    name = f"{measurement.checkpoint_id}/{measurement.benchmark}/{measurement.split}/{digest(measurement.protocol)[:8]}"
    return rows_of_metrics(
        name, measurement.unit, measurement.checkpoint_id, measurement.benchmark, evaluation.metrics, about
    )
