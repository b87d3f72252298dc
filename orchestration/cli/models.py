"""The commands that train, activate, evaluate and compare models."""

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.table import Table as TextTable

from orchestration.cli.options import LakeOption, existing
from orchestration.cli.output import console, notes, print_failed_runs
from orchestration.cli.session import RunSummary, Session

if TYPE_CHECKING:
    from internvid.evaluation.protocol import Protocol
    from resources.lake.store import Lake


class Probe(StrEnum):
    """Those of `internvid.evaluation.run`, which is imported where it is used."""

    linear = "linear"
    knn = "knn"
    attentive = "attentive"


class ProtocolName(StrEnum):
    """Those of `internvid.evaluation.protocol`, which is imported where it is used."""

    model = "model"
    paper = "paper"
    demo = "demo"
    clip = "clip"


CHECKPOINT_HELP = "An id of the table checkpoints, a checkpoint's folder, or an id of the Hugging Face hub."


def train(
    recipe: Annotated[
        str, typer.Argument(help="viclip-tiny, viclip-b16, …; chat-tiny, videochat; or t2v-tiny, t2v-sd.")
    ],
    subset: Annotated[str, typer.Option(help="What to train on: see `internvid subset list`.")] = "all",
    keep_seen: Annotated[bool, typer.Option(help="Write the ids of all clips that the model was trained on.")] = False,
    lake: LakeOption = None,
) -> None:
    """Train a ViCLIP on a subset of the lake as it is now, and evaluate it; or a model that talks about videos, which
    sees by the active ViCLIP; or one that generates videos. An interrupted training is continued."""
    from internvid.dialogue.recipe import CHAT_RECIPES
    from internvid.generation.recipe import GENERATION_RECIPES

    session = existing(lake)
    if recipe in CHAT_RECIPES:
        _train_chat(session, recipe, subset)
    if recipe in GENERATION_RECIPES:
        _train_generator(session, recipe, subset)
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


def _train_generator(session: Session, recipe: str, subset: str) -> NoReturn:
    """Trains a generator of videos, prints its row, and exits."""
    from assets.generation.generation_checkpoints import newest_generator, unreadable_clips
    from assets.partitions import model_key

    _require_subsets(session, [subset])
    summary = RunSummary()
    session.train_generator(recipe, subset, summary)
    print_failed_runs(summary)
    row = newest_generator(session.lake, model_key(recipe, subset))
    if row is None:
        console.print("there is no generator: `internvid status` and the run's log say why", highlight=False)
        raise typer.Exit(1)
    console.print(
        f"{row['checkpoint_id']}: {row['clips']:,} clips, {row['steps']:,} steps in {row['seconds']:.0f} s, loss "
        f"{row['loss']:.4f}",
        highlight=False,
        soft_wrap=True,
    )
    if left_out := unreadable_clips(session.lake, row["provenance"]):
        notes.print(f"{left_out:,} clips were left out, for their videos cannot be read: see the table attempts")
    raise typer.Exit(1 if summary.failed_runs else 0)


def ablate(
    subsets: Annotated[str, typer.Option(help="Subsets to compare, joined by commas.")],
    recipe: Annotated[str, typer.Option(help="The recipe that each is trained by.")] = "viclip-tiny",
    updates: Annotated[
        int | None,
        typer.Option(
            "--steps", min=1, help="Generators: of each; else those that the recipe gives the largest subset."
        ),
    ] = None,
    prompts: Annotated[
        int, typer.Option(min=1, help="Generators: number of held-out clips whose captions are prompts.")
    ] = 16,
    seeds: Annotated[int, typer.Option(min=1, help="Generators: number of videos of each prompt.")] = 2,
    lake: LakeOption = None,
) -> None:
    """Train one model for each subset, by the same recipe, and compare them on the same held-out videos."""
    from internvid.generation.recipe import GENERATION_RECIPES

    session, names = existing(lake), [name.strip() for name in subsets.split(",") if name.strip()]
    if recipe in GENERATION_RECIPES:
        from orchestration.cli.ablate_generators import ablate_generators

        _require_subsets(session, names)
        try:
            summary = ablate_generators(
                session, recipe, names, updates=updates, prompts=prompts, seeds=seeds, lake=lake
            )
        except (ValueError, OSError) as error:
            raise typer.BadParameter(str(error)) from error
        raise typer.Exit(1 if summary.failed_runs else 0)
    _require(session, recipe, names)
    summary = RunSummary()
    for subset in names:
        session.train(recipe, subset, summary)
    print_failed_runs(summary)
    _print_models(session, recipe, names)
    raise typer.Exit(1 if summary.failed_runs else 0)


