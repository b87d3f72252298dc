"""`checkpoints`: ViCLIP trained by a recipe on a subset, in a separate process group."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.partitions import MODEL
from internvid.viclip.recipes import RECIPES
from resources.corpus.held_out import clips_to_train_on
from resources.incremental.declaration import Configuration, StageRun, StageScope, stage
from resources.incremental.stage import Done, Outcome, Rows, Skipped, Unit, one_by_one
from resources.lake.schema import CHECKPOINTS
from resources.lake.store import Lake
from resources.models.activation import make_active
from resources.models.aligner import ActiveCheckpoint, Aligner
from resources.training.checkpoint_files import publish_folder, remove_states, training_folder
from resources.training.checkpoint_rows import made_from, newest_row
from resources.training.trainer import Trainer

# What training measured of itself: the last ones say whether its device waited.
MEASURED = (
    "steps", "samples", "seconds", "loss", "accuracy", "samples_per_second", "waiting_share", "peak_share",
    "memory_bytes",
)  # fmt: skip
MIN_CLIPS = 2  # the contrastive loss compares a clip with other clips


class CheckpointConfig(dg.Config):
    """keep_seen: write the ids of all clips that the model was trained on into its folder, each with a count."""

    keep_seen: bool = False


def configure(scope: StageScope, *, trainer: Trainer, **needed: object) -> Configuration:
    """The version names the recipe's parameters; the subset's content covers clips, frames and captions."""
    if scope.partition is None:
        return Configuration(({},), parameters=pa.table({}))
    recipe, subset = scope.partition.split("|")
    return Configuration(
        ({"": trainer.as_trained(RECIPES[recipe]).version},),
        chunk_size=1,
        parameters=pa.table({"model": [scope.partition], "subset": [subset]}),
    )


def _sample(lake: Lake, table: str, model: str) -> dict[str, Any]:
    return metrics_of(lake, model)


def activate_first(run: StageRun, *, aligner: Aligner, **needed: object) -> None:
    """Makes the checkpoint the active one of a lake that has none."""
    row = newest(run.lake, run.partition)
    if row is not None and aligner.active(run.lake) is None:
        first = ActiveCheckpoint(row["checkpoint_id"], row["path"], row["weights_digest"])
        assert run.context is not None
        make_active(run.context.instance, run.lake, first)
        run.log(f"{first.checkpoint_id} is the first model of this lake, so it is active now")


@stage(
    group="model",
    outputs=(CHECKPOINTS,),
    configure=configure,
    partition=MODEL,
    pool="train",
    kinds=("pytorch", "lance"),
    resources=("trainer", "aligner"),
    reads=("subsets",),  # a model on its subset alone: Dagster maps the partition's dimension
    samples={CHECKPOINTS.name: _sample},
    config=CheckpointConfig,
    finish=activate_first,
)
def checkpoints(run: StageRun, units: list[Unit], *, trainer: Trainer, aligner: Aligner) -> Iterator[Outcome]:
    """A ViCLIP trained by a recipe on a subset: safetensors, configuration, vocabulary and receipt.

    Changes when a clip, frame or caption of its subset or the recipe does.
    """
    keep_seen = run.config.keep_seen
    remove_states(run.lake)
    yield from one_by_one(units, lambda unit: train(run, trainer, unit, keep_seen=keep_seen))


def train(run: StageRun, trainer: Trainer, unit: Unit, *, keep_seen: bool) -> Outcome:
    """Trains the unit, a recipe on a subset. An interrupted training of the same unit continues from its last save."""
    lake, context = run.lake, run.context
    assert context is not None, "training reports through Dagster"
    recipe_name, subset = unit.key.split("|")
    recipe = RECIPES[recipe_name]
    made = made_from(lake, subset)
    assert made is not None, "without a subset the unit is skipped"
    chosen, held_out = clips_to_train_on(lake, subset, made["snapshot"])
    if held_out:
        context.log.info(f"{held_out:,} clips are left out: models are measured on their videos")
    if len(chosen) < MIN_CLIPS:
        return Skipped(
            unit, "TooFewClips", f"{len(chosen)} clips to train on; the contrastive loss needs at least {MIN_CLIPS}"
        )
    provenance = unit.provenances[0]
    checkpoint_id = f"{recipe_name}-{subset}-{provenance[:8]}"
    folder = training_folder(lake, provenance)
    receipt = {
        "checkpoint_id": checkpoint_id,
        "subset": subset,
        "clips_left_out_as_held_out": held_out,
        "subset_parameters": json.loads(made["parameters"]),
        "snapshot": made["snapshot"],
        "provenance": provenance,
        "run_id": context.run_id,
    }
    trained = trainer.train(
        context,
        lake,
        recipe,
        chosen["clip_id"],
        snapshot=made["snapshot"],
        folder=folder,
        receipt=receipt,
        keep_seen=keep_seen,
    )
    row = {
        "checkpoint_id": checkpoint_id,
        "recipe": recipe_name,
        "subset": subset,
        "snapshot": made["snapshot"],
        "path": publish_folder(lake, trained.checkpoint, checkpoint_id),
        "weights_digest": trained.digest,
        "base_checkpoint_id": None,
        "benchmark": None,
        "clips": trained.clips,
        **{name: getattr(trained, name) for name in MEASURED},
    }
    return Done(unit, (Rows.of([row], CHECKPOINTS),))


def newest(lake: Lake, model: str) -> dict[str, Any] | None:
    """The row of the model's newest checkpoint; None where there is none."""
    return newest_row(lake, CHECKPOINTS, model)


def metrics_of(lake: Lake, model: str) -> dict[str, Any]:
    """Returns the newest checkpoint's metrics, which the UI plots over the materialisations."""
    row = newest(lake, model)
    if row is None:
        return {}
    shown = ("checkpoint_id", "snapshot", "clips", *MEASURED)
    measured = {name: row[name] for name in shown if row[name] is not None}
    return {"path": dg.MetadataValue.path(row["path"]), **measured}
