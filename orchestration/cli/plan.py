"""`internvid plan`: estimates hours, GPU hours and terabytes of a collection from what this lake measured."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.cli.options import LakeOption, ProfileOption, ProviderOption, existing
from orchestration.cli.output import console
from orchestration.cli.session import Session

if TYPE_CHECKING:
    from resources.corpus.estimate import Estimate, ModelCost

MIN_HOURS_PER_RUN = 0.5  # of video: in smaller runs most of the time is the start of the stages
MIN_BUSY_CORES = 0.5  # on average: below it, without a GPU or server, the machine was busy with other work


def plan(
    videos: Annotated[int, typer.Option(min=1, help="Videos of the collection.")],
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Of a video; else as in this lake.")] = None,
    days: Annotated[float | None, typer.Option(min=0.01, help="To be done in: how many machines that takes.")] = None,
    lake: LakeOption = None,
    profile: ProfileOption = None,
    provider: ProviderOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Estimate the hours, GPU hours and terabytes of a larger collection, from what this lake measured."""
    from resources.corpus.estimate import NothingMeasured, estimate

    session = existing(lake, profile, provider)
    inputs = {stage: number["total"] for stage, number in session.counts().items()}
    try:
        estimated = estimate(session.lake, session.stages, inputs, models_of(session), videos=videos, minutes=minutes)
    except NothingMeasured as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        typer.echo(json.dumps(as_plain(estimated, days), indent=2, ensure_ascii=False))
    else:
        print_estimate(estimated, session.lake.root, days)


def models_of(session: Session) -> dict[str, str]:
    """Returns the model of each enabled provider, by the provider's name."""
    active = session.resources["aligner"].active(session.lake)
    models = {} if active is None else {"aligner": active.checkpoint_id}
    for name in (name for stage in session.stages for name in stage.cost.requests):
        if name != "aligner" and session.resources[name].is_enabled:
            models[name] = session.resources[name].model
    return models


def as_plain(estimated: "Estimate", days: float | None) -> dict[str, Any]:
    """Returns the estimate with its sums, for JSON."""
    sums = ("wall_hours", "processor_hours", "gpu_hours", "server_hours", "bytes", "unmeasured")
    plain = asdict(estimated) | {name: getattr(estimated, name) for name in sums}
    return plain if days is None else plain | {"days": days, "machines": estimated.machines(days)}


def print_estimate(estimated: "Estimate", lake: str, days: float | None) -> None:
    """Prints time by stage and model, disk space by table, and the basis of the estimate."""
    minutes = estimated.video_hours * 60 / estimated.videos
    console.print(
        f"[bold]{estimated.videos:,} videos of {minutes:.1f} minutes: {_figure(estimated.video_hours)} hours of video"
        "[/bold]",
        highlight=False,
    )
    basis = f"Measured in {escape(lake)} on {estimated.measured_videos:,} videos, {estimated.measured_hours:.2f} hours"
    console.print(f"{basis}, in {estimated.runs:,} runs", highlight=False, soft_wrap=True)
    _print_time(estimated)
    if days is not None:
        machines = estimated.machines(days)
        console.print(f"In {days:g} days: {machines:,} machines like the one that measured", highlight=False)
    _print_tokens(estimated)
    _print_room(estimated)
    for note in _notes(estimated):
        console.print(f"note: {note}", highlight=False, soft_wrap=True)


def _print_time(estimated: "Estimate") -> None:
    table = TextTable(title="Time, on one machine like the one that measured", title_justify="left")
    table.add_column("stage, and its models", overflow="fold")
    for name in ("inputs", "wall hours", "core hours", "GPU hours", "frames/s"):
        table.add_column(name, justify="right")
    for stage in estimated.stages:
        table.add_row(
            stage.stage,
            _many(stage.inputs),
            _hours(stage.wall_hours, stage.inputs),
            _figure(stage.processor_hours),
            *("", ""),
        )
        for model in stage.models:
            table.add_row(*_model_cells(model))
    table.add_section()
    wall, processors, gpus = estimated.wall_hours, estimated.processor_hours, estimated.gpu_hours
    table.add_row("[bold]all[/bold]", "", _figure(wall), _figure(processors), _figure(gpus), "")
    console.print(table)


def _model_cells(model: "ModelCost") -> tuple[str, ...]:
    where = f" on {model.where}" if model.where else ""
    is_on_gpu = (model.where or "").startswith(("cuda", "mps", "xpu"))
    return (
        f"  {escape(f'{model.provider}: {model.model}{where}')}",
        _many(model.inputs),
        _hours(model.hours, model.inputs),
        "",
        _figure(model.hours) if is_on_gpu else "",
        "" if model.frames_per_second is None else _figure(model.frames_per_second),
    )


def _print_tokens(estimated: "Estimate") -> None:
    for model in estimated.models:
        if model.prompt_tokens or model.output_tokens:
            console.print(
                f"{escape(model.model)} as {model.provider}: reads {_many(model.prompt_tokens)} tokens, "
                f"writes {_many(model.output_tokens)}",
                highlight=False,
            )


def _print_room(estimated: "Estimate") -> None:
    table = TextTable(title="Room", title_justify="left")
    table.add_column("table")
    for name in ("rows", "on disk"):
        table.add_column(name, justify="right")
    for stored in estimated.stored:
        table.add_row(stored.name, _many(stored.rows), decimal(stored.bytes))
    table.add_section()
    table.add_row("[bold]all[/bold]", "", decimal(estimated.bytes))
    console.print(table)


def _notes(estimated: "Estimate") -> list[str]:
    notes = []
    if estimated.unmeasured:
        notes.append(f"not measured, so not in the sums: {', '.join(map(escape, estimated.unmeasured))}")
    idle = [stage.stage for stage in estimated.stages if not stage.inputs]
    if idle:
        notes.append(f"nothing to do as things are set: {', '.join(idle)}")
    in_a_run = estimated.measured_hours / estimated.runs
    if in_a_run < MIN_HOURS_PER_RUN:
        notes.append(
            f"the measured runs had {in_a_run:.2f} hours of video each; a full batch has at least 2, so the "
            "time to start a stage is overestimated"
        )
    waits = estimated.gpu_hours + estimated.server_hours
    if not waits and estimated.processor_hours < MIN_BUSY_CORES * estimated.wall_hours:
        notes.append(
            "during the measurement, the machine was busy with other work, or waited for its disk: wall hours are "
            "overestimated, core hours are not"
        )
    notes.append("not counted: downloading, indexes and old versions of tables, snapshots, training")
    return notes


def _hours(hours: float | None, inputs: int) -> str:
    if hours is None:
        return "not measured" if inputs else "–"
    return _figure(hours)


def _figure(value: float | None) -> str:
    """Rounds to significant digits: 0.04, 8.3, 12,300."""
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.2g}" if value < 1 else f"{value:.1f}"
    return f"{float(f'{value:.3g}'):,.0f}"


def _many(number: float) -> str:
    """Writes a large number in words: 1.2 billion."""
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.1f} {name}"
    return f"{number:,.0f}"
