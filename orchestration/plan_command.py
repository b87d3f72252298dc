"""`internvid plan`: hours, GPU hours and terabytes of a collection of a given size, by what this lake measured."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.house import House
from orchestration.options import DoorOption, LakeOption, ProfileOption, existing
from orchestration.printing import console

if TYPE_CHECKING:
    from resources.estimate import Estimate, ModelCost

HOURS_TO_TRUST = 0.5  # of video in a run: below it the time to start a stage is most of what it took
BUSY_TO_TRUST = 0.5  # cores at work, on average: fewer, where no GPU or server was waited for, and they were taken


def plan(
    videos: Annotated[int, typer.Option(min=1, help="Videos of the collection.")],
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Of a video; else as in this lake.")] = None,
    days: Annotated[float | None, typer.Option(min=0.01, help="To be done in: how many machines that takes.")] = None,
    lake: LakeOption = None,
    profile: ProfileOption = None,
    door: DoorOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Estimate the hours, GPU hours and terabytes of a larger collection, from what this lake measured."""
    from resources.estimate import NothingMeasured, estimate

    house = existing(lake, profile, door)
    inputs = {step.name: number["total"] for step, number in house.counts()}
    try:
        estimated = estimate(house.lake, inputs, models_of(house), videos=videos, minutes=minutes)
    except NothingMeasured as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        typer.echo(json.dumps(as_plain(estimated, days), indent=2, ensure_ascii=False))
    else:
        print_estimate(estimated, house.lake.root, days)


def models_of(house: House) -> dict[str, str]:
    """By door, the model that would be asked; doors that are left open ask none."""
    from resources.estimate import ASKED

    active = house.resources["aligner"].active(house.lake)
    models = {} if active is None else {"aligner": active.checkpoint_id}
    for name in ASKED:
        door = house.resources.get(name)
        if name != "aligner" and door is not None and door.is_set:
            models[name] = door.model
    return models


def as_plain(estimated: "Estimate", days: float | None) -> dict[str, Any]:
    """The estimate with its sums, for JSON."""
    sums = ("wall_hours", "processor_hours", "gpu_hours", "server_hours", "bytes", "unmeasured")
    plain = asdict(estimated) | {name: getattr(estimated, name) for name in sums}
    return plain if days is None else plain | {"days": days, "machines": estimated.machines(days)}


def print_estimate(estimated: "Estimate", lake: str, days: float | None) -> None:
    """Time by stage and model, room by table, and what it rests on."""
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
        f"  {escape(f'{model.door}: {model.model}{where}')}",
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
                f"{escape(model.model)} as {model.door}: reads {_many(model.prompt_tokens)} tokens, "
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
    if in_a_run < HOURS_TO_TRUST:
        notes.append(
            f"the runs that measured held {in_a_run:.2f} hours of video; a full batch holds 2, so the time to start a "
            "stage counts for too much here"
        )
    waits = estimated.gpu_hours + estimated.server_hours
    if not waits and estimated.processor_hours < BUSY_TO_TRUST * estimated.wall_hours:
        notes.append(
            "while it measured, the machine had other work to do, or waited for its disk: wall hours are too many, "
            "core hours are not"
        )
    notes.append("not counted: downloading, indexes and old versions of tables, snapshots, training")
    return notes


def _hours(hours: float | None, inputs: int) -> str:
    if hours is None:
        return "not measured" if inputs else "–"
    return _figure(hours)


def _figure(value: float | None) -> str:
    """With as many digits as it is worth: 0.04, 8.3, 12,300."""
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.2g}" if value < 1 else f"{value:.1f}"
    return f"{float(f'{value:.3g}'):,.0f}"


def _many(number: float) -> str:
    """1.2 billion."""
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.1f} {name}"
    return f"{number:,.0f}"
