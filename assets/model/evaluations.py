"""`evaluations`: metrics of trained models, measured on videos that no subset trains on."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from assets.model.checkpoints import newest
from assets.partitions import MODEL
from resources.corpus.held_out import held_out_clips
from resources.incremental.declaration import Configuration, StageRun, StageScope, stage
from resources.incremental.provenance import digest
from resources.incremental.samples import rows_sample
from resources.incremental.stage import Done, Outcome, Rows, Skipped, Unit, one_by_one
from resources.lake.schema import EVALUATIONS
from resources.lake.store import Lake
from resources.lake.temporary_folders import temporary_folder
from resources.models.aligner import ActiveCheckpoint, Aligner
from resources.training.lake_clips import LakeClips, index_clips

HELD_OUT = "held_out"
VERSION = "retrieval-1"


def configure(scope: StageScope, *, aligner: Aligner) -> Configuration:
    """Metrics depend on the checkpoint and on the held-out clips. A new evaluation starts no new training."""
    if scope.partition is None or scope.lake is None:
        return Configuration(({HELD_OUT: VERSION},), parameters=pa.table({}))
    row = newest(scope.lake, scope.partition)
    held_out = held_out_clips(scope.lake, row["snapshot"]) if row else pa.table({"clip_id": [], "content": []})
    content = digest(held_out["clip_id"].to_pylist(), held_out["content"].to_pylist())
    parameters = pa.table({"model": [scope.partition], "benchmark": [HELD_OUT], "content": [content]})
    return Configuration(({HELD_OUT: VERSION + aligner.precision_suffix},), chunk_size=1, parameters=parameters)


def _sample(lake: Lake, table: str, model: str) -> dict[str, Any]:
    row = newest(lake, model)
    columns = ("benchmark", "metric", "value", "chance", "items", "checkpoint_id")
    return rows_sample(lake, table, model, columns) | (figures(lake, row["checkpoint_id"]) if row else {})


@stage(
    group="model",
    outputs=(EVALUATIONS,),
    configure=configure,
    partition=MODEL,
    pool="embed",
    kinds=("lance", "pytorch"),
    resources=("aligner",),
    reads=("checkpoints",),
    samples={EVALUATIONS.name: _sample},
)
def evaluations(run: StageRun, units: list[Unit], *, aligner: Aligner) -> Iterator[Outcome]:
    """Metrics of each checkpoint: retrieval in both directions on the snapshot's test videos, with the chance level.

    Changes when the checkpoint or the benchmark does.
    """
    yield from one_by_one(units, lambda unit: evaluate(run.lake, aligner, unit))


def evaluate(lake: Lake, aligner: Aligner, unit: Unit) -> Outcome:
    """Evaluates the unit, a model, on the held-out clips."""
    from internvid.evaluation.run import retrieval_metrics

    row = newest(lake, unit.partition)
    assert row is not None, "without a checkpoint the unit is skipped"
    clip_ids = held_out_clips(lake, row["snapshot"])["clip_id"]
    if len(clip_ids) < 2:
        return Skipped(unit, "TooFewClips", f"{len(clip_ids)} clips in the test videos; retrieval needs at least 2")
    encoder = aligner.encoder(lake, ActiveCheckpoint(row["checkpoint_id"], row["path"], row["weights_digest"]))
    with temporary_folder() as folder:
        index = index_clips(lake, clip_ids, folder / "clips.arrow", snapshot=row["snapshot"])
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
    """Returns the metrics of a checkpoint by name; the UI plots them over the materialisations."""
    rows = lake.query(
        "select benchmark, metric, value from evaluations where checkpoint_id = $checkpoint_id order by metric",
        {"checkpoint_id": checkpoint_id},
        tables=["evaluations"],
    ).to_pylist()
    return {f"{row['benchmark']}/{row['metric']}": row["value"] for row in rows}
