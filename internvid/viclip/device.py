"""The device that models run on, and how well it is used."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


def device_named(name: str) -> torch.device:
    """Returns the torch device of that name; "auto" is a GPU if there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@dataclass(frozen=True)
class Use:
    """How well a device is used; its text is for people.

    waiting_share: share of the time in which it had nothing to do. peak_share: useful arithmetic of a second as a share
    of what the GPU was measured to do; None on a CPU. memory_bytes: most that was held so far.
    """

    clips_per_second: float
    waiting_share: float
    peak_share: float | None
    memory_bytes: int

    def __str__(self) -> str:
        of_peak = "" if self.peak_share is None else f"{self.peak_share:.0%} of the GPU's peak, "
        return (
            f"{self.clips_per_second:,.1f} clips a second, waiting {self.waiting_share:.0%} of the time, {of_peak}"
            f"{self.memory_bytes / 2**30:.1f} GiB"
        )


def peak_memory_bytes(device: torch.device) -> int:
    """Returns the most memory held so far, of the GPU or else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Waits:
    """Measures how long a device has nothing to do: it waits for data, for the log, or for a saved state."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pauses: list[tuple[Any, Any]] = []
        self._seconds = 0.0

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Encloses what this process does between two pieces of the device's work.

        A GPU still computes the first piece at the beginning of it, so the time is taken by the GPU.
        """
        if self.device.type != "cuda":
            began = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - began
            return
        stream = torch.cuda.current_stream(self.device)
        ended, began_again = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        ended.record(stream)
        yield
        began_again.record(stream)
        self._pauses.append((ended, began_again))

    def take(self) -> float:
        """Returns the seconds of the pauses since the last call. Waits for the last of them."""
        for ended, began_again in self._pauses:
            began_again.synchronize()
            self._seconds += ended.elapsed_time(began_again) / 1000
        seconds, self._seconds, self._pauses = self._seconds, 0.0, []
        return seconds
