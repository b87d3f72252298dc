"""The ledger of costs: what each stage spent on each partition in each run. `internvid plan` reckons from it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from resources.schema import COSTS

if TYPE_CHECKING:
    from resources.door import Door
    from resources.lake import Lake


@dataclass(frozen=True)
class Cost:
    """What an input cost. model: that was asked, empty where none was; device: where it ran, or the server's address.

    model_seconds: of several inputs in one call, this one's share. frames: decoded from video, or looked at by the
    model.
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
    def of(cls, door: Door, seconds: float, *, frames: int = 0, said: Said | None = None) -> Cost:
        """Of an input that a door's model was asked for."""
        tokens = {} if said is None else {name: getattr(said, name) or 0 for name in ("prompt_tokens", "output_tokens")}
        return cls(model=door.model, device=door.device_name, model_seconds=seconds, frames=frames, **tokens)


class Said(Protocol):
    """What a language model wrote, with its tokens: as of `Generated`."""

    @property
    def prompt_tokens(self) -> int | None: ...

    @property
    def output_tokens(self) -> int | None: ...


FREE = Cost()


def processor_seconds() -> float:
    """What this process and its children that have ended used so far, of all cores together."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


@dataclass
class Ledger:
    """Sums of what a stage spends while it runs; made as it begins."""

    bytes_written: int = 0
    processor_seconds_before: float = field(default_factory=processor_seconds)
    sums: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, cost: Cost) -> None:
        """Of one input."""
        of_model = self.sums.setdefault(cost.model, {"units": 0, "device": None})
        of_model["units"] += 1
        of_model["device"] = cost.device or of_model["device"]
        for name in SUMMED:
            of_model[name] = of_model.get(name, 0) + getattr(cost, name)

    def write(self, lake: Lake, stage: str, partition: str, run_id: str, *, units: int, wall_seconds: float) -> None:
        """A row of `costs` for the stage as a whole, and one for each model that was asked."""
        whole = self.sums.pop("", {}) | {
            "units": units,
            "wall_seconds": wall_seconds,
            "processor_seconds": processor_seconds() - self.processor_seconds_before,
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
