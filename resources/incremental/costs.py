"""The ledger of costs: what each stage spent on each partition in each run. `internvid plan` estimates from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from resources.lake.schema import COSTS

if TYPE_CHECKING:
    from resources.lake.store import Lake
    from resources.models.provider import ModelProvider


@dataclass(frozen=True)
class Cost:
    """Cost of one unit.

    model: the model that was called, empty where none was. device: the device it ran on, or the server's address.
    model_seconds: time of the call; of a call with several units, this unit's share. frames: number of frames decoded
    from video, or given to the model.
    """

    model: str = ""
    device: str | None = None
    model_seconds: float = 0.0
    video_seconds: float = 0.0
    frames: int = 0
    bytes_read: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0

    @classmethod
    def of(cls, provider: ModelProvider, seconds: float, *, frames: int = 0, tokens: TokenCounts | None = None) -> Cost:
        """Cost of a unit that a provider's model was called for. seconds: time of the model."""
        names = () if tokens is None else ("prompt_tokens", "output_tokens")
        counts = {name: getattr(tokens, name) or 0 for name in names}
        return cls(model=provider.model, device=provider.device_name, model_seconds=seconds, frames=frames, **counts)


class TokenCounts(Protocol):
    """The token counts of a model's answer, as `internvid.text.generated.Generated` has them."""

    @property
    def prompt_tokens(self) -> int | None: ...

    @property
    def output_tokens(self) -> int | None: ...


FREE = Cost()


def processor_seconds() -> float:
    """Returns the processor time of this process and its ended children so far, summed over all cores."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


@dataclass
class Ledger:
    """Sums what a stage spends while it runs. It is created when the stage starts.

    clock: returns the processor time so far of all processes that compute the stage.
    """

    clock: Callable[[], float] = processor_seconds
    bytes_written: int = 0
    sums: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.processor_seconds_before = self.clock()

    def add(self, cost: Cost) -> None:
        """Adds the cost of one unit."""
        of_model = self.sums.setdefault(cost.model, {"units": 0, "device": None})
        of_model["units"] += 1
        of_model["device"] = cost.device or of_model["device"]
        for name in SUMMED:
            of_model[name] = of_model.get(name, 0) + getattr(cost, name)

    def write(self, lake: Lake, stage: str, partition: str, run_id: str, *, units: int, wall_seconds: float) -> None:
        """Writes a row of `costs` for the stage as a whole, and a row for each model that was called."""
        whole = self.sums.pop("", {}) | {
            "units": units,
            "wall_seconds": wall_seconds,
            "processor_seconds": self.clock() - self.processor_seconds_before,
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


SUMMED = tuple(of_cost.name for of_cost in fields(Cost) if of_cost.name not in ("model", "device"))
