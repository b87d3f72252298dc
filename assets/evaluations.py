"""`evaluations`: what a trained model can do, measured on videos that no subset trains on."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.checkpoints import checkpoints, newest
from assets.held_out import held_out_clips
from assets.model_partitions import model_partitions
from resources.aligner import ActiveCheckpoint, Aligner
from resources.lake import Lake
from resources.lake_clips import LakeClips, index_clips
from resources.refresh import (
    Done,
    Outcome,
    Output,
    Rows,
    Skipped,
    Step,
    Unit,
    batch_counts_spec,
    digest,
    one_by_one,
    refresh,
)
from resources.samples import rows_sample
from resources.schema import EVALUATIONS

HELD_OUT = "held_out"
VERSION = "retrieval-1"


def step(lake: Lake, model: str) -> Step:
    """Rests on the checkpoint and on the held-out clips. Evaluating again never trains again."""
    row = newest(lake, model)
    held_out = held_out_clips(lake, row["snapshot"]) if row else pa.table({"clip_id": [], "content": []})
    content = digest(held_out["clip_id"].to_pylist(), held_out["content"].to_pylist())
    declared = pa.table({"model": [model], "benchmark": [HELD_OUT], "content": [content]})
    return Step(
        "evaluations", "evaluations_units", (Output(EVALUATIONS, {HELD_OUT: VERSION}),), chunk=1, declared=declared
    )


@dg.asset(
    partitions_def=model_partitions,
    deps=[checkpoints],
    group_name="model",
    pool="embed",
    kinds={"lance", "torch"},
    check_specs=[batch_counts_spec("evaluations")],
    description="Metrics of each checkpoint: retrieval both ways on the snapshot's test videos, with chance beside.",
)
def evaluations(context: dg.AssetExecutionContext, lake: Lake, aligner: Aligner) -> Iterator[dg.MaterializeResult]:
    """One row is a metric of a checkpoint on a benchmark. Changes when the checkpoint or the benchmark does."""
    model = context.partition_key

    def sample(table: str) -> dict[str, Any]:
        row = newest(lake, model)
        return rows_sample(lake, table, model) | (figures(lake, row["checkpoint_id"]) if row else {})

    yield from refresh(
        context,
        lake,
        step(lake, model),
        lambda units: one_by_one(units, lambda unit: evaluate(lake, aligner, unit)),
        sample=sample,
    )


def evaluate(lake: Lake, aligner: Aligner, unit: Unit) -> Outcome:
    """Rows for the unit, a model on the held-out clips."""
    from internvid.evaluation.run import retrieval_metrics

    row = newest(lake, unit.partition)
    assert row is not None, "without a checkpoint the unit is skipped"
    clip_ids = held_out_clips(lake, row["snapshot"])["clip_id"]
    if len(clip_ids) < 2:
        return Skipped(unit, "TooFewClips", f"{len(clip_ids)} clips in the test videos; retrieval needs at least 2")
    encoder = aligner.encoder(lake, ActiveCheckpoint(row["checkpoint_id"], row["path"], row["weights_digest"]))
    with TemporaryDirectory(prefix="internvid-") as folder:
        index = index_clips(lake, clip_ids, Path(folder, "clips.arrow"), snapshot=row["snapshot"])
        clips = LakeClips(lake, index.path, row["snapshot"])
        positions = list(range(len(clips)))
        video = encoder.encode_clips(clips, positions, batch_size=aligner.clips_per_call)
        text = encoder.encode_texts(clips.captions(positions))
    import numpy as np

    rows = [
        {
            "evaluation_id": f"{row['checkpoint_id']}/{HELD_OUT}/{metric.name}",
            "benchmark_of_model": unit.key,
            "checkpoint_id": row["checkpoint_id"],
            "benchmark": HELD_OUT,
            "metric": metric.name,
            "value": metric.value,
            "unit": metric.unit,
            "chance": metric.chance,
            "items": metric.count,
        }
        for metric in retrieval_metrics(HELD_OUT, video, text, np.arange(len(positions)))
    ]
    return Done(unit, (Rows.of(rows, EVALUATIONS),))


def figures(lake: Lake, checkpoint_id: str) -> dict[str, float]:
    """The metrics of a checkpoint by name: the UI plots them over its materialisations."""
    rows = lake.query(
        "select benchmark, metric, value from evaluations where checkpoint_id = $checkpoint_id order by metric",
        {"checkpoint_id": checkpoint_id},
        tables=["evaluations"],
    ).to_pylist()
    return {f"{row['benchmark']}/{row['metric']}": row["value"] for row in rows}
