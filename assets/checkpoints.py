"""`checkpoints`: ViCLIP trained by a recipe on a subset, in a process group of its own."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.active_checkpoint import make_active
from assets.held_out import clips_to_train_on
from assets.model_partitions import model_partitions
from internvid.viclip.recipes import RECIPES
from resources.aligner import ActiveCheckpoint, Aligner
from resources.checkpoint_files import publish_folder, training_folder
from resources.lake import Lake
from resources.refresh import Done, Outcome, Output, Rows, Skipped, Step, Unit, batch_counts_spec, one_by_one, refresh
from resources.schema import CHECKPOINTS
from resources.trainer import Trainer

FEWEST_CLIPS = 2  # a clip is told from others by its caption: with one there is nothing to tell apart


class TrainingConfig(dg.Config):
    """keep_seen: write the ids of all clips that the model saw into its folder, with how often."""

    keep_seen: bool = False


def step(model: str, trainer: Trainer) -> Step:
    """The version is the recipe's numbers; clips, frames and captions come in as the subset's content."""
    recipe, subset = model.split("|")
    declared = pa.table({"model": [model], "subset": [subset]})
    output = Output(CHECKPOINTS, {"": trainer.as_trained(RECIPES[recipe]).version})
    return Step("checkpoints", "checkpoints_units", (output,), chunk=1, declared=declared)


@dg.asset(
    partitions_def=model_partitions,
    deps=[dg.AssetKey("subsets")],  # a model on its subset alone: Dagster maps the partition's dimension
    group_name="model",
    pool="train",
    kinds={"torch", "lance"},
    check_specs=[batch_counts_spec("checkpoints")],
    description="A ViCLIP trained by a recipe on a subset: safetensors, configuration, vocabulary and receipt.",
)
def checkpoints(
    context: dg.AssetExecutionContext, config: TrainingConfig, lake: Lake, trainer: Trainer, aligner: Aligner
) -> Iterator[dg.MaterializeResult]:
    """One row is a trained model. Changes when a clip, frame or caption of its subset or the recipe does."""
    yield from refresh(
        context,
        lake,
        step(context.partition_key, trainer),
        lambda units: one_by_one(units, lambda unit: train(context, lake, trainer, unit, keep_seen=config.keep_seen)),
        sample=lambda table: metrics_of(lake, context.partition_key),
    )
    row = newest(lake, context.partition_key)
    if row is not None and aligner.active(lake) is None:
        first = ActiveCheckpoint(row["checkpoint_id"], row["path"], row["weights_digest"])
        make_active(context.instance, lake, first)
        context.log.info(f"{first.checkpoint_id} is the first model of this lake, so it is active now")


def train(context: dg.AssetExecutionContext, lake: Lake, trainer: Trainer, unit: Unit, *, keep_seen: bool) -> Outcome:
    """Trains the unit, a recipe on a subset; goes on where a killed training of the same was."""
    recipe_name, subset = unit.key.split("|")
    recipe = RECIPES[recipe_name]
    made_from = lake.query(
        "select snapshot, parameters from subset_snapshots where subset = $subset",
        {"subset": subset},
        tables=["subset_snapshots"],
    ).to_pylist()[0]
    chosen, held_out = clips_to_train_on(lake, subset, made_from["snapshot"])
    if held_out:
        context.log.info(f"{held_out:,} clips are left out: models are measured on their videos")
    if len(chosen) < FEWEST_CLIPS:
        return Skipped(
            unit, "TooFewClips", f"{len(chosen)} clips to train on; a clip is told from others, so at least 2"
        )
    provenance = unit.provenances[0]
    checkpoint_id = f"{recipe_name}-{subset}-{provenance[:8]}"
    folder = training_folder(lake, provenance)
    receipt = {
        "checkpoint_id": checkpoint_id,
        "subset": subset,
        "clips_left_out_as_held_out": held_out,
        "subset_parameters": json.loads(made_from["parameters"]),
        "snapshot": made_from["snapshot"],
        "provenance": provenance,
        "run_id": context.run_id,
    }
    trained = trainer.train(
        context,
        lake,
        recipe,
        chosen,
        snapshot=made_from["snapshot"],
        folder=folder,
        receipt=receipt,
        keep_seen=keep_seen,
    )
    row = {
        "checkpoint_id": checkpoint_id,
        "recipe": recipe_name,
        "subset": subset,
        "snapshot": made_from["snapshot"],
        "path": publish_folder(lake, trained.checkpoint, checkpoint_id),
        "weights_digest": trained.digest,
        "clips": trained.clips,
        **{name: getattr(trained, name) for name in ("steps", "samples", "seconds", "loss", "accuracy")},
    }
    return Done(unit, (Rows.of([row], CHECKPOINTS),))


def newest(lake: Lake, model: str) -> dict[str, Any] | None:
    """The row of the model's newest checkpoint; None where there is none."""
    rows = lake.query(
        "select * from checkpoints where model = $model order by written_at desc, checkpoint_id limit 1",
        {"model": model},
        tables=["checkpoints"],
    ).to_pylist()
    return rows[0] if rows else None


def metrics_of(lake: Lake, model: str) -> dict[str, Any]:
    """What the UI shows of a model, and plots over its materialisations."""
    row = newest(lake, model)
    if row is None:
        return {}
    shown = ("checkpoint_id", "snapshot", "clips", "steps", "samples", "loss", "accuracy")
    return {"path": dg.MetadataValue.path(row["path"]), **{name: row[name] for name in shown}}
