"""`internvid doctor`: what would run here, whether it can, and what to do if not. Loads no model, downloads nothing."""

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.options import DoorOption, LakeOption, ProfileOption, choose_models
from orchestration.printing import console

if TYPE_CHECKING:
    from resources.door import Door
    from resources.lake import Lake
    from resources.machine import Machine

LEAST_FREE_BYTES = 5 << 30  # a batch of two hours writes some gigabytes of frames, and a full disk ends it
STATES = {"none": "not set", "broken": "[red]broken[/red]"} | {
    state: f"[red]{state}[/red]" for state in ("missing", "unreachable")
}


@dataclass(frozen=True)
class Found:
    """A door as it stands. state: of `Readiness`, or broken where looking itself failed. where: a device, or the
    server's address; None where it does not matter.
    """

    door: str
    kind: str
    model: str | None
    revision: str | None
    state: str
    size_bytes: int | None
    where: str | None
    advice: str

    @property
    def can_run(self) -> bool:
        """Also where the door is left open: that is a choice."""
        return self.state in ("ready", "none")


@dataclass(frozen=True)
class Part:
    """Something else that is needed. problem: empty where nothing is wrong. is_vital: nothing works without it."""

    name: str
    found: str
    problem: str = ""
    is_vital: bool = True


def doctor(
    lake: LakeOption = None,
    profile: ProfileOption = None,
    door: DoorOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """What would run behind each door, whether it can run here now, and what to do if not. Exit code 1 if it cannot."""
    from orchestration.configured import configured
    from resources.machine import this_machine

    choose_models(profile, door)
    if lake is not None:
        os.environ["INTERNVID_LAKE"] = lake
    resources = configured()
    machine = this_machine()
    doors = [*examined(resources, machine), aligner_of(resources, machine)]
    parts = parts_of(machine, resources["lake"].root, resources["media"].root)
    is_well = all(found.can_run for found in doors) and not any(part.problem and part.is_vital for part in parts)
    if as_json:
        about = {"profile": _profile(), "doors": doors, "machine": machine, "parts": parts, "is_well": is_well}
        typer.echo(json.dumps(about, default=asdict, indent=2, ensure_ascii=False))
    else:
        print_doors(doors)
        print_parts(parts)
    raise typer.Exit(0 if is_well else 1)


def examined(resources: Mapping[str, Any], machine: "Machine") -> list[Found]:
    """Every door of the profile. All at once: several may wait for the same server."""
    from orchestration.profiles import KINDS

    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda name: _examined(name, resources[name], machine), KINDS))


def _examined(name: str, door: "Door", machine: "Machine") -> Found:
    from orchestration.profiles import KINDS

    kind = next(kind for kind, of_kind in KINDS[name].items() if of_kind is type(door))
    try:
        readiness = door.readiness()
        state, size, advice = readiness.state, readiness.size_bytes, readiness.advice
        # The device's own name would need torch, which takes seconds to import.
        device = getattr(door, "device", None)
        where = machine.device_named(device) if isinstance(device, str) else door.device_name
        model, revision = (door.model, door.revision) if door.is_set else (None, None)
    except Exception as error:  # noqa: BLE001 - what a door raises is what its report says
        return Found(name, kind, None, None, "broken", None, None, f"{type(error).__name__}: {error}")
    if state == "ready" and size and where is not None and size > (room := _room(machine, where)):
        advice = f"its {decimal(size)} of weights are more than the {decimal(room)} of memory there"
    return Found(name, kind, model, revision, state, size, where, advice)


def _room(machine: "Machine", where: str) -> int:
    """Bytes of memory for weights: of the largest GPU, or what is available on the machine."""
    of_gpus = [gpu.memory_bytes for gpu in machine.gpus if gpu.memory_bytes is not None]
    if where.startswith("cuda") and of_gpus:
        return max(of_gpus)
    return machine.available_bytes


