"""The commands that train, activate, evaluate and compare models."""

import time
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.table import Table as TextTable

from orchestration.cli.options import LakeOption, existing
from orchestration.cli.output import console, notes, print_failed_runs
from orchestration.cli.session import RunSummary, Session


def train(
    recipe: Annotated[str, typer.Argument(help="viclip-tiny, viclip-b16, …; or of a chat: chat-tiny, videochat.")],
    subset: Annotated[str, typer.Option(help="What to train on: see `internvid subset list`.")] = "all",
    keep_seen: Annotated[bool, typer.Option(help="Write the ids of all clips that the model was trained on.")] = False,
    lake: LakeOption = None,
) -> None:
    """Train a ViCLIP on a subset of the lake as it is now, and evaluate it; or a model that talks about videos, which
    sees by the active ViCLIP. An interrupted training is continued."""
    from internvid.dialogue.recipe import CHAT_RECIPES

    session = existing(lake)
    if recipe in CHAT_RECIPES:
        _train_chat(session, recipe, subset)
    _require(session, recipe, [subset])
    started = time.monotonic()
    summary = RunSummary()
    session.train(recipe, subset, summary, keep_seen=keep_seen)
    print_failed_runs(summary)
    _print_models(session, recipe, [subset])
    console.print(f"{time.monotonic() - started:.1f} s")
    raise typer.Exit(1 if summary.failed_runs else 0)


def _train_chat(session: Session, recipe: str, subset: str) -> NoReturn:
    """Trains a chat, prints its row, and exits."""
    from assets.dialogue.chat_checkpoints import newest_chat
    from assets.partitions import model_key

    _require_subsets(session, [subset])
    summary = RunSummary()
    session.train_chat(recipe, subset, summary)
    print_failed_runs(summary)
    row = newest_chat(session.lake, model_key(recipe, subset))
    if row is None:
        console.print("there is no chat: `internvid status` and the run's log say why", highlight=False)
    else:
        console.print(
            f"{row['checkpoint_id']}: {row['dialogues']:,} dialogues about {row['clips']:,} clips, {row['steps']:,} "
            f"steps in {row['seconds']:.0f} s, loss {row['loss']:.3f}; it sees by {row['vision_checkpoint_id']}",
            highlight=False,
            soft_wrap=True,
        )
    raise typer.Exit(1 if summary.failed_runs or row is None else 0)


def ablate(
    subsets: Annotated[str, typer.Option(help="Subsets to compare, joined by commas.")],
    recipe: Annotated[str, typer.Option(help="The recipe that each is trained by.")] = "viclip-tiny",
    lake: LakeOption = None,
) -> None:
    """Train one model for each subset, by the same recipe, and compare them on the same held-out videos."""
    session, names = existing(lake), [name.strip() for name in subsets.split(",") if name.strip()]
    _require(session, recipe, names)
    summary = RunSummary()
    for subset in names:
        session.train(recipe, subset, summary)
    print_failed_runs(summary)
    _print_models(session, recipe, names)
    raise typer.Exit(1 if summary.failed_runs else 0)


def activate(
    checkpoint: Annotated[str, typer.Argument(help="An id of the table checkpoints, or a checkpoint's folder.")],
    lake: LakeOption = None,
) -> None:
    """Choose the model whose vectors the lake stores. The next `ingest` recomputes all vectors with it."""
    from resources.incremental.faults import ModelUnavailable, raising_faults
    from resources.models.activation import activate_named

    session = existing(lake)
    try:
        with raising_faults(session.lake.root):
            active = activate_named(session.instance, session.lake, session.resources["aligner"], checkpoint)
    except (ValueError, OSError, ModelUnavailable) as error:
        raise typer.BadParameter(str(error)) from error
    counts = session.counts()
    stale = sum(counts[stage]["pending"] for stage in ("clip_embeddings", "caption_embeddings"))
    console.print(f"{active.checkpoint_id} is active; {stale:,} vectors are to be recomputed by `internvid ingest`")


def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="An id of the table checkpoints, or a checkpoint's folder.")],
    benchmark: Annotated[str, typer.Option(help="msrvtt, didemo, kinetics400, ucf101, …")],
    data: Annotated[Path, typer.Option(help="The folder with the benchmark's annotation file and videos.")],
    frames: Annotated[int, typer.Option(help="Frames of each video.")] = 8,
    choice: Annotated[str, typer.Option(help="Which frames: middle (of equal parts) or uniform.")] = "middle",
    split: Annotated[str | None, typer.Option(help="Another split than the paper's.")] = None,
    linear_probe: Annotated[bool, typer.Option(help="Also a linear classifier, trained on the train split.")] = False,
    out: Annotated[Path | None, typer.Option(help="A JSON file for all figures.")] = None,
    lake: LakeOption = None,
) -> None:
    """Evaluate a checkpoint on a benchmark by the paper's protocol, beside the paper's numbers."""
    from orchestration.cli.evaluate import evaluate_command

    folder = Path(checkpoint)
    if not folder.is_dir():
        from resources.incremental.faults import raising_faults
        from resources.models.activation import checkpoint_folder

        try:
            with raising_faults():
                folder = checkpoint_folder(existing(lake).lake, checkpoint)
        except (ValueError, OSError) as error:
            raise typer.BadParameter(str(error)) from error
    evaluate_command(
        folder,
        benchmark=benchmark,
        data=data,
        frames=frames,
        choice=choice,
        split=split,
        linear_probe=linear_probe,
        out=out,
        name=checkpoint,
    )


def _require(session: Session, recipe: str, subsets: list[str]) -> None:
    from internvid.dialogue.recipe import CHAT_RECIPES
    from internvid.viclip.recipes import RECIPES

    if recipe not in RECIPES:
        chats = ", ".join(CHAT_RECIPES)
        raise typer.BadParameter(f"there is no recipe {recipe!r}; there are {', '.join(RECIPES)}; of chats: {chats}")
    _require_subsets(session, subsets)


def _require_subsets(session: Session, subsets: list[str]) -> None:
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
    """Prints a row for each subset: training of the model, its metrics on the held-out videos, and the chance level."""
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
            "select metric, value, chance, items from evaluations "
            "where checkpoint_id = $checkpoint_id and benchmark = 'held_out'",
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
        notes.print("not evaluated: the held-out videos have fewer than two clips")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
