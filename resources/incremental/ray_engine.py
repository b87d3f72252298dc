"""The engine `ray`: workers on the machines of a Ray cluster compute chunks; the outcomes come back to this process.

A worker is a process that builds lake, media store and models once, from the settings of the run, and computes chunk
after chunk with the stages' own functions. It reads from the lake and the media store by itself, so every machine must
reach both. A model or an open file never travels: units go out, rows come back as Arrow batches.

A worker that is lost, alone or with its machine, is replaced where there is room. The units that it was computing are
computed again one by one, so that a unit that ends its worker each time fails alone. `ray` is imported only where it is
used.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
import time
import traceback
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

from resources.incremental.costs import NOTHING, Spent, processor_seconds, started
from resources.incremental.declaration import Computation, StageDefinition, StageRun, StageScope
from resources.incremental.engine import chunks, computed
from resources.incremental.faults import ServerUnreachable, SystemFault, raising_faults
from resources.incremental.stage import Compute, Done, Failed, Outcome, Rows, Stage, Unit
from resources.media.child_process import portable

# Of each worker: it finds the next chunk there when it has computed one, even while this process commits.
CHUNKS_PER_WORKER = 2
SMALL_CHUNKS_PER_WORKER = 4  # in all, where chunks are divisible: the last worker to finish then keeps few waiting
MAX_LOSSES = 3  # workers that a unit may end before it fails; and workers that may end before they are ready
BYTES_PER_MESSAGE = 16 << 20  # of rows; one unit may have more
SECONDS_PER_MESSAGE = 1.0
SECONDS_BETWEEN_NOTES = 60.0
SECONDS_FOR_ANSWER = 10.0
LOCAL_OBJECT_STORE_BYTES = 512 << 20  # what does not fit is written to the disk

Loaded = tuple[Mapping[str, StageDefinition], Mapping[str, Any]]


class WorkerLost(RuntimeError):
    """The worker that computed the unit died, each time that it was tried."""


# --- in the workers -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Order:
    """The stage that a worker computes, in a run. versions: those that the rows will carry."""

    stage: str
    versions: list[dict[str, Any]]
    partition: str
    run_id: str
    config: Any


@dataclass
class _Message:
    """Outcomes of some units, with their rows in full. error: what ended the chunk before its end."""

    outcomes: list[Outcome] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)  # of the log
    processor_seconds: float = 0.0
    started: Spent = NOTHING
    error: BaseException | None = None


class Worker:
    """The actor. load: builds stages and resources, by name, on the worker's machine."""

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._load = load
        self._loaded: Loaded | None = None
        self._computation: tuple[_Order, Stage, Computation] | None = None
        self._message = _Message()

    def ready(self) -> None:
        """Returns when the worker has started."""

    def outcomes(self, order: _Order, chunk: list[Unit]) -> Iterator[_Message]:
        """Computes the chunk. An error ends the last message, because one that is raised would lose its class."""
        used, started_before = processor_seconds(), started()
        size, since = 0, time.monotonic()
        try:
            with raising_faults():
                stage, computation = self._computed_by(order)
                for outcome in computed(stage, computation, chunk):
                    self._message.outcomes.append(_in_full(outcome))
                    size += _size(self._message.outcomes[-1])
                    if size >= BYTES_PER_MESSAGE or time.monotonic() - since >= SECONDS_PER_MESSAGE:
                        yield self._taken()
                        size, since = 0, time.monotonic()
        except Exception as error:  # noqa: BLE001 - the boundary: it is raised again in the process of the run
            if not isinstance(error, SystemFault):
                error.add_note(f"in a worker on {platform.node()}:\n{traceback.format_exc()}")
            self._message.error = portable(error)
        self._message.processor_seconds = processor_seconds() - used  # of children too: they have ended by now
        self._message.started = started() - started_before
        yield self._taken()

    def _taken(self) -> _Message:
        message, self._message = self._message, _Message()
        return message

    def _computed_by(self, order: _Order) -> tuple[Stage, Computation]:
        """Returns the stage of the order as this worker computes it. Raises SystemFault where it would be another."""
        if self._computation is None or self._computation[0] != order:
            if self._loaded is None:
                self._loaded = self._load()
            definitions, resources = self._loaded
            definition, lake = definitions[order.stage], resources["lake"]
            run = StageRun(
                lake,
                order.partition,
                order.run_id,
                lambda line: self._message.lines.append(line),
                order.config,
                partition_column=definition.partition,
            )
            stage = definition.configured(StageScope(lake, order.partition, order.config), resources)
            if stage.stage_versions() != order.versions:
                own, wanted = (
                    {row["version"] for row in versions} for versions in (stage.stage_versions(), order.versions)
                )
                raise SystemFault(
                    f"a worker on {platform.node()} computes {order.stage} in another version than the run: "
                    f"{'; '.join(sorted(own - wanted))} and not {'; '.join(sorted(wanted - own))}. Install the same "
                    "version of the software and its models on every machine"
                )
            self._computation = (order, stage, Computation(definition, run, resources))
        return self._computation[1:]


