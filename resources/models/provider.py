"""What the providers to models have in common: a name and revision for every row, a version, and whether it could run now.

A provider is a resource behind which a model stands that the user chooses: embedded (no download), a model of the Hugging
Face hub or of a folder, or a server. Which one is the choice of a profile: orchestration/profiles/.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

import dagster as dg

from resources.incremental.faults import ModelUnavailable, SystemFault


@dataclass(frozen=True)
class Readiness:
    """Whether a provider's model could run on this machine now, as `internvid doctor` tells it.

    state: ready; missing (the model's files or a package are not here); unreachable (a server does not answer); none
    (nothing is set: what the provider would give is not there). size_bytes: of the model's files, None where
    not known. advice: what to do, for a person; empty where nothing is to be done.
    """

    state: Literal["ready", "missing", "unreachable", "none"]
    size_bytes: int | None = None
    advice: str = ""


class ModelProvider(dg.ConfigurableResource, ABC):
    """`model` and `revision` go into every row; `version` decides whether a row has to be made anew."""

    @property
    @abstractmethod
    def model(self) -> str:
        """The model's name."""

    @property
    def is_enabled(self) -> bool:
        """Whether there is a model behind the provider."""
        return True

    @property
    def device_name(self) -> str | None:
        """Where the model runs, as torch names it, or the server's address; None where that is of no interest."""
        return None

    @property
    def revision(self) -> str | None:
        """Which state of that model: a commit of the hub, a hash of a folder's files; None where there is but one."""
        return None

    @property
    @abstractmethod
    def version(self) -> str:
        """The model with all settings that decide what it says, readable. Needs neither the model nor a network."""

    def prepare(self) -> None:
        """Loads the model, or asks whether its server answers, before the first row is computed.

        Raises ModelUnavailable or ServerUnreachable, which end the run: every row stays pending.
        """
        self._loaded()

    def _loaded(self) -> Any:
        """Returns what `_load` does. Raises ModelUnavailable where that fails: it is no row's fault."""
        try:
            return self._load()
        except SystemFault:
            raise
        except Exception as error:  # whatever a library raises for missing, broken or too large weights
            advice = self.readiness().advice
            lines = (str(error) or repr(error)).splitlines()
            raise ModelUnavailable(
                f"{self.model} cannot be loaded: {type(error).__name__}: {lines[0][:300]}"
                + (f". What to do: {advice}" if advice else "")
            ) from error

    def _load(self) -> Any:
        """Loads the model, once, and returns it; None where there is nothing to load."""
        return None

    def readiness(self) -> Readiness:
        """Says whether the model could run now, without downloading or loading anything."""
        return Readiness("ready", 0)


class Disabled(ModelProvider):
    """A provider without a model behind it."""

    @property
    def is_enabled(self) -> bool:
        return False

    @property
    def model(self) -> str:
        return "none"

    @property
    def version(self) -> str:
        return "none"


@dataclass
class Stopwatch:
    """seconds: between start and end of the block, once that has ended."""

    seconds: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Around a call of a model, for the ledger of costs."""
    watch = Stopwatch()
    started = perf_counter()
    try:
        yield watch
    finally:
        watch.seconds = perf_counter() - started