def aligner_of(resources: Mapping[str, Any], machine: "Machine") -> Found:
    """The active checkpoint, which no profile names: it stands in the lake."""
    lake, aligner = resources["lake"], resources["aligner"]
    where = machine.device_named(aligner.device)
    active = aligner.active(lake) if _may_be_there(lake) and lake.exists() else None
    if active is None:
        advice = "no vectors, and no search by pictures, until a model is active; a new lake trains its first by itself"
        return Found("aligner", "checkpoint", None, None, "none", None, where, advice)
    known = {"door": "aligner", "kind": "checkpoint", "model": active.checkpoint_id, "where": where}
    known |= {"revision": active.digest}
    folder = Path(active.path)
    if "://" in active.path:
        return Found(**known, state="ready", size_bytes=None, advice="")
    if not folder.is_dir():
        advice = f"its folder {folder} is gone: `internvid train` makes another, `internvid activate` chooses one"
        return Found(**known, state="missing", size_bytes=None, advice=advice)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return Found(**known, state="ready", size_bytes=size, advice="")


def _may_be_there(lake: "Lake") -> bool:
    """Spares a machine without a lake the seconds that opening one takes."""
    return "://" in lake.root or Path(lake.root).is_dir()


def parts_of(machine: "Machine", lake: str, media: str) -> list[Part]:
    """What models and decoders run on."""
    from resources.machine import decoders

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
    found = ", ".join(
        gpu.name + (f" ({decimal(gpu.memory_bytes)})" if gpu.memory_bytes else "") for gpu in machine.gpus
    )
    problem = "torch here is built for CPUs: install a build for CUDA" if machine.torch_for == "cpu" else ""
    return Part("GPUs", found, problem=problem, is_vital=False)


def _folder(name: str, folder: str) -> Part:
    if "://" in folder:
        return Part(name, folder)
    from resources.machine import free_bytes

    path = Path(folder)
    free = free_bytes(path)
    found = f"{folder}, {decimal(free)} free" + ("" if path.is_dir() else " (not there yet)")
    problem = f"less than {decimal(LEAST_FREE_BYTES)} free" if free < LEAST_FREE_BYTES else ""
    return Part(name, found, problem=problem, is_vital=False)


def _hub_folder() -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    return HF_HUB_CACHE


def _profile() -> str:
    return os.environ.get("INTERNVID_PROFILE", "embedded")


def print_doors(doors: list[Found]) -> None:
    """A line for each door, then what to do."""
    table = TextTable(title=f"Models of the profile {escape(_profile())}", title_justify="left")
    for name in ("door", "kind", "model", "state", "size", "where"):
        table.add_column(name, overflow="fold")  # a name that is cut off cannot be copied
    for found in doors:
        revision = f" @ {found.revision[:8]}" if found.revision else ""
        table.add_row(
            found.door,
            found.kind,
            escape(f"{found.model or '–'}{revision}"),
            STATES.get(found.state, found.state),
            decimal(found.size_bytes) if found.size_bytes else "–",
            escape(found.where or "–") if found.state != "none" else "–",
        )
    console.print(table)
    to_do = [found for found in doors if found.advice and found.state != "none"]
    left_open = [found for found in doors if found.advice and found.state == "none"]
    for title, some in (("What to do", to_do), ("Not set, which is a choice", left_open)):
        if some:
            console.print(f"[bold]{title}[/bold]")
        for found in some:
            console.print(f"  {found.door}: {escape(found.advice)}", highlight=False, soft_wrap=True)


def print_parts(parts: list[Part]) -> None:
    """A line for each, with what is wrong."""
    table = TextTable("part", "here", title="This machine", title_justify="left")
    for part in parts:
        colour = "red" if part.is_vital else "yellow"
        problem = f" [{colour}]({escape(part.problem)})[/{colour}]" if part.problem else ""
        table.add_row(part.name, escape(part.found) + problem)
    console.print(table)
