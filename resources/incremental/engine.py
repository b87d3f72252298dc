"""Engines: where the chunks of a stage are computed. The outcomes always come back to the process of the run.

`LocalEngine` computes them in the process of the run, whose child processes decode videos. The engine `ray`
(`resources.incremental.ray_engine`) has workers on any number of machines. Both call the stage's own function, and
nothing else differs: one process reads the state of the units and commits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from resources.incremental.costs import Spent, processor_seconds, started
from resources.incremental.faults import system_fault_of
from resources.incremental.stage import Compute, Failed, Outcome, Stage, Unit


class Engine(Protocol):
    """Computes units in chunks."""

    def outcomes(self, stage: Stage, compute: Compute, units: list[Unit]) -> Iterator[Outcome]:
        """Yields one outcome of each unit, in any order.

        Raises SystemFault where the system is at fault, and what else the stage's function raises.
        """

    def processor_seconds(self) -> float:
        """Returns the processor time that the engine's processes have used so far, summed over all cores."""

    def started(self) -> Spent:
        """Returns what starts took in the engine's processes so far: loading models, reading what is pending."""


class LocalEngine:
    """Computes chunk after chunk in this process, in the order of the units."""

    def outcomes(self, stage: Stage, compute: Compute, units: list[Unit]) -> Iterator[Outcome]:
        for chunk in chunks(units, stage.chunk_size):
            yield from computed(stage, compute, chunk)

    def processor_seconds(self) -> float:
        return processor_seconds()

    def started(self) -> Spent:
        return started()


def chunks(units: list[Unit], size: int) -> list[list[Unit]]:
    """Divides the units into chunks of `size` units; the last may be smaller."""
    return [units[first : first + size] for first in range(0, len(units), size)]


def computed(stage: Stage, compute: Compute, chunk: list[Unit]) -> Iterator[Outcome]:
    """Calls the stage's function once; yields its outcomes.

    Raises SystemFault in place of an outcome that failed by a fault of the system, and RuntimeError for another number
    of outcomes than units.
    """
    count = 0
    for outcome in compute(chunk):
        if isinstance(outcome, Failed) and (fault := system_fault_of(outcome.error)):
            raise fault from outcome.error
        count += 1
        yield outcome
    if count != len(chunk):
        raise RuntimeError(f"{stage.name}: its function returned {count} outcomes for {len(chunk)} units")
