"""`chat_checkpoints`: models that talk about videos, trained by a recipe on the dialogues about a subset's clips."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.partitions import CHAT
from internvid.dialogue.recipe import CHAT_RECIPES, ChatRecipe
from resources.corpus.held_out import clips_to_train_on
from resources.incremental.declaration import Configuration, StageRun, StageScope, stage
from resources.incremental.stage import Done, Outcome, Rows, Skipped, Unit, one_by_one
from resources.lake.schema import CHAT_CHECKPOINTS
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.models.aligner import Aligner
from resources.training.checkpoint_files import local_folder, publish_folder, remove_states, training_folder
from resources.training.checkpoint_rows import made_from, newest_row
from resources.training.trainer import Trainer

MEASURED = ("dialogues", "clips", "steps", "samples", "seconds", "loss")


def configure(scope: StageScope, *, trainer: Trainer, aligner: Aligner) -> Configuration:
    """The version names the recipe and its language model; the inputs the subset, its dialogues, and the ViCLIP."""
    if scope.partition is None or scope.lake is None:
        return Configuration(({},), parameters=pa.table({}))
    recipe_name, subset = scope.partition.split("|")
    recipe = trainer.chat_as_trained(CHAT_RECIPES[recipe_name])
    active = aligner.active(scope.lake)
    parameters = {
        "chat": [scope.partition],
        "subset": [subset],
        "content": pa.array([_content_of_dialogues(scope.lake, subset)], pa.string()),
        "vision": pa.array([active and active.digest], pa.string()),
    }
    version = "+".join(filter(None, (recipe.version, language_model_of(recipe))))
    return Configuration(({"": version},), chunk_size=1, parameters=pa.table(parameters))


def language_model_of(recipe: ChatRecipe) -> str | None:
    """Returns name and version of the language model that the recipe begins with; None where it makes a new one."""
    from internvid.hub import HubModel

    return HubModel(recipe.language_model).version if recipe.language_model else None


def _content_of_dialogues(lake: Lake, subset: str) -> str | None:
    """Returns a hash of the dialogues about the subset's videos at its snapshot; None where there are none."""
    made = made_from(lake, subset)
    if made is None or made["snapshot"] not in lake.tags():
        return None
    (summary,) = lake.query(
        statement("corpus/instructions_summary"),
        tables=["dialogues", "subsets"],
        at=made["snapshot"],
        only={"subset": subset},
    ).to_pylist()
    return summary["digest"] if summary["dialogues"] else None


def _sample(lake: Lake, table: str, chat: str) -> dict[str, Any]:
    row = newest_chat(lake, chat)
    if row is None:
        return {}
    shown = ("checkpoint_id", "snapshot", "vision_checkpoint_id", "language_model", *MEASURED)
    return {"path": dg.MetadataValue.path(row["path"])} | {name: row[name] for name in shown if row[name] is not None}


@stage(
    group="dialogue",
    outputs=(CHAT_CHECKPOINTS,),
    configure=configure,
    partition=CHAT,
    pool="train",
    kinds=("pytorch", "lance"),
    resources=("trainer", "aligner"),
    reads=("corpus_snapshot", "active_checkpoint"),
    samples={CHAT_CHECKPOINTS.name: _sample},
)
def chat_checkpoints(run: StageRun, units: list[Unit], *, trainer: Trainer, aligner: Aligner) -> Iterator[Outcome]:
    """A model that answers questions about clips: the active ViCLIP's tokens, a projector, and a language model.

    Trained on the dialogues about a subset's clips, at its snapshot. Changes when a clip of the subset, a dialogue
    about it, the active checkpoint or the recipe does.
    """
    remove_states(run.lake)
    yield from one_by_one(units, lambda unit: train(run, trainer, aligner, unit))


def train(run: StageRun, trainer: Trainer, aligner: Aligner, unit: Unit) -> Outcome:
    """Trains the unit, a recipe on a subset. An interrupted training of the same unit continues from its last save."""
    lake, context = run.lake, run.context
    assert context is not None, "training reports through Dagster"
    recipe_name, subset = unit.key.split("|")
    recipe = trainer.chat_as_trained(CHAT_RECIPES[recipe_name])
    made, active = made_from(lake, subset), aligner.active(lake)
    assert made is not None, "without a subset the unit is skipped"
    assert active is not None, "without a ViCLIP the unit is skipped"
    if recipe.language_model == "":
        return Skipped(unit, "NoLanguageModel", f"{recipe_name} needs a language model: set INTERNVID_LANGUAGE_MODEL")
    vision = local_folder(lake, active.path)
    if (reason := _lacks_tokens(vision)) is not None:
        return Skipped(unit, "NoSpaceTimeTokens", f"{active.checkpoint_id} {reason}")
    snapshot, provenance = made["snapshot"], unit.provenances[0]
    chosen, held_out = clips_to_train_on(lake, subset, snapshot)
    if not len(chosen):
        return Skipped(unit, "TooFewClips", "no clip of the subset is one to train on")
    checkpoint_id = f"{recipe_name}-{subset}-{provenance[:8]}"
    trained = trainer.train_chat(
        context,
        lake,
        CHAT_RECIPES[recipe_name],
        chosen["clip_id"],
        vision=vision,
        snapshot=snapshot,
        folder=training_folder(lake, provenance),
        receipt={
            "checkpoint_id": checkpoint_id,
            "subset": subset,
            "clips_left_out_as_held_out": held_out,
            "subset_parameters": json.loads(made["parameters"]),
            "vision_checkpoint_id": active.checkpoint_id,
            "vision_digest": active.digest,
            "provenance": provenance,
            "run_id": context.run_id,
        },
    )
    row = {
        "checkpoint_id": checkpoint_id,
        "recipe": recipe_name,
        "subset": subset,
        "snapshot": snapshot,
        "path": publish_folder(lake, trained.checkpoint, checkpoint_id),
        "weights_digest": trained.digest,
        "vision_checkpoint_id": active.checkpoint_id,
        "language_model": language_model_of(recipe),
        **{name: getattr(trained, name) for name in MEASURED},
    }
    return Done(unit, (Rows.of([row], CHAT_CHECKPOINTS),))


def _lacks_tokens(folder: Path) -> str | None:
    """Returns why a chat cannot see by the model of that folder; None where it can: it is a ViCLIP of ours."""
    from internvid.video_text.folders import is_of_others

    if not is_of_others(folder):
        return None
    return (
        "is a model of others, which gives a vector of a clip and no space-time tokens: a chat sees by a ViCLIP. "
        "Train one (`internvid train viclip-tiny`), and choose it by `internvid activate`"
    )


def newest_chat(lake: Lake, chat: str) -> dict[str, Any] | None:
    """Returns the row of the newest checkpoint of the partition; None where there is none."""
    return newest_row(lake, CHAT_CHECKPOINTS, chat)
