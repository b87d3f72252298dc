"""Inspects this machine: processors, memory, GPUs, decoders, free disk space.

It only reads, and loads nothing large: the build of torch is read without importing it, which would take seconds.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SECONDS_FOR_NVIDIA_SMI = 5.0
NO_LIMIT = 1 << 60  # bytes: some kernels write "no limit" of memory as a number of that size


@dataclass(frozen=True)
class Gpu:
    """A GPU. memory_bytes: None where the driver does not report it."""

    name: str
    memory_bytes: int | None


@dataclass(frozen=True)
class Machine:
    """This machine.

    processors: number that this process may use. memory_bytes: memory of the machine or of its container, whichever is
    less. torch: its version, None where it is not installed. torch_for: the platform of its build: cpu, cuda or rocm.
    """

    system: str
    python: str
    processors: int
    memory_bytes: int
    available_bytes: int
    gpus: tuple[Gpu, ...]
    torch: str | None
    torch_for: str | None

    def device_named(self, name: str) -> str:
        """Returns the device like `internvid.viclip.device.device_named`, but without importing torch."""
        if name != "auto":
            return name
        return "cuda" if self.gpus and self.torch_for in ("cuda", "rocm") else "cpu"


def this_machine() -> Machine:
    torch, torch_for = _torch_build()
    memory, available = _memory()
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        processors=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=memory,
        available_bytes=available,
        gpus=_gpus(),
        torch=torch,
        torch_for=torch_for,
    )


def decoders() -> dict[str, str | Exception]:
    """Returns the version of each video decoder, or the error of its import, by name."""
    versions: dict[str, str | Exception] = {}
    for name in ("av",):
        try:
            module = importlib.import_module(name)
            inside = f", FFmpeg {module.ffmpeg_version_info} inside" if name == "av" else ""
            versions[name] = f"{module.__version__}{inside}"
        except (ImportError, OSError, RuntimeError) as error:
            versions[name] = error
    return versions


def free_bytes(folder: Path) -> int:
    """Returns the free bytes on the disk of a folder that may not exist yet."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def _memory() -> tuple[int, int]:
    """Returns the total and the available memory, in bytes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    available = total
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        available = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = (_number(Path("/sys/fs/cgroup", name)) for name in ("memory.max", "memory.current"))
    if limit is not None and limit < min(total, NO_LIMIT):
        return limit, min(available, limit - (used or 0))
    return total, available


def _number(file: Path) -> int | None:
    """Returns the number in a file of the system; None where the file is missing or contains "max"."""
    text = file.read_text().strip() if file.exists() else ""
    return int(text) if text.isdigit() else None


def _gpus() -> tuple[Gpu, ...]:
    """Returns NVIDIA's GPUs, by nvidia-smi where it is installed, else by the driver, which does not report memory."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        files = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        return tuple(Gpu(_model_of(file), None) for file in files)
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=SECONDS_FOR_NVIDIA_SMI, check=True)
    except (subprocess.SubprocessError, OSError):
        return ()  # the tool without a driver, as in images for GPUs that run on a machine without one
    rows = [line.rsplit(",", 1) for line in done.stdout.splitlines() if "," in line]
    return tuple(Gpu(name.strip(), int(memory) << 20 if memory.strip().isdigit() else None) for name, memory in rows)


def _model_of(information: Path) -> str:
    lines = dict(line.split(":", 1) for line in information.read_text().splitlines() if ":" in line)
    return lines.get("Model", "NVIDIA GPU").strip()


def _torch_build() -> tuple[str | None, str | None]:
    package = importlib.util.find_spec("torch")
    if package is None or not package.submodule_search_locations:
        return None, None
    path = Path(package.submodule_search_locations[0], "version.py")
    spec = importlib.util.spec_from_file_location("torch_version", path)
    assert spec is not None
    assert spec.loader is not None
    version = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(version)
    built_for = "cuda" if version.cuda else "rocm" if getattr(version, "hip", None) else "cpu"
    return version.__version__, built_for
