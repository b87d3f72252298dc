"""`evaluations`: metrics of trained models, measured on videos that no subset trains on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from assets.model.checkpoints import newest
from assets.partitions import MODEL
from internvid.evaluation.benchmarks import Benchmark, is_of_classes
from internvid.evaluation.stored_vectors import SECONDS_UNUSED
from resources.corpus.held_out import held_out_clips
from resources.incremental.declaration import Configuration, StageRun, StageScope, stage
from resources.incremental.provenance import digest
from resources.incremental.samples import rows_sample
from resources.incremental.stage import Done, Outcome, Rows, Skipped, Unit, one_by_one
from resources.lake.paths import folder_on_this_machine
from resources.lake.schema import EVALUATIONS
from resources.lake.store import Lake
from resources.lake.temporary_folders import temporary_folder
from resources.models.aligner import FRAMES, ActiveCheckpoint, Aligner
from resources.training.benchmarks import CHOICE, VECTORS_FOLDER, Benchmarks, content_digest, vector_files
from resources.training.lake_clips import LakeClips, index_clips

if TYPE_CHECKING:
    from internvid.evaluation.run import Metric

HELD_OUT = "held_out"
VERSION = "zero-shot-2"


def configure(scope: StageScope, *, aligner: Aligner, benchmarks: Benchmarks) -> Configuration:
    """Metrics depend on the checkpoint and on what is in the benchmark. A new evaluation starts no new training."""
    versions = {name: VERSION + aligner.precision_suffix for name in (HELD_OUT, *benchmarks.folders)}
    for name in benchmarks.folders:
        if benchmarks.probes and is_of_classes(name):
            versions[name] += f"+probes {' '.join(benchmarks.probes)}"
    if scope.partition is None or scope.lake is None:
        return Configuration((versions,), parameters=pa.table({}))
    row = newest(scope.lake, scope.partition)
    held_out = held_out_clips(scope.lake, row["snapshot"]) if row else pa.table({"clip_id": [], "content": []})
    contents = {HELD_OUT: _digest_of(held_out)}
    contents |= {name: _digest_of_benchmark(benchmarks, benchmarks.read(name)) for name in benchmarks.folders}
    parameters = pa.table(
        {
            "model": [scope.partition] * len(contents),
            "benchmark": list(contents),
            "content": list(contents.values()),
        }
    )
    return Configuration((versions,), chunk_size=1, parameters=parameters)


def _digest_of_benchmark(benchmarks: Benchmarks, benchmark: Benchmark) -> str:
    """Returns a digest of the benchmark, and of the train split where it is probed."""
    train = benchmarks.probe_train(benchmark)
    content = content_digest(benchmark)
    return content if train is None else digest(content, content_digest(train))


def _digest_of(held_out: pa.Table) -> str:
    return digest(held_out["clip_id"].to_pylist(), held_out["content"].to_pylist())


def _sample(lake: Lake, table: str, model: str) -> dict[str, Any]:
    row = newest(lake, model)
    columns = ("benchmark", "metric", "value", "chance", "items", "checkpoint_id")
    return rows_sample(lake, table, model, columns) | (figures(lake, model, row["checkpoint_id"]) if row else {})


@stage(
    group="model",
    outputs=(EVALUATIONS,),
    configure=configure,
    partition=MODEL,
    pool="embed",
    kinds=("lance", "pytorch"),
    resources=("aligner", "benchmarks"),
    reads=("checkpoints",),
    samples={EVALUATIONS.name: _sample},
)
def evaluations(run: StageRun, units: list[Unit], *, aligner: Aligner, benchmarks: Benchmarks) -> Iterator[Outcome]:
    """Metrics of each checkpoint, with the chance level: retrieval in both directions on the snapshot's test videos,
    and the paper's benchmarks that the user has.

    Changes when the checkpoint or the benchmark does.
    """
    yield from one_by_one(units, lambda unit: evaluate(run, aligner, benchmarks, unit))


def evaluate(run: StageRun, aligner: Aligner, benchmarks: Benchmarks, unit: Unit) -> Outcome:
    """Evaluates the unit, a model on a benchmark."""
    row = newest(run.lake, unit.partition)
    assert row is not None, "without a checkpoint the unit is skipped"
    checkpoint = ActiveCheckpoint(row["checkpoint_id"], row["path"], row["weights_digest"])
    if unit.variant == HELD_OUT:
        return _on_held_out_clips(run.lake, aligner, checkpoint, row["snapshot"], unit)
    return _on_benchmark(run, aligner, checkpoint, benchmarks, unit)


def _on_held_out_clips(
    lake: Lake, aligner: Aligner, checkpoint: ActiveCheckpoint, snapshot: str, unit: Unit
) -> Outcome:
    import numpy as np

    from internvid.evaluation.run import retrieval_metrics

    held_out = held_out_clips(lake, snapshot)
    clip_ids = held_out["clip_id"]
    if len(clip_ids) < 2:
        return Skipped(unit, "TooFewClips", f"{len(clip_ids)} clips in the test videos; retrieval needs at least 2")
    encoder = aligner.encoder(lake, checkpoint)
    with temporary_folder() as folder:
        index = index_clips(lake, clip_ids, folder / "clips.arrow", snapshot=snapshot)
        clips = LakeClips(lake, index.path, snapshot)
        positions = list(range(len(clips)))
        video = encoder.encode_clips(clips, positions, batch_size=aligner.clips_per_call)
        text = encoder.encode_texts(clips.captions(positions))
    about = {
        "split": "test",
        "protocol": protocol(encoder.frames, FRAMES, aligner),
        "named": len(clip_ids),
        "data_digest": _digest_of(held_out),
    }
    return _rows(unit, checkpoint, retrieval_metrics(HELD_OUT, video, text, np.arange(len(positions))), about)


def _on_benchmark(
    run: StageRun, aligner: Aligner, checkpoint: ActiveCheckpoint, benchmarks: Benchmarks, unit: Unit
) -> Outcome:
    from internvid.evaluation.run import evaluate as evaluate_on

    benchmark = benchmarks.read(unit.variant)
    encoder = aligner.encoder(run.lake, checkpoint)
    folder = folder_on_this_machine(run.lake.root, VECTORS_FOLDER)
    evaluation = evaluate_on(
        encoder,
        benchmark,
        benchmarks.frames,
        choice=CHOICE,
        probe_train=benchmarks.probe_train(benchmark),
        probes=benchmarks.probes,
        vector_files=vector_files(
            folder, aligner.version(checkpoint), encoder.frames, CHOICE, seconds_unused=SECONDS_UNUSED
        ),
    )
    for failed in evaluation.failed:
        run.log(f"{benchmark.title}: {failed.video} could not be read: {failed.error}")
    for note in evaluation.notes:
        run.log(f"{benchmark.title}: {note}")
    about = {
        "split": evaluation.split,
        "protocol": protocol(evaluation.frames, evaluation.choice, aligner),
        "named": evaluation.named,
        "data_digest": _digest_of_benchmark(benchmarks, benchmark),
    }
    return _rows(unit, checkpoint, evaluation.metrics, about)


def protocol(frames: int, choice: str, aligner: Aligner) -> str:
    """Returns how the vectors behind the metrics were made, readable."""
    return f"{frames} frames ({choice}), {aligner.resolved_precision}"


def _rows(unit: Unit, checkpoint: ActiveCheckpoint, metrics: Sequence[Metric], about: Mapping[str, Any]) -> Done:
    checkpoint_id = checkpoint.checkpoint_id
    name = f"{checkpoint_id}/{unit.variant}"
    rows = rows_of_metrics(name, unit.key, checkpoint_id, unit.variant, metrics, about)
    return Done(unit, (Rows.of(rows, EVALUATIONS),))


def rows_of_metrics(
    name: str,
    unit: str,
    checkpoint_id: str,
    benchmark: str,
    metrics: Sequence[Metric],
    about: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Returns rows of the table evaluations. name: of the keys, before the metric. about: further columns."""
    from internvid.evaluation.published import PAPERS_BEST, published_beside

    known = published_beside(benchmark, [metric.name for metric in metrics])
    papers = {figure.metric: figure.value for figure in known if figure.model == PAPERS_BEST}
    return [
        {
            "evaluation_id": f"{name}/{metric.name}",
            "benchmark_of_model": unit,
            "checkpoint_id": checkpoint_id,
            "benchmark": benchmark,
            "metric": metric.name,
            "value": metric.value,
            "unit": metric.unit,
            "chance": metric.chance,
            "published": papers.get(metric.name),
            "items": metric.count,
            **about,
        }
        for metric in metrics
    ]


def figures(lake: Lake, model: str, checkpoint_id: str) -> dict[str, float]:
    """Returns the metrics of a model's checkpoint by name; the UI plots them over the materialisations."""
    rows = lake.query(
        "select benchmark, metric, value from evaluations where checkpoint_id = $checkpoint_id order by metric",
        {"checkpoint_id": checkpoint_id},
        tables=["evaluations"],
        only={"model": model},
    ).to_pylist()
    return {f"{row['benchmark']}/{row['metric']}": row["value"] for row in rows}