def activate(
    checkpoint: Annotated[str, typer.Argument(help=CHECKPOINT_HELP)],
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
    checkpoint: Annotated[str, typer.Argument(help=CHECKPOINT_HELP)],
    benchmark: Annotated[str, typer.Option(help="msrvtt, didemo, kinetics400, ucf101, …")],
    data: Annotated[Path, typer.Option(help="The folder with the benchmark's annotation file and videos.")],
    frames: Annotated[int | None, typer.Option(help="Frames of each video; else the model's own number.")] = None,
    protocol: Annotated[
        ProtocolName,
        typer.Option(help="How frames and texts are prepared: as the model says, or as paper, demo or CLIP."),
    ] = ProtocolName.model,
    choice: Annotated[str | None, typer.Option(help="Which frames: middle (of equal parts) or uniform.")] = None,
    fit: Annotated[str | None, typer.Option(help="How a frame becomes a square: squash or crop.")] = None,
    resampling: Annotated[str | None, typer.Option(help="bicubic, bilinear, or aliased as cv2's.")] = None,
    constants: Annotated[str | None, typer.Option(help="Mean and deviation of colours: imagenet or clip.")] = None,
    texts: Annotated[str | None, typer.Option(help="prepared (lower case, no punctuation) or as-they-are.")] = None,
    missing: Annotated[str | None, typer.Option(help="Videos that cannot be read: left-out or wrong.")] = None,
    effects: Annotated[
        bool, typer.Option("--effects", help="Also measure what each of these settings changes, in one table.")
    ] = False,
    wise_ft: Annotated[
        str | None,
        typer.Option(help="Shares of the trained weights in averages with --base, each evaluated: 0,0.25,0.5,0.75,1."),
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="The checkpoint that this one began as, for averages with it.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Another split than the paper's.")] = None,
    probe: Annotated[
        list[Probe] | None, typer.Option(help="Also a classifier on the vectors, trained on the train split.")
    ] = None,
    probe_seed: Annotated[int, typer.Option(min=0, help="What the probes draw at random is drawn with it.")] = 0,
    probe_epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of the attentive probe; else as many as it needs.")
    ] = None,
    vectors: Annotated[
        Path | None,
        typer.Option(
            help="A folder that keeps the videos' vectors, so that none is decoded twice; else the lake's own."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A JSON file for all figures.")] = None,
    lake: LakeOption = None,
) -> None:
    """Evaluate a checkpoint on a benchmark by the paper's protocol, beside the paper's numbers."""
    from orchestration.cli.evaluate import evaluate_command

    evaluate_command(
        folder_of(checkpoint, lake),
        benchmark=benchmark,
        data=data,
        frames=frames,
        protocol=_protocol(protocol, choice, fit, resampling, constants, texts, missing),
        shows_effects=effects,
        base=None if base is None else folder_of(base, lake),
        shares=_shares(wise_ft),
        split=split,
        probes=list(dict.fromkeys(each.value for each in probe or [])),
        probe_seed=probe_seed,
        probe_epochs=probe_epochs,
        vectors=vectors,
        out=out,
        name=checkpoint,
        lake=_lake_for_rows(lake),
    )


def _shares(text: str | None) -> list[float]:
    """Returns the shares that are joined by commas. Raises typer.BadParameter for what is none from 0 to 1."""
    try:
        shares = [float(part) for part in text.split(",")] if text else []
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no list of shares like 0,0.5,1") from error
    if any(not 0 <= share <= 1 for share in shares):
        raise typer.BadParameter(f"shares of weights are between 0 and 1, not {text}")
    return shares


def _lake_for_rows(lake: str | None) -> "Lake | None":
    """Returns the lake whose table evaluations takes the metrics; None, with a note, where there is none.

    Raises typer.BadParameter where one is named that does not exist.
    """
    try:
        return existing(lake).lake
    except typer.BadParameter:
        if lake is not None:
            raise
    notes.print("there is no lake here, so the figures are printed and not kept")
    return None


def _protocol(name: ProtocolName, *given: str | None) -> "Protocol":
    """Returns the protocol of that name with what was given changed: in the order of its fields.

    Raises typer.BadParameter for a word that is none of a setting's.
    """
    from dataclasses import replace

    from internvid.evaluation.protocol import CONSTANTS, PROTOCOLS
    from internvid.viclip.frame_choice import CHOICES
    from internvid.viclip.preprocessing import FITS, RESAMPLINGS

    words: dict[str, dict[str, Any]] = {
        "choice": {word: word for word in CHOICES},
        "fit": {word: word for word in FITS},
        "resampling": {word: word for word in RESAMPLINGS},
        "constants": {word: word for word in CONSTANTS},
        "prepares_texts": {"prepared": True, "as-they-are": False},
        "counts_missing": {"left-out": False, "wrong": True},
    }
    changed = {}
    for (field, known), word in zip(words.items(), given, strict=True):
        if word is not None and word not in known:
            raise typer.BadParameter(f"{word!r} is none of {', '.join(known)}")
        if word is not None:
            changed[field] = known[word]
    return replace(PROTOCOLS[name.value], **changed)


def folder_of(checkpoint: str, lake: str | None) -> Path:
    """Returns the folder of a checkpoint that is named by its id or folder. Raises typer.BadParameter for neither."""
    if Path(checkpoint).is_dir():
        return Path(checkpoint)
    from resources.incremental.faults import raising_faults
    from resources.models.activation import checkpoint_folder

    try:
        with raising_faults():
            return checkpoint_folder(existing(lake).lake, checkpoint)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error


def _require(session: Session, recipe: str, subsets: list[str]) -> None:
    from internvid.dialogue.recipe import CHAT_RECIPES
    from internvid.generation.recipe import GENERATION_RECIPES
    from internvid.viclip.recipes import RECIPES

    if recipe not in RECIPES:
        raise typer.BadParameter(
            f"there is no recipe {recipe!r}; there are {', '.join(RECIPES)}; of chats: {', '.join(CHAT_RECIPES)}; of "
            f"generators: {', '.join(GENERATION_RECIPES)}"
        )
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
