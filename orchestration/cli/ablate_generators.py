"""`internvid ablate` for generators: trained alike on each subset, asked for the same videos, measured alike."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.table import Table as TextTable

from orchestration.cli.generated import meters_of, store_figures
from orchestration.cli.output import console, notes, print_failed_runs
from orchestration.cli.session import RunSummary, Session

if TYPE_CHECKING:
    from internvid.generation.metrics.measure import Measured
    from internvid.generation.metrics.videos import MeasuredVideo
    from resources.training.generated_videos import Asked

HELD_OUT = "held_out"  # what is compared with, in the rows of evaluations


def ablate_generators(
    session: Session,
    recipe: str,
    subsets: list[str],
    *,
    updates: int | None,
    prompts: int,
    seeds: int,
    lake: str | None,
) -> RunSummary:
    """Trains the recipe on each subset for the same number of steps, and measures videos of the same prompts and seeds.

    Prints a row for each subset, and writes its figures into evaluations. updates: steps of training; None: as many as
    the recipe gives the largest subset. prompts: number of captions of held-out clips. seeds: number of videos of each.
    lake: as the user named it. Raises ValueError for fewer than two held-out clips, and for a subset without any to
    train on.
    """
    from internvid.generation.recipe import Sampling
    from resources.training.generated_videos import Asked

    summary = RunSummary()
    for subset in subsets:
        session.select(subset, summary)
    real = _held_out_videos(session, subsets[0])
    captions = tuple(dict.fromkeys(video.prompt for video in real if video.prompt))[:prompts]
    if len(captions) * seeds < 2:
        raise ValueError(f"{len(captions) * seeds} videos have no distribution: ask for more by --prompts or --seeds")
    asked = Asked(captions, tuple(range(seeds)), Sampling().version)
    updates_made = _train_alike(session, recipe, subsets, updates)
    for subset in subsets:
        sampling = {"prompts": list(asked.prompts), "seeds": list(asked.seeds)}
        session.train_generator(recipe, subset, summary, sampling=sampling)
    print_failed_runs(summary)
    rows = [_row(session, recipe, subset, asked, real, lake) for subset in subsets]
    title = (
        f"{recipe}, {updates_made:,} steps each; of {len(captions):,} captions of held-out clips {seeds:,} videos each"
    )
    _print(title, rows)
    return summary


def _held_out_videos(session: Session, subset: str) -> "list[MeasuredVideo]":
    """Returns the held-out clips of the subset's snapshot. Raises ValueError for fewer than two."""
    from resources.corpus.held_out import held_out_clips
    from resources.training.checkpoint_rows import made_from
    from resources.training.generated_videos import clips_in_videos

    made = made_from(session.lake, subset)
    if made is None:
        raise ValueError(f"the subset {subset} could not be selected: `internvid status` says why")
    held_out = held_out_clips(session.lake, made["snapshot"])["clip_id"].to_pylist()
    if len(held_out) < 2:
        raise ValueError(f"{len(held_out)} held-out clips are too few to compare with: the lake needs more videos")
    return clips_in_videos(session.lake, held_out, snapshot=made["snapshot"])


def _train_alike(session: Session, recipe: str, subsets: list[str], updates: int | None) -> int:
    """Has the trainer of the session train each subset for the same number of steps, and returns the number.

    Raises ValueError for a subset without clips to train on.
    """
    from internvid.generation.recipe import GENERATION_RECIPES
    from internvid.viclip.sampling import phase_plans
    from resources.corpus.held_out import clips_to_train_on
    from resources.training.checkpoint_rows import made_from

    trainer = session.resources["trainer"]
    phase = trainer.generator_as_trained(GENERATION_RECIPES[recipe]).denoiser
    updates_of_recipe = []
    for subset in subsets:
        made = made_from(session.lake, subset)
        clips = 0 if made is None else len(clips_to_train_on(session.lake, subset, made["snapshot"])[0])
        if not clips:
            raise ValueError(f"the subset {subset} has no clip to train on")
        (plan,) = phase_plans([phase], clips=clips)
        updates_of_recipe.append(plan.steps)
    updates = updates or max(updates_of_recipe)
    if set(updates_of_recipe) != {updates}:
        # Not a copy with other values: Dagster would make runs' resources by what the first one was made with.
        values = {name: getattr(trainer, name) for name in type(trainer).model_fields}
        session.use("trainer", type(trainer)(**{**values, "steps": updates}))
    return updates


@dataclass(frozen=True)
class Row:
    """What is printed of a subset. checkpoint: the generator's row; None where it could not be trained."""

    subset: str
    checkpoint: dict[str, Any] | None
    measured: "Measured | None"


def _row(
    session: Session, recipe: str, subset: str, asked: "Asked", real: "list[MeasuredVideo]", lake: str | None
) -> Row:
    """Measures the videos of the subset's newest generator, and writes the figures as rows of evaluations."""
    from assets.generation.generation_checkpoints import newest_generator
    from assets.partitions import model_key
    from internvid.generation.metrics.measure import measure
    from resources.lake.temporary_folders import temporary_folder
    from resources.training.generated_videos import read_in_children, stored_videos

    row = newest_generator(session.lake, model_key(recipe, subset))
    if row is None:
        return Row(subset, None, None)
    meters = meters_of(_metrics(session), inception=None, i3d=None, clip=None, viclip=None, lake=lake)
    with temporary_folder() as folder:
        made = stored_videos(session.lake, row["checkpoint_id"], folder, asked)
        read = partial(read_in_children, workers=session.settings.workers)
        measured = measure(meters, made, real, read, choice="spread")
        store_figures(session.lake, row["checkpoint_id"], measured, made, real, HELD_OUT)
    return Row(subset, row, measured)


def _metrics(session: Session) -> list[str]:
    """Returns the metrics that this lake has the models for."""
    has_viclip = session.resources["aligner"].active(session.lake) is not None
    return [*(("viclip_frechet", "viclip_similarity") if has_viclip else ()), "classifier_frechet"]


def _print(title: str, rows: list[Row]) -> None:
    """Prints a row for each subset, and what the figures depend on."""
    measured = [row.measured for row in rows if row.measured is not None]
    metrics = list(dict.fromkeys(figure.metric for each in measured for figure in each.figures))
    table = TextTable("subset", "train clips", "steps", "loss", *(name.replace("_", " ") for name in metrics))
    table.title, table.title_justify = title, "left"
    for row in rows:
        if row.checkpoint is None or row.measured is None:
            table.add_row(row.subset, "no generator: see `internvid status`")
            continue
        values = {figure.metric: f"{figure.value:.4f}" for figure in row.measured.figures}
        numbers = [f"{row.checkpoint[name]:,}" for name in ("clips", "steps")]
        table.add_row(row.subset, *numbers, f"{row.checkpoint['loss']:.4f}", *(values[name] for name in metrics))
    console.print(table)
    lines = [line for each in measured for line in each.notes]
    lines += [f"{figure.metric}: {figure.unit}, {figure.preparation}" for each in measured for figure in each.figures]
    warnings = [figure.warning for each in measured for figure in each.figures if figure.warning is not None]
    failed = [f"unreadable: {name}: {error}" for each in measured for name, error in each.failed]
    for line in dict.fromkeys((*lines, *warnings, *failed)):
        notes.print(line, markup=False, highlight=False, soft_wrap=True)
