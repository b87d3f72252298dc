"""The commands that train, activate, evaluate and compare models."""

import time
from typing import Any

import typer
from rich.table import Table as TextTable

from orchestration.cli.output import console, notes, print_failed_runs
from orchestration.cli.session import RunSummary, Session


def train_model(session: Session, recipe: str, subset: str, *, keep_seen: bool) -> None:
    """Trains the recipe on the subset of the lake as it is now, and prints what it is worth."""
    _require(session, recipe, [subset])
    started = time.monotonic()
    summary = RunSummary()
    session.train(recipe, subset, summary, keep_seen=keep_seen)
    print_failed_runs(summary)
    _print_models(session, recipe, [subset])
    console.print(f"{time.monotonic() - started:.1f} s")
    raise typer.Exit(1 if summary.failed_runs else 0)


def ablate(session: Session, recipe: str, subsets: list[str]) -> None:
    """The paper's central experiment: one model for each subset, by the same recipe, evaluated on the same videos."""
    _require(session, recipe, subsets)
    summary = RunSummary()
    for subset in subsets:
        session.train(recipe, subset, summary)
    print_failed_runs(summary)
    _print_models(session, recipe, subsets)
    raise typer.Exit(1 if summary.failed_runs else 0)


def activate(session: Session, checkpoint: str) -> None:
    """Makes the checkpoint the active one and says what that means."""
    from resources.incremental.faults import SystemFault
    from resources.models.activation import activate_named

    try:
        active = activate_named(session.instance, session.lake, session.resources["aligner"], checkpoint)
    except (ValueError, OSError, SystemFault) as error:
        raise typer.BadParameter(str(error)) from error
    stale = session.counts()["clip_embeddings"]["pending"]
    console.print(f"{active.checkpoint_id} is active; {stale:,} vectors are to be recomputed by `internvid ingest`")


def _require(session: Session, recipe: str, subsets: list[str]) -> None:
    from internvid.viclip.recipes import RECIPES

    if recipe not in RECIPES:
        raise typer.BadParameter(f"there is no recipe {recipe!r}; there are {', '.join(RECIPES)}")
    for subset in subsets:
        try:
            session.resources["subset_files"].named(subset)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error


SHOWN = (
    "text_to_video_recall_at_1",
    "text_to_video_recall_at_5",
    "video_to_text_recall_at_1",
    "text_to_video_median_rank",
)


def _print_models(session: Session, recipe: str, subsets: list[str]) -> None:
    """A row for each subset: what the model was trained on, and its metrics on the held-out videos with chance."""
    from assets.model.checkpoints import newest
    from assets.partitions import model_key

    table = TextTable("subset", "train clips", "steps", "loss", *(name.replace("_", " ") for name in SHOWN), "active")
    table.title, table.title_justify = f"{recipe}, on the held-out videos of the snapshot", "left"
    active = session.resources["aligner"].active(session.lake)
    chance: dict[str, Any] = {}
    for subset in subsets:
        row = newest(session.lake, model_key(recipe, subset))
        if row is None:
            table.add_row(subset, "no model: see `internvid status`")
            continue
        metrics = session.lake.query(
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
