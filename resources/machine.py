"""What this machine has that the pipeline needs: processors, memory, GPUs, decoders, room on its disks.

Looks only, and loads nothing large: torch is asked what it was built for without importing it, which takes seconds.
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
    """memory_bytes: None where the driver does not tell."""

    name: str
    memory_bytes: int | None


@dataclass(frozen=True)
class Machine:
    """processors: that this process may use. memory_bytes: of the machine or of its container, whichever is less.

    torch: its version, None where it is not installed; torch_for: what it was built for, cpu, cuda or rocm.
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
        """As `internvid.viclip.device.device_named`, but without torch: auto is a GPU where one can be used."""
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
    """By name the version of each decoder of video, or why it cannot be used: a wheel may be there and not load."""
    found: dict[str, str | Exception] = {}
    for name in ("av", "decord"):
        try:
            module = importlib.import_module(name)
            inside = f", FFmpeg {module.ffmpeg_version_info} inside" if name == "av" else ""
            found[name] = f"{module.__version__}{inside}"
        except (ImportError, OSError, RuntimeError) as error:
            found[name] = error
    return found


def free_bytes(folder: Path) -> int:
    """Room for a folder that may not be there yet."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def _memory() -> tuple[int, int]:
    """In all, and available."""
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
    """The number in a file of the system; None without the file, or where it says "max"."""
    text = file.read_text().strip() if file.exists() else ""
    return int(text) if text.isdigit() else None


def _gpus() -> tuple[Gpu, ...]:
    """NVIDIA's, by its tool where it is installed, else by its driver, which does not tell their memory."""
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
    found = importlib.util.find_spec("torch")
    if found is None or not found.submodule_search_locations:
        return None, None
    path = Path(found.submodule_search_locations[0], "version.py")
    spec = importlib.util.spec_from_file_location("torch_version", path)
    assert spec is not None
    assert spec.loader is not None
    version = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(version)
    built_for = "cuda" if version.cuda else "rocm" if getattr(version, "hip", None) else "cpu"
    return version.__version__, built_for
