"""Workers: how much of a stage's work an engine does at the same time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from resources.incremental.declaration import WorkerKind


@dataclass(frozen=True)
class Workers:
    """What works on a collection.

    cpus, gpus: of all machines together. concurrent_runs: ingest batches that are worked on at a time, each with a
    process that reads what is pending and commits. cpus_per_worker, gpus_per_worker: of the engine ray. machines: the
    number that cpus and gpus are of.
    """

    engine: Literal["local", "ray"]
    cpus: int
    gpus: int = 0
    concurrent_runs: int = 1
    cpus_per_worker: int = 1
    gpus_per_worker: float = 1.0
    machines: int = 1

    def beside(self, kind: WorkerKind | None, *, threads: float, is_on_gpu: bool) -> float:
        """Returns how many seconds of a stage's work are done in one second.

        kind: of the workers that the stage can use. threads: cores that one process kept busy when it was measured.
        is_on_gpu: whether its models ran on a GPU.
        """
        one_process = 1.0 if is_on_gpu else min(max(1.0, threads), self.cpus)
        if kind is None or (kind == "gpu" and self.engine == "local"):
            return min(one_process * self.concurrent_runs, max(1.0, self.cpus))
        if kind == "cpu" or self.engine == "local":
            return self.cpus
        return self.workers_with_models

    @property
    def workers_with_models(self) -> float:
        """The number of the engine ray's workers for stages with models: each takes a GPU, where there are any."""
        by_cpus = max(1, self.cpus // self.cpus_per_worker)
        if not self.gpus or not self.gpus_per_worker:
            return by_cpus
        return max(1, min(by_cpus, int(self.gpus / self.gpus_per_worker)))

    def times(self, machines: int) -> Workers:
        """Returns as many times the machines. With the engine local, each of them works on batches of its own."""
        runs = self.concurrent_runs * (machines if self.engine == "local" else 1)
        return replace(
            self,
            cpus=self.cpus * machines,
            gpus=self.gpus * machines,
            machines=self.machines * machines,
            concurrent_runs=runs,
        )
