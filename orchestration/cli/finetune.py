"""`internvid finetune`: a checkpoint on the train split of a benchmark that lies in a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.cli.options import LakeOption, existing
from orchestration.cli.output import console, notes, print_failed_runs
from orchestration.cli.session import RunSummary, Session

if TYPE_CHECKING:
    import pyarrow as pa

K710 = "kinetics710"


def finetune(
    checkpoint: Annotated[
        str, typer.Argument(help="A ViCLIP: an id of the table checkpoints, or a checkpoint's folder.")
    ],
    benchmark: Annotated[str, typer.Option(help="msrvtt, didemo, kinetics400, ucf101, …")],
    data: Annotated[Path, typer.Option(help="The folder with the train split's annotation file and videos.")],
    kinetics_first: Annotated[
        Path | None,
        typer.Option(help="For classes: a folder with Kinetics-400, -600 and -700, which are trained on first."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A field of the recipe: epochs, learning_rate, batch_size, …"),
    ] = None,
    lake: LakeOption = None,
) -> None:
    """Fine-tune a checkpoint on a benchmark by the paper's settings, as another checkpoint.

    An interrupted fine-tuning is continued. `internvid evaluate` then measures it, by its heads too."""
    from internvid.viclip.fine_tuning_recipe import FINE_TUNINGS

    if benchmark not in FINE_TUNINGS:
        raise typer.BadParameter(f"there is no recipe for {benchmark!r}; there are {', '.join(FINE_TUNINGS)}")
    recipe = FINE_TUNINGS[benchmark]
    if kinetics_first is not None and (recipe.task != "classification" or benchmark == K710):
        raise typer.BadParameter(f"--kinetics-first trains classes before other classes, and {benchmark} has none")
    given = dict(_pair(change) for change in changes or [])
    try:
        recipe.changed(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    session = existing(lake)
    if kinetics_first is not None:
        checkpoint = _tuned(session, checkpoint, K710, kinetics_first, given)
    _tuned(session, checkpoint, benchmark, data, given)


def _pair(change: str) -> tuple[str, str]:
    name, equals, value = change.partition("=")
    if not equals:
        raise typer.BadParameter(f"{change!r} is not NAME=VALUE")
    return name, value


def _tuned(session: Session, checkpoint: str, benchmark: str, data: Path, given: dict[str, str]) -> str:
    """Fine-tunes, prints the row, and returns the checkpoint's id. Exits where there is none."""
    from assets.model.finetuned_checkpoints import ASSET, model_of, newest_tuned
    from internvid.evaluation.benchmarks import read_benchmark
    from internvid.viclip.fine_tuning_recipe import FINE_TUNINGS
    from resources.models.activation import checkpoint_named

    try:
        train, base = read_benchmark(benchmark, data, split="train"), checkpoint_named(session.lake, checkpoint)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    if train.missing:
        notes.print(f"{len(train.missing):,} of {train.named:,} train videos are not in {data}, and are left out")
    model = model_of(FINE_TUNINGS[benchmark], base)
    if (failures := _failures(session, model)).num_rows:
        session.retry_now(failures)  # whoever gives the command again wants it to be tried again
    summary = RunSummary()
    config = {"checkpoint": checkpoint, "benchmark": benchmark, "data": str(data.resolve()), "changes": given}
    session.run("finetune", summary, config={ASSET: {"config": config}})
    print_failed_runs(summary)
    row = newest_tuned(session.lake, model)
    for failure in _failures(session, model).to_pylist():
        console.print(f"fine-tuning failed: {failure['message']}", markup=False, soft_wrap=True)
        raise typer.Exit(1)
    if summary.failed_runs or row is None:
        raise typer.Exit(1)
    console.print(
        f"{row['checkpoint_id']}: {row['clips']:,} videos, {row['steps']:,} steps in {row['seconds']:.0f} s, loss "
        f"{row['loss']:.3f}, accuracy {row['accuracy']:.3f}",
        highlight=False,
        soft_wrap=True,
    )
    return row["checkpoint_id"]


def _failures(session: Session, model: str) -> "pa.Table":
    """Returns the failed try of this fine-tuning, where its last one failed."""
    from assets.model.finetuned_checkpoints import ASSET

    return session.lake.query(
        "select * from attempts where stage = $stage and key = $model and outcome = 'failed'",
        {"stage": ASSET, "model": model},
        tables=["attempts"],
    )
