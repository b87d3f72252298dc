"""`finetuned_checkpoints`: checkpoints that were fine-tuned on a benchmark's train split.

They are rows of the table `checkpoints`, and so can be evaluated, activated and exported as any other. Whoever
materializes the asset, in the UI or by `internvid finetune`, names the checkpoint and the benchmark's folder: no
partition of the lake has these, so it is no stage, but its work is done by the same function.
"""

import re
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa

from internvid.evaluation.benchmarks import Benchmark
from internvid.viclip.fine_tuning_recipe import FINE_TUNINGS, FineTuning
from resources.incremental.commits import Report
from resources.incremental.provenance import digest
from resources.incremental.runner import process_pending
from resources.incremental.stage import Done, Outcome, Output, Rows, Stage, Unit, one_by_one
from resources.lake.schema import CHECKPOINTS
from resources.lake.store import Lake
from resources.models.activation import checkpoint_named
from resources.models.aligner import ActiveCheckpoint
from resources.training.benchmarks import Benchmarks, content_digest
from resources.training.checkpoint_files import local_folder, publish_folder, remove_states, training_folder
from resources.training.checkpoint_rows import newest_row
from resources.training.trainer import Trainer

ASSET = "finetuned_checkpoints"
MEASURED = ("clips", "steps", "samples", "seconds", "samples_per_second", "waiting_share", "memory_bytes", "loss",
            "accuracy")  # fmt: skip


class FineTuningConfig(dg.Config):
    """checkpoint: an id of the table checkpoints, or a checkpoint's folder. benchmark: its name. data: its folder.
    changes: of the recipe's fields.
    """

    checkpoint: str
    benchmark: str
    data: str
    changes: dict[str, str] = {}


@dg.asset(deps=["checkpoints"], group_name="model", kinds={"pytorch", "lance"}, pool="train")
def finetuned_checkpoints(
    context: dg.AssetExecutionContext,
    config: FineTuningConfig,
    lake: Lake,
    trainer: Trainer,
    benchmarks: Benchmarks,
) -> dg.MaterializeResult:
    """Checkpoints that were fine-tuned on the train split of a benchmark that lies in a folder.

    One row of the table `checkpoints` is one fine-tuned checkpoint. Changes with its base, recipe and videos.
    """
    if config.benchmark not in FINE_TUNINGS:
        raise ValueError(f"there is no recipe for {config.benchmark!r}; there are {', '.join(FINE_TUNINGS)}")
    recipe = FINE_TUNINGS[config.benchmark].changed(config.changes)
    train = benchmarks.model_copy(update={"folders": {config.benchmark: config.data}}).read(config.benchmark, "train")
    base = checkpoint_named(lake, config.checkpoint)
    report = fine_tune(context, lake, trainer, recipe, train, base, decoding_workers=benchmarks.workers)
    row = newest_tuned(lake, model_of(recipe, base))
    if row is None or report.units.get("failed"):
        raise dg.Failure(
            f"{base.checkpoint_id} was not fine-tuned on {train.title}: the table attempts has the reason",
            allow_retries=False,
        )
    shown = {name: row[name] for name in ("checkpoint_id", "base_checkpoint_id", "benchmark", *MEASURED)}
    changes = {"added": report.added, "changed": report.changed, "removed": report.removed}
    counts = {f"rows_{change}": rows.get(CHECKPOINTS.name, 0) for change, rows in changes.items()}
    metadata: dict[str, Any] = {"path": dg.MetadataValue.path(row["path"]), **shown, **counts}
    return dg.MaterializeResult(metadata=metadata)


def fine_tune(
    context: dg.AssetExecutionContext,
    lake: Lake,
    trainer: Trainer,
    recipe: FineTuning,
    benchmark: Benchmark,
    base: ActiveCheckpoint,
    *,
    decoding_workers: int,
) -> Report:
    """Fine-tunes the base on the benchmark where that is not done; an interrupted fine-tuning is continued.

    benchmark: its train split.
    """
    model = model_of(recipe, base)
    inputs = digest(base.digest, content_digest(benchmark))
    stage = Stage(
        ASSET,
        ASSET,
        (Output(CHECKPOINTS, {"": trainer.as_tuned(recipe).version}),),
        chunk_size=1,
        parameters=pa.table({"model": [model], "inputs": [inputs]}),
    )

    def compute(units: list[Unit]) -> Iterator[Outcome]:
        remove_states(lake)
        yield from one_by_one(
            units, lambda unit: _tuned(context, lake, trainer, recipe, benchmark, base, unit, decoding_workers)
        )

    report = process_pending(lake, stage, compute, partition=model, run_id=context.run_id, log=context.log.info)
    remove_states(lake)
    return report


def model_of(recipe: FineTuning, base: ActiveCheckpoint) -> str:
    """Returns what stands as `model` in the row."""
    return f"{recipe.name}|{base.checkpoint_id}"


def _tuned(
    context: dg.AssetExecutionContext,
    lake: Lake,
    trainer: Trainer,
    recipe: FineTuning,
    benchmark: Benchmark,
    base: ActiveCheckpoint,
    unit: Unit,
    decoding_workers: int,
) -> Outcome:
    provenance = unit.provenances[0]
    base_name = re.sub(r"[^\w.-]+", "_", base.checkpoint_id)  # of a model of the hub it has a slash
    checkpoint_id = f"{recipe.name}-{base_name}-{provenance[:8]}"
    of_base = lake.known(CHECKPOINTS.name, [base.checkpoint_id], ["subset", "snapshot"]).to_pylist()
    seen = of_base[0] if of_base else {"subset": None, "snapshot": None}
    tuned = trainer.fine_tune(
        context,
        lake,
        recipe,
        benchmark,
        base=local_folder(lake, base.path),
        folder=training_folder(lake, provenance),
        decoding_workers=decoding_workers,
        receipt={
            "checkpoint_id": checkpoint_id,
            "base_checkpoint_id": base.checkpoint_id,
            "base_digest": base.digest,
            "benchmark": benchmark.name,
            "split": benchmark.split,
            "subset": seen["subset"],
            "snapshot": seen["snapshot"],
            "provenance": provenance,
            "run_id": context.run_id,
        },
    )
    row = {
        "checkpoint_id": checkpoint_id,
        "recipe": recipe.name,
        "subset": seen["subset"],
        "snapshot": seen["snapshot"],
        "base_checkpoint_id": base.checkpoint_id,
        "benchmark": benchmark.name,
        "path": publish_folder(lake, tuned.checkpoint, checkpoint_id),
        "weights_digest": tuned.digest,
        "peak_share": None,
        **{name: getattr(tuned, name) for name in MEASURED},
    }
    return Done(unit, (Rows.of([row], CHECKPOINTS),))


def newest_tuned(lake: Lake, model: str) -> dict[str, Any] | None:
    """Returns the row of the newest checkpoint that was fine-tuned so; None where there is none."""
    return newest_row(lake, CHECKPOINTS, model)
