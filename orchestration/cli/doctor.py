"""`internvid doctor`: reports whether each model can run here, and what to do if not. Loads and downloads nothing."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.cli.options import LakeOption, ProfileOption, ProviderOption, settings_of
from orchestration.cli.output import console
from resources.lake.paths import local_path

if TYPE_CHECKING:
    from resources.lake.store import Lake
    from resources.models.machine import Machine
    from resources.models.provider import ModelProvider

MIN_FREE_BYTES = 5 << 30  # a batch of two hours writes some gigabytes of frames, and a full disk ends it
STATES = {"none": "not set", "broken": "[red]broken[/red]"} | {
    state: f"[red]{state}[/red]" for state in ("missing", "unreachable")
}


@dataclass(frozen=True)
class ProviderReport:
    """State of a provider. state: as in `Readiness`, or broken where the check failed. where: device or server."""

    provider: str
    kind: str
    model: str | None
    revision: str | None
    state: str
    size_bytes: int | None
    where: str | None
    advice: str

    @property
    def can_run(self) -> bool:
        """Whether the model can run; True for a provider that is not enabled, which is a valid choice."""
        return self.state in ("ready", "none")


@dataclass(frozen=True)
class Part:
    """Another part of the environment. problem: empty where there is none. is_vital: nothing works without it."""

    name: str
    value: str
    problem: str = ""
    is_vital: bool = True


def doctor(
    lake: LakeOption = None,
    profile: ProfileOption = None,
    provider: ProviderOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Report which model each provider uses, whether it can run here, and what to do if not. Exit code 1 if not."""
    from orchestration.configured import configured
    from resources.models.machine import this_machine

    settings = settings_of(lake, profile, provider)
    try:
        resources = configured(settings)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    machine = this_machine()
    providers = [*examined(resources, machine), aligner_of(resources, machine)]
    parts = parts_of(machine, resources["lake"].root, resources["media"].root)
    is_well = all(report.can_run for report in providers) and not any(part.problem and part.is_vital for part in parts)
    if as_json:
        about = {
            "profile": settings.profile,
            "providers": providers,
            "machine": machine,
            "parts": parts,
            "is_well": is_well,
        }
        typer.echo(json.dumps(about, default=asdict, indent=2, ensure_ascii=False))
    else:
        print_providers(providers, settings.profile)
        print_parts(parts)
    raise typer.Exit(0 if is_well else 1)


def examined(resources: Mapping[str, Any], machine: "Machine") -> list[ProviderReport]:
    """Returns a report of every provider of the profile. They run in parallel: several may wait for the same server."""
    from orchestration.profiles import KINDS

    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda name: _examined(name, resources[name], machine), KINDS))


def _examined(name: str, provider: "ModelProvider", machine: "Machine") -> ProviderReport:
    from orchestration.profiles import KINDS

    own_class = f"{type(provider).__module__}:{type(provider).__name__}"  # as a profile names a class of the user's own
    kind = next((kind for kind, of_kind in KINDS[name].items() if of_kind is type(provider)), own_class)
    try:
        readiness = provider.readiness()
        state, size, advice = readiness.state, readiness.size_bytes, readiness.advice
        # The device's own name would need torch, which takes seconds to import.
        device = getattr(provider, "device", None)
        where = machine.device_named(device) if isinstance(device, str) else provider.device_name
        model, revision = (provider.model, provider.revision) if provider.is_enabled else (None, None)
    except Exception as error:  # noqa: BLE001 - what a provider raises is what its report says
        return ProviderReport(name, kind, None, None, "broken", None, None, f"{type(error).__name__}: {error}")
    if state == "ready" and size and where is not None and size > (room := _room(machine, where)):
        advice = f"its {decimal(size)} of weights are more than the {decimal(room)} of memory there"
    return ProviderReport(name, kind, model, revision, state, size, where, advice)


def _room(machine: "Machine", where: str) -> int:
    """Returns the bytes of memory for weights: of the largest GPU, or available on the machine."""
    of_gpus = [gpu.memory_bytes for gpu in machine.gpus if gpu.memory_bytes is not None]
    if where.startswith("cuda") and of_gpus:
        return max(of_gpus)
    return machine.available_bytes


def aligner_of(resources: Mapping[str, Any], machine: "Machine") -> ProviderReport:
    """Returns a report of the active checkpoint, which the lake names, not a profile."""
    lake, aligner = resources["lake"], resources["aligner"]
    where = machine.device_named(aligner.device)
    active = aligner.active(lake) if _may_be_there(lake) and lake.exists() else None
    if active is None:
        advice = "no vectors, and no search by pictures, until a model is active; a new lake trains its first by itself"
        return ProviderReport("aligner", "checkpoint", None, None, "none", None, where, advice)
    known = {"provider": "aligner", "kind": "checkpoint", "model": active.checkpoint_id, "where": where}
    known |= {"revision": active.digest}
    folder = Path(active.path)
    if local_path(active.path) is None:
        return ProviderReport(**known, state="ready", size_bytes=None, advice="")
    if not folder.is_dir():
        advice = f"its folder {folder} is gone: `internvid train` makes another, `internvid activate` chooses one"
        return ProviderReport(**known, state="missing", size_bytes=None, advice=advice)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return ProviderReport(**known, state="ready", size_bytes=size, advice="")


