"""`internvid plan`: estimates time, storage and money of a collection from what this lake measured."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.cli.options import LakeOption, ProfileOption, ProviderOption, existing
from orchestration.cli.output import console
from orchestration.cli.session import Session

if TYPE_CHECKING:
    from resources.corpus.estimate.collection import Collection
    from resources.corpus.estimate.estimate import Estimate, Quantities, StageCost
    from resources.corpus.estimate.prices import Machine, Prices
    from resources.corpus.estimate.workers import Workers

MIN_RUNS_WITH_A_RANGE = 3  # a line goes through two
MIN_BUSY_CORES = 0.5  # on average: below it, without a GPU or server, the machine was busy with other work


@dataclass(frozen=True)
class Engine:
    """The options that say what works: None where one was not given."""

    workers: int | None
    cpus: int | None
    gpus: int | None
    machines: int | None
    kind: str | None
    concurrent_runs: int


def plan(
    locations: Annotated[
        list[str] | None, typer.Argument(help="Folders, files, URLs and lists of the videos to come.")
    ] = None,
    videos: Annotated[int | None, typer.Option(min=1, help="Or their number.")] = None,
    hours: Annotated[
        float | None, typer.Option(min=0.001, help="Of video in all; else as long as in this lake.")
    ] = None,
    pending: Annotated[bool, typer.Option("--pending", help="Or what is pending in this lake.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Engine local: decoding processes; else one a core.")
    ] = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="Engine ray: cores of all machines.")] = None,
    gpus: Annotated[int | None, typer.Option(min=0, help="Engine ray: GPUs of all machines.")] = None,
    machines: Annotated[int | None, typer.Option(min=1, help="Engine ray: number of machines of the kind.")] = None,
    kind: Annotated[str | None, typer.Option(help="Kind of machine in the file of prices.")] = None,
    concurrent_runs: Annotated[int, typer.Option(min=1, help="Ingest batches that are worked on at a time.")] = 1,
    prices: Annotated[Path | None, typer.Option(help="File of prices; docs/prices.example.toml is an example.")] = None,
    days: Annotated[float | None, typer.Option(min=0.01, help="To be done in: how many machines that takes.")] = None,
    hours_per_batch: Annotated[float | None, typer.Option(help="Hours of video in one ingest batch.")] = None,
    chat: Annotated[
        str | None, typer.Option(help="Instead: what a step of training a chat takes, by a recipe such as videochat.")
    ] = None,
    generator: Annotated[
        str | None, typer.Option(help="Likewise, of training a generator, by a recipe such as t2v-sd.")
    ] = None,
    lake: LakeOption = None,
    profile: ProfileOption = None,
    provider: ProviderOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Estimate time, storage and money of a collection to come, from what this lake measured."""
    from resources.corpus.estimate.estimate import NothingMeasured, Quantities, estimate
    from resources.corpus.estimate.prices import read_prices

    if chat is not None:
        from orchestration.cli.plan_chat import plan_chat

        plan_chat(chat, lake=lake, as_json=as_json)
        return
    if generator is not None:
        from orchestration.cli.plan_generator import plan_generator

        plan_generator(generator, prices_file=prices, kind=kind, lake=lake, as_json=as_json)
        return
    if sum((bool(locations), videos is not None, pending)) != 1:
        raise typer.BadParameter("say what is to come: locations of videos, or --videos N, or --pending")
    if hours is not None and videos is None:
        raise typer.BadParameter("--hours goes with --videos")
    try:
        prices_read = None if prices is None else read_prices(prices)
        engine = Engine(workers, cpus, gpus, machines, kind, concurrent_runs)
        session = existing(lake, profile, provider)
        chosen, machine = workers_of(session, engine, prices_read)
        counts = session.counts()
        quantities = Quantities.of(session.lake)
        if pending:
            collection = _pending(session, counts, quantities)
        else:
            collection = _to_come(session, locations or [], videos, hours, quantities)
        estimated = estimate(
            session.lake,
            session.stages,
            {stage: number["total"] for stage, number in counts.items()},
            models_of(session),
            collection,
            chosen,
            prices=prices_read,
            machine=machine,
            are_videos_kept=session.settings.keep == "import",
            hours_per_batch=hours_per_batch,
        )
    except (NothingMeasured, ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        typer.echo(json.dumps(as_plain(estimated, days), indent=2, ensure_ascii=False))
    else:
        print_estimate(estimated, session.lake.root, days)


def workers_of(session: Session, engine: Engine, prices: "Prices | None") -> "tuple[Workers, Machine | None]":
    """Returns what works: the engine ray where its cores, GPUs or machines are given, else the local one.

    Raises ValueError for options that contradict each other, and for a kind of machine without prices.
    """
    from resources.corpus.estimate.workers import Workers

    of_machines = engine.machines is not None or engine.kind is not None
    of_cores = engine.cpus is not None or engine.gpus is not None
    if (engine.workers is not None) + of_machines + of_cores > 1:
        raise ValueError("give --workers for the engine local, or for the engine ray --cpus and --gpus, or --machines")
    settings = session.settings
    own_cores = settings.workers if "workers" in settings.model_fields_set else 1
    of_ray = partial(
        Workers,
        "ray",
        concurrent_runs=engine.concurrent_runs,
        cpus_per_worker=own_cores,
        gpus_per_worker=settings.ray_gpus_per_worker,
    )
    if of_machines:
        machine, number = _machine(engine.kind, prices), engine.machines or 1
        return of_ray(cpus=machine.cpus, gpus=machine.gpus).times(number), machine
    if of_cores:
        cpus = engine.cpus or os.cpu_count() or 1
        return of_ray(cpus=cpus, gpus=engine.gpus or 0), None
    return Workers("local", engine.workers or os.cpu_count() or 1, 0, engine.concurrent_runs), None


def _machine(kind: str | None, prices: "Prices | None") -> "Machine":
    if prices is None:
        raise ValueError("--machines and --kind are of a file of prices: give --prices FILE")
    if kind is None and len(prices.machines) != 1:
        raise ValueError(f"--kind says which machines; the prices have: {', '.join(prices.machines) or 'none'}")
    return prices.machine(kind or next(iter(prices.machines)))


def _to_come(
    session: Session, locations: list[str], videos: int | None, hours: float | None, quantities: "Quantities"
) -> "Collection":
    from resources.corpus.estimate.collection import Collection, listed

    if videos is not None:
        return Collection(videos, videos * quantities.mean_seconds if hours is None else hours * 3600)
    collection = listed(session.media, locations, mean_seconds=quantities.mean_seconds)
    if not collection.videos:
        raise ValueError(f"no video in {', '.join(locations)}")
    return collection


def _pending(session: Session, counts: Mapping[str, Mapping[str, int]], quantities: "Quantities") -> "Collection":
    from orchestration.due import pending_batches
    from resources.corpus.estimate.collection import pending

    return pending(
        session.lake,
        session.stages,
        {stage: number["pending"] for stage, number in counts.items()},
        batches=len(pending_batches(session.lake, session.stages, session.resources)),
        mean_seconds=quantities.mean_seconds,
    )


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
    sums = ("videos", "video_hours", "wall_hours", "processor_hours", "gpu_hours", "server_hours", "relative_error")
    plain = asdict(estimated) | {name: getattr(estimated, name) for name in (*sums, "unmeasured")}
    plain["stages"] = [
        asdict(stage)
        | {
            "wall_hours": stage.wall_hours(estimated.workers),
            "gpu_hours": stage.gpu_hours,
            "money": estimated.money_of(stage),
        }
        for stage in estimated.stages
    ]
    plain["storage"] |= {
        "total_bytes": estimated.storage.total_bytes,
        "bytes_by_group": estimated.storage.bytes_by_group,
    }
    plain |= {
        "bottleneck": estimated.bottleneck.stage,
        "money": estimated.money,
        "money_per_month": estimated.money_per_month,
    }
    del plain["prices"]
    plain["machine"] = None if estimated.machine is None else estimated.machine.model_dump()
    if estimated.prices is not None:
        plain["currency"] = estimated.prices.currency
    return plain if days is None else plain | {"days": days, "machines": estimated.machines(days)}


def print_estimate(estimated: "Estimate", lake: str, days: float | None) -> None:
    """Prints time and money by stage, storage by table, and the basis of the estimate."""
    _print_heading(estimated, lake)
    _print_time(estimated)
    _print_bottleneck(estimated)
    if days is not None:
        console.print(_machines_in(estimated, days), highlight=False, soft_wrap=True)
    _print_tokens(estimated)
    _print_storage(estimated)
    for advice in dict.fromkeys(estimated.unmeasured.values()):
        names = ", ".join(stage for stage, given in estimated.unmeasured.items() if given == advice)
        console.print(f"[yellow]not measured:[/yellow] {escape(f'{names}: {advice}')}", highlight=False, soft_wrap=True)
    for note in _notes(estimated):
        console.print(f"note: {escape(note)}", highlight=False, soft_wrap=True)


def _print_heading(estimated: "Estimate", lake: str) -> None:
    collection = estimated.collection
    lines = [
        f"[bold]{collection.videos:,} videos, {_figure(estimated.video_hours)} hours, {estimated.batches:,} ingest "
        "batches[/bold]",
        f"Measured in {escape(lake)} on {estimated.measured_videos:,} videos, {estimated.measured_hours:.2f} hours, in "
        f"{estimated.runs:,} runs",
        f"With {_workers_in_words(estimated)}",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _workers_in_words(estimated: "Estimate") -> str:
    workers = estimated.workers
    runs = f"{workers.concurrent_runs:,} batches at a time"
    if workers.engine == "local":
        return f"the engine local on {workers.cpus:,} cores, {runs}"
    machines = f"{workers.machines:,} machines, " if estimated.machine else ""
    return (
        f"the engine ray: {machines}{workers.cpus:,} cores, {workers.gpus:,} GPUs, {workers.workers_with_models:,.0f} "
        f"workers with models, {runs}"
    )


def _print_time(estimated: "Estimate") -> None:
    has_money = estimated.money is not None
    table = TextTable(title="Time", title_justify="left")
    table.add_column("stage, and its models", overflow="fold", min_width=20)
    columns = ["units", "core s", "range", "measured", "core h", "GPU h", "wall h"]
    for name in columns + ([estimated.prices.currency] if estimated.prices else []):
        table.add_column(name, justify="right")
    for stage in estimated.stages:
        money = [_figure(estimated.money_of(stage))] if has_money else []
        table.add_row(*_stage_cells(stage), _hours(stage.wall_hours(estimated.workers), stage), *money)
        for model in stage.models:
            where = f" on {model.where}" if model.where else ""
            name = escape(f"  {model.provider}: {model.model}{where}")
            core_hours = "not measured" if model.hours is None and model.inputs else _figure(model.processor_hours)
            gpu_hours = _figure(model.hours) if model.is_on_gpu else ""
            table.add_row(name, _many(model.inputs), "", "", "", core_hours, gpu_hours)
    table.add_section()
    sums = [estimated.processor_hours, estimated.gpu_hours, estimated.wall_hours]
    sums += [estimated.money] if estimated.money is not None else []
    table.add_row("[bold]all[/bold]", "", "", "", "", *map(_figure, sums))
    console.print(table)


def _stage_cells(stage: "StageCost") -> tuple[str, ...]:
    measured = f"{stage.measured_inputs:,} in {stage.runs:,}" if stage.runs else "never"
    span = (
        ""
        if stage.lowest is None or stage.runs < MIN_RUNS_WITH_A_RANGE
        else f"{_figure(stage.lowest)}-{_figure(stage.highest)}"
    )
    return (
        stage.stage,
        _many(stage.inputs),
        "" if stage.seconds_per_unit is None else _figure(stage.seconds_per_unit),
        span if stage.inputs else "",
        measured if stage.inputs or stage.runs else "",
        _hours(stage.processor_hours, stage),
        _figure(stage.gpu_hours) if stage.gpu_hours else "",
    )


def _print_bottleneck(estimated: "Estimate") -> None:
    stage, workers = estimated.bottleneck, estimated.workers
    wall, serial = stage.wall_hours(workers), sum(each.serial_hours(workers) for each in estimated.stages)
    if not estimated.wall_hours:
        return
    console.print(
        f"Bottleneck: {stage.stage}, {wall / estimated.wall_hours:.0%} of the time. More workers do not shorten "
        f"{_figure(serial)} hours ({serial / estimated.wall_hours:.0%}): starts, commits, stages of one process, "
        "registering, publishing",
        highlight=False,
        soft_wrap=True,
    )


def _machines_in(estimated: "Estimate", days: float) -> str:
    number = estimated.machines(days)
    if number is None:
        return f"In {days:g} days: no number of machines is enough; work on more batches at a time, --concurrent-runs"
    kind = "machines like this" if estimated.workers.engine == "local" else "times these cores and GPUs"
    return f"In {days:g} days: {number:,} {kind}"


def _print_tokens(estimated: "Estimate") -> None:
    for model in estimated.models:
        if model.prompt_tokens or model.output_tokens:
            console.print(
                f"{escape(model.model)} as {model.provider}: {_many(model.inputs)} requests, reads "
                f"{_many(model.prompt_tokens)} tokens, writes {_many(model.output_tokens)}",
                highlight=False,
            )


def _print_storage(estimated: "Estimate") -> None:
    storage = estimated.storage
    table = TextTable(title="Storage", title_justify="left")
    table.add_column("table")
    for name in ("rows", "data", "indexes", "old versions", "all"):
        table.add_column(name, justify="right")
    for group, size in storage.bytes_by_group.items():
        for stored in (stored for stored in storage.tables if stored.group == group):
            indexes = "not measured" if stored.index_bytes is None else decimal(stored.index_bytes)
            sizes = (decimal(stored.bytes), indexes, decimal(stored.old_bytes), decimal(stored.total_bytes))
            table.add_row(f"  {stored.name}", _many(stored.rows), *sizes)
        table.add_row(f"tables of {group}", "", "", "", "", decimal(size))
    table.add_section()
    videos = "video files, copied" if storage.are_videos_kept else "video files, where they lie: not in the sum"
    table.add_row(videos, _many(estimated.videos), "", "", "", decimal(storage.video_bytes))
    table.add_row("export, statistics, report", "", "", "", "", decimal(storage.published_bytes))
    table.add_section()
    table.add_row("[bold]all[/bold]", "", "", "", "", decimal(storage.total_bytes))
    console.print(table)
    if estimated.prices is not None and estimated.money_per_month is not None:
        price = f"{_figure(estimated.money_per_month)} {escape(estimated.prices.currency)} a month"
        console.print(f"Storage costs {price}", highlight=False)


def _notes(estimated: "Estimate") -> list[str]:
    from resources.lake.maintenance import KEEP_VERSIONS_FOR

    notes = []
    error = estimated.relative_error
    few = [stage.stage for stage in estimated.stages if stage.processor_hours and stage.relative_error is None]
    if error is not None:
        notes.append(f"core hours are right within {error:.0%} (95 %), as far as the measured runs differ")
    if few:
        notes.append(
            f"too few runs to say how much these differ from run to run: {', '.join(few)}. `internvid ingest` videos "
            "in three commands or more, of different sizes"
        )
    of_one_size = [stage.stage for stage in estimated.stages if stage.workers and stage.is_of_one_size and stage.inputs]
    if of_one_size:
        notes.append(
            f"all measured runs were of one size, so what a run takes beside loading its models counts as if it grew "
            f"with the videos: {', '.join(of_one_size)}"
        )
    idle = [stage.stage for stage in estimated.stages if not stage.inputs]
    if idle:
        notes.append(f"nothing to do as things are set: {', '.join(idle)}")
    if estimated.collection.guessed_videos:
        number = estimated.collection.guessed_videos
        notes.append(f"{number:,} videos are taken to be as long as those of the lake: their own length is not known")
    if estimated.workers.gpus and any(model.worker_hours and not model.is_on_gpu for model in estimated.models):
        notes.append("models that were measured on a processor count as such on machines with GPUs too")
    waits = estimated.gpu_hours + estimated.server_hours
    if not waits and estimated.measured_processor_hours < MIN_BUSY_CORES * estimated.measured_wall_hours:
        notes.append(
            "during the measurement, the machine was busy with other work, or waited for its disk: wall hours of "
            "starts and commits are overestimated, core hours are not"
        )
    notes.append("wall hours are those of processors and models; waiting for disks and the network comes on top")
    notes.append(
        "indexes are measured once `internvid maintain` ran; old versions are files that maintenance has rewritten: "
        f"they stay {KEEP_VERSIONS_FOR.days} days, and as long as a snapshot pins them"
    )
    notes.append("not counted: training, further publications, maintenance")
    return notes


def _hours(hours: float | None, stage: "StageCost") -> str:
    if not stage.runs:
        return "not measured" if stage.inputs else "–"
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
