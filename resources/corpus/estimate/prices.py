"""Prices: a TOML file of what machines, storage and hosted models cost. docs/prices.example.toml is an example."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from resources.corpus.estimate.estimate import ModelCost


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(_Strict):
    """A kind of machine: its cores, its GPUs, and its price in an hour.

    gpu_teraflops: what a GPU computes in a second at bfloat16, in 10^12, as its maker says.
    """

    cpus: int = Field(ge=1)
    gpus: int = Field(default=0, ge=0)
    gpu_teraflops: float | None = Field(default=None, gt=0)
    per_hour: float = Field(ge=0)


class Storage(_Strict):
    """per_gb_month: of 10^9 bytes, for a month."""

    per_gb_month: float = Field(ge=0)


class HostedModel(_Strict):
    """What a provider of models asks for: for 1,000 requests, for 1,000 tokens that the model reads or writes."""

    per_1000_requests: float = Field(default=0.0, ge=0)
    per_1000_prompt_tokens: float = Field(default=0.0, ge=0)
    per_1000_output_tokens: float = Field(default=0.0, ge=0)

    def of(self, model: ModelCost) -> float:
        return (
            model.inputs * self.per_1000_requests
            + model.prompt_tokens * self.per_1000_prompt_tokens
            + model.output_tokens * self.per_1000_output_tokens
        ) / 1000


class Prices(_Strict):
    """currency: of all prices. machines: kind -> machine. models: name of a model, as in `costs` -> its prices."""

    currency: str = Field(min_length=1)
    machines: dict[str, Machine] = {}
    storage: Storage | None = None
    models: dict[str, HostedModel] = {}

    def machine(self, kind: str) -> Machine:
        """Returns a kind of machine. Raises ValueError for a kind that is not in the file."""
        if kind not in self.machines:
            there_are = ", ".join(self.machines) or "none"
            raise ValueError(f"the prices have no machines of the kind {kind!r}; there are: {there_are}")
        return self.machines[kind]


def read_prices(file: Path) -> Prices:
    """Reads a file of prices. Raises ValueError for a file that is missing, is no TOML, or lacks a key."""
    try:
        return Prices.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"no file of prices: {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no TOML: {error}") from error
    except ValidationError as error:
        raise ValueError(f"{file}: {'; '.join(map(_in_words, error.errors()))}") from error


def _in_words(problem: Mapping[str, Any]) -> str:
    key = ".".join(map(str, problem["loc"]))
    match problem["type"]:
        case "missing":
            return f"the key {key} is missing"
        case "extra_forbidden":
            return f"there is no key {key}"
        case _:
            return f"{key}: {problem['msg']}, not {problem['input']!r}"