def _may_be_there(lake: "Lake") -> bool:
    """Says whether there may be a lake: opening one takes seconds, which a machine without a lake need not wait."""
    return (folder := local_path(lake.root)) is None or Path(folder).is_dir()


def parts_of(machine: "Machine", lake: str, media: str) -> list[Part]:
    """Returns the parts of the environment: machine, Python, GPUs, decoders, folders."""
    from resources.media.confinement import available
    from resources.models.machine import decoders

    memory = f"{decimal(machine.memory_bytes)}, {decimal(machine.available_bytes)} of it available"
    parts = [
        Part("machine", f"{machine.system}, {machine.processors} processors, {memory}"),
        Part("python", machine.python),
        _gpus(machine),
        Part(
            "torch",
            "not installed" if machine.torch is None else f"{machine.torch}, built for {machine.torch_for}",
            problem="" if machine.torch else "no model can run without it: install the package again",
        ),
    ]
    forbidden = available()
    parts.append(
        Part("confinement", f"what decodes videos is forbidden {', '.join(forbidden)}")
        if forbidden
        else Part("confinement", "this system cannot confine what decodes videos: see SECURITY.md")
    )
    for name, version in decoders().items():
        broken = isinstance(version, Exception)
        parts.append(
            Part(
                {"av": "PyAV"}.get(name, name),
                "does not load" if broken else str(version),
                problem=f"{version}; install it again" if broken else "",
                is_vital=name == "av",
            )
        )
    folders = {"lake": lake, "media": media, "models of the hub": _hub_folder()}
    return [*parts, *(_folder(name, folder) for name, folder in folders.items())]


def _gpus(machine: "Machine") -> Part:
    if not machine.gpus:
        return Part("GPUs", "none")
    gpus = ", ".join(gpu.name + (f" ({decimal(gpu.memory_bytes)})" if gpu.memory_bytes else "") for gpu in machine.gpus)
    problem = "torch here is built for CPUs: install a build for CUDA" if machine.torch_for == "cpu" else ""
    return Part("GPUs", gpus, problem=problem, is_vital=False)


def _folder(name: str, folder: str) -> Part:
    if local_path(folder) is None:
        return Part(name, folder)
    from resources.models.machine import free_bytes

    path = Path(folder)
    free = free_bytes(path)
    value = f"{folder}, {decimal(free)} free" + ("" if path.is_dir() else " (not there yet)")
    problem = f"less than {decimal(MIN_FREE_BYTES)} free" if free < MIN_FREE_BYTES else ""
    return Part(name, value, problem=problem, is_vital=False)


def _hub_folder() -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    return HF_HUB_CACHE


def print_providers(providers: list[ProviderReport], profile: str) -> None:
    """Prints a line for each provider, then what to do."""
    table = TextTable(title=f"Models of the profile {escape(profile)}", title_justify="left")
    for name in ("provider", "kind", "model", "state", "size", "where"):
        table.add_column(name, overflow="fold")  # a name that is cut off cannot be copied
    for report in providers:
        revision = f" @ {report.revision[:8]}" if report.revision else ""
        table.add_row(
            report.provider,
            report.kind,
            escape(f"{report.model or '–'}{revision}"),
            STATES.get(report.state, report.state),
            decimal(report.size_bytes) if report.size_bytes else "–",
            escape(report.where or "–") if report.state != "none" else "–",
        )
    console.print(table)
    to_do = [report for report in providers if report.advice and report.state != "none"]
    left_open = [report for report in providers if report.advice and report.state == "none"]
    for title, reports in (("What to do", to_do), ("Not set, which is a choice", left_open)):
        if reports:
            console.print(f"[bold]{title}[/bold]")
        for report in reports:
            console.print(f"  {report.provider}: {escape(report.advice)}", highlight=False, soft_wrap=True)


def print_parts(parts: list[Part]) -> None:
    """Prints a line for each part, with its problem."""
    table = TextTable("part", "here", title="This machine", title_justify="left")
    for part in parts:
        colour = "red" if part.is_vital else "yellow"
        problem = f" [{colour}]({escape(part.problem)})[/{colour}]" if part.problem else ""
        table.add_row(part.name, escape(part.value) + problem)
    console.print(table)