def _in_full(outcome: Outcome) -> Outcome:
    """Reads the outcome's rows, which may lie in a file of this machine."""
    match outcome:
        case Done():
            rows = tuple(Rows(rows.count, list(rows.batches)) for rows in outcome.rows)
            if outcome.release is not None:
                outcome.release()
            return replace(outcome, rows=rows, release=None)
        case Failed():
            return replace(outcome, error=portable(outcome.error))
    return outcome


def _size(outcome: Outcome) -> int:
    """Returns the number of bytes of the outcome's rows."""
    return sum(batch.nbytes for rows in outcome.rows for batch in rows.batches) if isinstance(outcome, Done) else 0


# --- in the process of the run --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Room:
    """What a worker takes of its machine."""

    cpus: float
    gpus: float

    def workers_on(self, machine: Mapping[str, float]) -> int:
        """Returns the number of workers that the machine, with its resources as Ray names them, has room for."""
        shares = [machine.get("CPU", 0) / self.cpus]
        if self.gpus:
            shares.append(machine.get("GPU", 0) / self.gpus)
        return int(min(shares))

    def __str__(self) -> str:
        return f"{self.cpus:g} cores" + (f" and {self.gpus:g} GPUs" if self.gpus else "")


@dataclass(eq=False)
class _Handle:
    """A worker as this process knows it.

    started: Ray's reference to its start, None once it is ready. calls: what Ray returned for each chunk in its hands,
    in their order -> the units whose outcomes have not come, by key.
    """

    actor: Any
    started: Any
    calls: dict[Any, dict[str, Unit]] = field(default_factory=dict)

    @property
    def has_time(self) -> bool:
        return self.started is None and len(self.calls) < CHUNKS_PER_WORKER


