"""The ledger of costs: what each stage spent on each partition in each run. `internvid plan` estimates from it.

Registering files, publishing and the rest of a session are in the same ledger. Time is exclusive: what a ledger that
was written meanwhile holds is not counted a second time.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from resources.lake.schema import COSTS

if TYPE_CHECKING:
    from resources.lake.store import Lake
    from resources.models.provider import ModelProvider


# Stages of the ledger that are no stages of the lake: what they do does not divide among workers.
REGISTERING = "registering"
SESSION = "session"  # the rest of a command: its start, Dagster, the decision what is due
PUBLISHING = ("duplicates", "corpus_snapshot", "statistics", "internvid_jsonl", "report")


@dataclass(frozen=True)
class Spent:
    """Time that something took. seconds: of the wall. processor_seconds: summed over all cores and processes."""

    seconds: float = 0.0
    processor_seconds: float = 0.0

    def __add__(self, added: Spent) -> Spent:
        return Spent(self.seconds + added.seconds, self.processor_seconds + added.processor_seconds)

    def __sub__(self, taken: Spent) -> Spent:
        return Spent(self.seconds - taken.seconds, self.processor_seconds - taken.processor_seconds)

    def __truediv__(self, parts: int) -> Spent:
        return Spent(self.seconds / parts, self.processor_seconds / parts)


NOTHING = Spent()


@dataclass
class _Process:
    """What this process spent so far. children: processor seconds of children that are not its own, as they report.

    accounted: what ledgers were written of. started: what `starting` measured.
    """

    children: float = 0.0
    accounted: Spent = NOTHING
    started: Spent = NOTHING
    is_starting: bool = False


_process = _Process()


def now_spent() -> Spent:
    """Returns the time of the wall, from any beginning, and the processor time so far."""
    return Spent(time.monotonic(), processor_seconds())


def processor_seconds() -> float:
    """Returns the processor time of this process and its ended children so far, summed over all cores."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + _process.children


def note_processor_seconds(seconds: float, *, of_start: float) -> None:
    """Adds the processor time of a child that the kernel does not count for this process: its parent is a server.

    of_start: what the child's start took beside `seconds`. There are as many children however many inputs follow.
    """
    _process.children += seconds + of_start
    _process.started += Spent(0.0, of_start)


@contextmanager
def starting() -> Iterator[None]:
    """Counts the block as the start of a stage: what it takes however many inputs follow, as loading a model does."""
    if _process.is_starting:  # part of a start that is measured already
        yield
        return
    _process.is_starting, before = True, now_spent()
    try:
        yield
    finally:
        _process.is_starting = False
        _process.started += now_spent() - before


def nothing() -> Spent:
    return NOTHING


def started() -> Spent:
    """Returns what the starts of this process took so far."""
    return _process.started


@dataclass(frozen=True)
class Cost:
    """Cost of one unit.

    model: the model that was called, empty where none was. device: the device it ran on, or the server's address.
    model_seconds, processor_seconds: time of the call, of the wall and of all cores; of a call with several units, this
    unit's share. frames: number of frames decoded from video, or given to the model.
    """

    model: str = ""
    device: str | None = None
    model_seconds: float = 0.0
    processor_seconds: float = 0.0
    video_seconds: float = 0.0
    frames: int = 0
    bytes_read: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0

    @classmethod
    def of(cls, provider: ModelProvider, spent: Spent, *, frames: int = 0, tokens: TokenCounts | None = None) -> Cost:
        """Cost of a unit that a provider's model was called for. spent: time of the model."""
        names = () if tokens is None else ("prompt_tokens", "output_tokens")
        counts = {name: getattr(tokens, name) or 0 for name in names}
        return cls(
            model=provider.model,
            device=provider.device_name,
            model_seconds=spent.seconds,
            processor_seconds=spent.processor_seconds,
            frames=frames,
            **counts,
        )


class TokenCounts(Protocol):
    """The token counts of a model's answer, as `internvid.text.generated.Generated` has them."""

    @property
    def prompt_tokens(self) -> int | None: ...

    @property
    def output_tokens(self) -> int | None: ...


FREE = Cost()


@dataclass
class Ledger:
    """Sums what a stage spends while it runs. It is created when the stage starts.

    clock, starts: return the processor time so far, and what starts took, of all processes that compute the stage.
    Beside stages, starts are not told apart.
    units: inputs that were worked on. commits: what committing rows took.
    """

    clock: Callable[[], float] = processor_seconds
    starts: Callable[[], Spent] = nothing
    units: int = 0
    bytes_written: int = 0
    commits: Spent = NOTHING
    sums: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before = now_spent()
        self._accounted_before = _process.accounted
        self._clock_before, self._starts_before = self.clock(), self.starts()

    def add(self, cost: Cost) -> None:
        """Adds the cost of one unit."""
        of_model = self.sums.setdefault(cost.model, {"units": 0, "device": None})
        of_model["units"] += 1
        of_model["device"] = cost.device or of_model["device"]
        for name in SUMMED:
            of_model[name] = of_model.get(name, 0) + getattr(cost, name)

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Counts the block as committing rows."""
        before = now_spent()
        try:
            yield
        finally:
            self.commits += now_spent() - before

    def write(self, lake: Lake, stage: str, partition: str, run_id: str) -> None:
        """Writes a row of `costs` for the stage as a whole, and a row for each model that was called."""
        here = now_spent() - self._before  # in this process
        of_others = _process.accounted - self._accounted_before
        starts = self.starts() - self._starts_before
        whole = self.sums.pop("", {}) | {
            "units": self.units,
            "wall_seconds": here.seconds - of_others.seconds,
            "processor_seconds": self.clock() - self._clock_before - of_others.processor_seconds,
            "start_wall_seconds": starts.seconds,
            "start_processor_seconds": starts.processor_seconds,
            "commit_wall_seconds": self.commits.seconds,
            "commit_processor_seconds": self.commits.processor_seconds,
            "model_seconds": None,
            "bytes_written": self.bytes_written,
        }
        rows = [
            {
                **sums,
                "cost_id": f"{run_id}/{stage}/{partition}/{model}",
                "stage": stage,
                "partition": partition,
                "model": model,
                "run_id": run_id,
                "written_at": datetime.now(UTC),
            }
            for model, sums in {"": whole, **self.sums}.items()
        ]
        lake.upsert(COSTS.name, pa.Table.from_pylist(rows, schema=COSTS.arrow))
        _process.accounted = self._accounted_before + here


@contextmanager
def recorded(lake: Lake, stage: str, *, run_id: str, partition: str = "") -> Iterator[Ledger]:
    """Writes what the block took into `costs`, as a stage of its own, if the block sets the ledger's `units`."""
    ledger = Ledger()
    yield ledger
    if ledger.units:
        ledger.write(lake, stage, partition, run_id)


def clips_in(lake: Lake) -> int:
    """Returns the number of clips, with which publishing grows."""
    return lake.dataset("clips").count_rows()


SUMMED = tuple(of_cost.name for of_cost in fields(Cost) if of_cost.name not in ("model", "device"))
