"""`generation_checkpoints`: models that generate videos from text, trained by a recipe on a subset."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.partitions import GENERATOR
from internvid.batches import in_batches
from internvid.generation.recipe import GENERATION_RECIPES, GenerationRecipe
from internvid.generation.unreadable import unreadable_clips as listed_unreadable
from resources.corpus.held_out import clips_to_train_on
from resources.incremental import attempts
from resources.incremental.attempts import Unusable
from resources.incremental.declaration import Configuration, StageRun, StageScope, stage
from resources.incremental.stage import Done, Outcome, Rows, Skipped, Unit, one_by_one
from resources.lake.schema import GENERATION_CHECKPOINTS
from resources.lake.store import Lake
from resources.training.checkpoint_files import publish_folder, remove_states, training_folder
from resources.training.checkpoint_rows import made_from, newest_row
from resources.training.trainer import TrainedGenerator, Trainer

CLIPS_STAGE = "generation_clips"  # in attempts: clips that were left out of a training, for they cannot be read
ROWS_PER_WRITE = 10_000
MEASURED = ("clips", "steps", "samples", "seconds", "loss")


def configure(scope: StageScope, *, trainer: Trainer) -> Configuration:
    """The version names the recipe and its image model; the subset's content covers clips, frames and captions."""
    if scope.partition is None:
        return Configuration(({},), parameters=pa.table({}))
    recipe_name, subset = scope.partition.split("|")
    recipe = trainer.generator_as_trained(GENERATION_RECIPES[recipe_name])
    version = "+".join(filter(None, (recipe.version, image_model_of(recipe))))
    parameters = pa.table({"generator": [scope.partition], "subset": [subset]})
    return Configuration(({"": version},), chunk_size=1, parameters=parameters)


def image_model_of(recipe: GenerationRecipe) -> str | None:
    """Returns name and version of the image model that the recipe begins with; None where it makes a new one."""
    from internvid.hub import HubModel

    return HubModel(recipe.image_model).version if recipe.image_model else None


def _sample(lake: Lake, table: str, generator: str) -> dict[str, Any]:
    row = newest_generator(lake, generator)
    if row is None:
        return {}
    shown = ("checkpoint_id", "snapshot", "image_model", *MEASURED)
    return {"path": dg.MetadataValue.path(row["path"])} | {name: row[name] for name in shown if row[name] is not None}


@stage(
    group="generation",
    outputs=(GENERATION_CHECKPOINTS,),
    configure=configure,
    partition=GENERATOR,
    pool="train",
    kinds=("pytorch", "lance"),
    resources=("trainer",),
    reads=("subsets",),
    samples={GENERATION_CHECKPOINTS.name: _sample},
)
def generation_checkpoints(run: StageRun, units: list[Unit], *, trainer: Trainer) -> Iterator[Outcome]:
    """A model that generates videos from text: an image model inflated to video, trained on a subset's clips.

    Changes when a clip, frame or caption of its subset, the recipe or the image model does.
    """
    remove_states(run.lake)
    yield from one_by_one(units, lambda unit: train(run, trainer, unit))


def train(run: StageRun, trainer: Trainer, unit: Unit) -> Outcome:
    """Trains the unit, a recipe on a subset. An interrupted training of the same unit continues from its last save."""
    lake, context = run.lake, run.context
    assert context is not None, "training reports through Dagster"
    recipe_name, subset = unit.key.split("|")
    recipe = trainer.generator_as_trained(GENERATION_RECIPES[recipe_name])
    if recipe.image_model == "":
        return Skipped(unit, "NoImageModel", f"{recipe_name} needs a text-to-image model: set INTERNVID_IMAGE_MODEL")
    made = made_from(lake, subset)
    assert made is not None, "without a subset the unit is skipped"
    snapshot, provenance = made["snapshot"], unit.provenances[0]
    chosen, held_out = clips_to_train_on(lake, subset, snapshot)
    if not len(chosen):
        return Skipped(unit, "TooFewClips", "no clip of the subset is one to train on")
    checkpoint_id = f"{recipe_name}-{subset}-{provenance[:8]}"
    trained = trainer.train_generator(
        context,
        lake,
        GENERATION_RECIPES[recipe_name],
        chosen["clip_id"],
        snapshot=snapshot,
        folder=training_folder(lake, provenance),
        receipt={
            "checkpoint_id": checkpoint_id,
            "subset": subset,
            "clips_left_out_as_held_out": held_out,
            "subset_parameters": json.loads(made["parameters"]),
            "image_model": image_model_of(recipe),
            "provenance": provenance,
            "run_id": context.run_id,
        },
    )
    _note_unreadable(run, unit, trained)
    row = {
        "checkpoint_id": checkpoint_id,
        "recipe": recipe_name,
        "subset": subset,
        "snapshot": snapshot,
        "path": publish_folder(lake, trained.checkpoint, checkpoint_id),
        "weights_digest": trained.digest,
        "image_model": image_model_of(recipe),
        **{name: getattr(trained, name) for name in MEASURED},
    }
    return Done(unit, (Rows.of([row], GENERATION_CHECKPOINTS),))


def _note_unreadable(run: StageRun, unit: Unit, trained: TrainedGenerator) -> None:
    """Writes a row of attempts for each clip that was left out, and removes those of earlier trainings."""
    unusable = (
        Unusable(
            f"{unit.key}/{clip.clip_id}",
            clip.clip_id,
            clip.error_class,
            clip.message,
            unit.partition,
            unit.provenances[0],
        )
        for clip in listed_unreadable(trained.unreadable_list)
    )
    for rows in in_batches(unusable, ROWS_PER_WRITE):
        attempts.note(run.lake, CLIPS_STAGE, rows, run.run_id)
    attempts.settle(run.lake, CLIPS_STAGE, f"{unit.key}/", run.run_id)


def unreadable_clips(lake: Lake, provenance: str) -> int:
    """Returns the number of clips that were left out of a training, for they cannot be read."""
    counted = lake.query(
        "select count(*) as clips from attempts where stage = $stage and provenance = $provenance",
        {"stage": CLIPS_STAGE, "provenance": provenance},
        tables=["attempts"],
    )
    return counted["clips"][0].as_py()


def newest_generator(lake: Lake, generator: str) -> dict[str, Any] | None:
    """Returns the row of the newest checkpoint of the partition; None where there is none."""
    return newest_row(lake, GENERATION_CHECKPOINTS, generator)