@dataclass(eq=False)
class RayEngine:
    """Computes the units of stages that allow it on the workers of a Ray cluster, which live as long as this process.

    load: builds stages and resources in a worker; it is pickled. address: of the cluster, None to start Ray on this
    machine alone. max_workers: None for as many as the cluster has room for. cpus_per_worker: cores of each, which are
    as many decoding processes. gpus_per_worker: GPUs of each, for stages with models, if the cluster has GPUs.
    """

    load: Callable[[], Loaded]
    address: str | None = None
    max_workers: int | None = None
    cpus_per_worker: int = 1
    gpus_per_worker: float = 1.0
    _room: _Room | None = field(default=None, init=False)
    _workers: list[_Handle] = field(default_factory=list, init=False)
    _failed_starts: int = field(default=0, init=False)  # since the last that went well
    _processor_seconds: float = field(default=0.0, init=False)
    _started: Spent = field(default=NOTHING, init=False)

    def processor_seconds(self) -> float:
        return processor_seconds() + self._processor_seconds

    def started(self) -> Spent:
        return started() + self._started

    def outcomes(self, stage: Stage, compute: Compute, units: list[Unit]) -> Iterator[Outcome]:
        """Yields outcomes as they come. The memory that they take is bounded by the chunks in the workers' hands.

        compute: a Computation. Raises SystemFault where Ray is not installed or its cluster does not answer, has no
        room for a worker, or cannot start one.
        """
        if not units:
            return
        assert isinstance(compute, Computation), "a worker finds the function by the name of its stage"
        ray = self._connected()
        self._have_workers(ray, compute.definition)
        waiting = deque(chunks(units, self._chunk_size(stage, len(units))))
        run = compute.run
        order = _Order(stage.name, stage.stage_versions(), run.partition, run.run_id, run.config)
        losses: Counter[str] = Counter()
        try:
            while waiting or any(worker.calls for worker in self._workers):
                self._hand_out(waiting, order)
                for worker, reference in self._news(ray, run.log):
                    try:
                        message = self._received(ray, worker, reference)
                    except ray.exceptions.RayError as error:
                        yield from self._replaced(ray, worker, error, waiting, losses)
                        break  # what else is known of it is of no use
                    if message is not None:
                        yield from self._taken(worker.calls[reference], message, run.log)
        finally:
            if any(worker.calls for worker in self._workers):  # the run ends before its time
                self._end_workers(ray)

    # --- the cluster and its workers

    def _connected(self) -> ModuleType:
        """Returns the module `ray`, connected to the cluster, or to a Ray of this process that ends with it."""
        try:
            import ray
        except ImportError as error:
            raise SystemFault(
                "INTERNVID_ENGINE is ray, and the package ray is not installed: `pip install 'ray>=2.60,<3'`, or set "
                "INTERNVID_ENGINE=local"
            ) from error
        if ray.is_initialized():
            return ray
        if self.address:
            _require_answer(self.address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
        on_this_machine = {"include_dashboard": False, "object_store_memory": LOCAL_OBJECT_STORE_BYTES}
        try:
            with warnings.catch_warnings():
                # It forks to start its own programs, which use no table.
                warnings.filterwarnings("ignore", "lance is not fork-safe")
                ray.init(
                    self.address or "local",
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    **({} if self.address else on_this_machine),
                )
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            place = f"the Ray cluster at {self.address} cannot be joined" if self.address else "Ray does not start here"
            raise ServerUnreachable(
                f"{place}: {error}. A machine of a run is part of the cluster itself: `ray start --address=HOST:PORT`"
            ) from error
        return ray

    def _have_workers(self, ray: ModuleType, definition: StageDefinition) -> None:
        """Starts the workers that are missing. Workers of another size are ended, or they would take up the room."""
        has_gpus = any(machine.get("GPU") for machine in _machines(ray))
        room = _Room(self.cpus_per_worker, self.gpus_per_worker if definition.workers == "gpu" and has_gpus else 0.0)
        if room != self._room:
            self._end_workers(ray)
            self._room = room
        self._start_missing(ray)

    def _start_missing(self, ray: ModuleType) -> None:
        """Starts as many workers as the cluster has room for. Raises SystemFault where it has none."""
        assert self._room is not None
        machines = _machines(ray)
        room_for = sum(self._room.workers_on(machine) for machine in machines)
        if not room_for:
            raise SystemFault(
                f"no machine of the Ray cluster has room for a worker of {self._room}: the machines have "
                f"{', '.join(str(dict(machine)) for machine in machines) or 'nothing'}. Lower INTERNVID_WORKERS or "
                "INTERNVID_RAY_GPUS_PER_WORKER"
            )
        # Where a worker waits for room that another run takes up, the others work meanwhile.
        actor_class = ray.remote(num_cpus=self._room.cpus, num_gpus=self._room.gpus, max_restarts=0)(Worker)
        while len(self._workers) < min(room_for, self.max_workers or room_for):
            actor = actor_class.remote(self.load)
            self._workers.append(_Handle(actor, actor.ready.remote()))

    def _end_workers(self, ray: ModuleType) -> None:
        for worker in self._workers:
            ray.kill(worker.actor)
        self._workers.clear()

    # --- chunks and outcomes

    def _chunk_size(self, stage: Stage, units: int) -> int:
        """Returns the stage's own chunk size, so that a model sees the batches that it would see in one process; where
        chunks are divisible, one that gives every worker several of them."""
        if not stage.is_divisible:
            return stage.chunk_size
        return min(stage.chunk_size, -(-units // (SMALL_CHUNKS_PER_WORKER * len(self._workers))))

    def _hand_out(self, waiting: deque[list[Unit]], order: _Order) -> None:
        """Gives waiting chunks to workers that have time, those with the fewest chunks first."""
        while waiting and (free := [worker for worker in self._workers if worker.has_time]):
            worker = min(free, key=lambda worker: len(worker.calls))
            chunk = waiting.popleft()
            call = worker.actor.outcomes.options(num_returns="streaming").remote(order, chunk)
            worker.calls[call] = {unit.key: unit for unit in chunk}

    def _news(self, ray: ModuleType, log: Callable[[str], object]) -> Iterator[tuple[_Handle, Any]]:
        """Waits until a worker has started, sent a message, ended a chunk or died. Yields it, with Ray's reference."""
        by_reference = {reference: worker for worker in self._workers for reference in worker.calls}
        by_reference |= {worker.started: worker for worker in self._workers if worker.started is not None}
        while True:
            news, _ = ray.wait(list(by_reference), num_returns=1, timeout=SECONDS_BETWEEN_NOTES)
            if news:
                break
            if not any(worker.calls for worker in self._workers):
                log(f"waiting for a worker of {self._room}: others have taken the cluster's room")
        for reference in news:
            yield by_reference[reference], reference

    def _received(self, ray: ModuleType, worker: _Handle, reference: Any) -> _Message | None:
        """Returns the message that has come; None for a start and for the end of a chunk.

        Raises a RayError for a worker that was lost.
        """
        if reference is worker.started:
            ray.get(reference)
            worker.started = None
            self._failed_starts = 0
            return None
        try:
            message: _Message = ray.get(next(reference))
        except StopIteration:
            del worker.calls[reference]
            return None
        return message

    def _taken(self, not_come: dict[str, Unit], message: _Message, log: Callable[[str], object]) -> Iterator[Outcome]:
        for line in message.lines:
            log(line)
        self._processor_seconds += message.processor_seconds
        # Workers start beside each other: the wall's seconds of one of them are those of all.
        together = message.started.seconds / max(1, len(self._workers))
        self._started += Spent(together, message.started.processor_seconds)
        for outcome in message.outcomes:
            del not_come[outcome.unit.key]
            yield outcome
        if message.error is not None:
            raise message.error

    def _replaced(
        self, ray: ModuleType, lost: _Handle, error: Exception, waiting: deque[list[Unit]], losses: Counter[str]
    ) -> Iterator[Outcome]:
        """Starts another worker, and makes what is left of the lost one's chunks wait again.

        Yields a failure for a unit that so many workers died of.
        """
        self._workers.remove(lost)
        ray.kill(lost.actor)  # it may only be out of reach
        if lost.started is not None:
            self._failed_starts += 1
            if self._failed_starts >= MAX_LOSSES:
                raise SystemFault(
                    f"workers do not start on the Ray cluster: {_last_line(error)}. Install the software, in the "
                    "same version, on every machine"
                ) from error
        running, *later = [[*units.values()] for units in lost.calls.values() if units] or [[]]
        waiting.extendleft(later)
        for unit in running:
            losses[unit.key] += 1
            if losses[unit.key] < MAX_LOSSES:
                waiting.appendleft([unit])
            else:
                text = f"{MAX_LOSSES} workers died while they computed it; the last: {_last_line(error)}"
                yield Failed(unit, WorkerLost(text))
        self._start_missing(ray)


def _require_answer(address: str) -> None:
    """Raises ServerUnreachable where nothing listens at HOST:PORT: Ray itself would try for many minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS_FOR_ANSWER).close()
    except (OSError, ValueError) as error:
        raise ServerUnreachable(
            f"no Ray cluster answers at {address}: {error}. Start its head, or set INTERNVID_RAY_ADDRESS to its "
            "HOST:PORT"
        ) from error


def _last_line(error: Exception) -> str:
    """Returns the last line of Ray's text: before it stand tracebacks, and which of Ray's processes did what."""
    return str(error).strip().splitlines()[-1].strip()


def _machines(ray: ModuleType) -> list[Mapping[str, float]]:
    """Returns the resources of each machine of the cluster, as Ray names them: CPU, GPU, …"""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
