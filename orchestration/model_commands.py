"""The commands that train, activate, evaluate and compare models."""

import time
from typing import Any

import typer
from rich.table import Table as TextTable

from orchestration.house import House, Work
from orchestration.printing import console, notes, print_failed_runs


def train_model(house: House, recipe: str, subset: str, *, keep_seen: bool) -> None:
    """Trains the recipe on the subset of the lake as it is now, and prints what it is worth."""
    _require(recipe, [subset])
    started = time.monotonic()
    work = Work()
    house.train(recipe, subset, work, keep_seen=keep_seen)
    print_failed_runs(work)
    _print_models(house, recipe, [subset])
    console.print(f"{time.monotonic() - started:.1f} s")
    raise typer.Exit(1 if work.failed_batches else 0)


def ablate(house: House, recipe: str, subsets: list[str]) -> None:
    """The paper's central experiment: one model for each subset, by the same recipe, evaluated on the same videos."""
    _require(recipe, subsets)
    work = Work()
    for subset in subsets:
        house.train(recipe, subset, work)
    print_failed_runs(work)
    _print_models(house, recipe, subsets)
    raise typer.Exit(1 if work.failed_batches else 0)


def activate(house: House, checkpoint: str) -> None:
    """Makes the checkpoint the active one and says what that means."""
    from assets.active_checkpoint import activate_named

    try:
        active = activate_named(house.instance, house.lake, house.resources["aligner"], checkpoint)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    stale = sum(number["pending"] for step, number in house.counts() if step.name == "clip_embeddings")
    console.print(f"{active.checkpoint_id} is active; {stale:,} vectors are to be made anew by `internvid ingest`")


def _require(recipe: str, subsets: list[str]) -> None:
    from internvid.viclip.recipes import RECIPES
    from resources.subsets import subset_named

    if recipe not in RECIPES:
        raise typer.BadParameter(f"there is no recipe {recipe!r}; there are {', '.join(RECIPES)}")
    for subset in subsets:
        try:
            subset_named(subset)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error


SHOWN = (
    "text_to_video_recall_at_1",
    "text_to_video_recall_at_5",
    "video_to_text_recall_at_1",
    "text_to_video_median_rank",
)


def _print_models(house: House, recipe: str, subsets: list[str]) -> None:
    """A row for each subset: what the model was trained on, and its metrics on the held-out videos with chance."""
    from assets.checkpoints import newest
    from assets.model_partitions import model_key

    table = TextTable("subset", "train clips", "steps", "loss", *(name.replace("_", " ") for name in SHOWN), "active")
    table.title, table.title_justify = f"{recipe}, on the held-out videos of the snapshot", "left"
    active = house.resources["aligner"].active(house.lake)
    chance: dict[str, Any] = {}
    for subset in subsets:
        row = newest(house.lake, model_key(recipe, subset))
        if row is None:
            table.add_row(subset, "no model: see `internvid status`")
            continue
        metrics = house.lake.query(
            "select metric, value, chance, items from evaluations where checkpoint_id = $checkpoint_id",
            {"checkpoint_id": row["checkpoint_id"]},
            tables=["evaluations"],
        ).to_pylist()
        values = {metric["metric"]: metric["value"] for metric in metrics}
        chance |= {metric["metric"]: metric["chance"] for metric in metrics}
        is_active = active is not None and active.checkpoint_id == row["checkpoint_id"]
        table.add_row(
            subset,
            f"{row['clips']:,}",
            f"{row['steps']:,}",
            f"{row['loss']:.3f}",
            *(_figure(values.get(name)) for name in SHOWN),
            "yes" if is_active else "",
        )
    if chance:
        table.add_row("chance", "", "", "", *(_figure(chance.get(name)) for name in SHOWN))
    console.print(table)
    if not chance:
        notes.print("not evaluated: the held-out videos hold fewer than two clips")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
