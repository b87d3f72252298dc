"""The base of all model providers: name and revision of the model, version, and readiness.

A provider is a resource with a model that the user chooses: embedded (no download), a model of the Hugging Face hub or
of a folder, or a server. A profile chooses them: orchestration/profiles/.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import dagster as dg

from resources.incremental.costs import NOTHING, Spent, now_spent, starting
from resources.incremental.faults import ModelUnavailable, SystemFault


@dataclass(frozen=True)
class Readiness:
    """Whether a provider's model could run on this machine now, for `internvid doctor`.

    state: ready; missing (the model's files or a package are not installed); unreachable (a server does not answer);
    none (no model is configured, and the pipeline does without). size_bytes: size of the model's files, None if
    unknown. advice: what a person should do; empty where nothing is to be done.
    """

    state: Literal["ready", "missing", "unreachable", "none"]
    size_bytes: int | None = None
    advice: str = ""


class ModelProvider(dg.ConfigurableResource, ABC):
    """A configured model. `model` and `revision` are columns of its rows; a change of `version` recomputes them."""

    @property
    @abstractmethod
    def model(self) -> str:
        """The model's name."""

    @property
    def is_enabled(self) -> bool:
        """Whether a model is configured."""
        return True

    @property
    def device_name(self) -> str | None:
        """The device as torch names it, or the server's address; None for models without a choice of device."""
        return None

    @property
    def revision(self) -> str | None:
        """The model's revision: a commit of the hub, a hash of a folder's files; None for models without revisions."""
        return None

    @property
    @abstractmethod
    def version(self) -> str:
        """The model with all settings that its output depends on, readable. Needs neither the model nor a network."""

    def prepare(self) -> None:
        """Loads the model, or checks that its server answers, before the first row is computed.

        Raises ModelUnavailable or ServerUnreachable, which end the run: every row stays pending.
        """
        self._loaded()

    def _loaded(self) -> Any:
        """Returns the loaded model. Raises ModelUnavailable where loading fails: no row caused it."""
        try:
            with starting():
                return self._load()
        except SystemFault:
            raise
        except Exception as error:  # whatever a library raises for missing, broken or too large weights
            advice = self.readiness().advice
            text = (str(error) or repr(error)).splitlines()[0][:300]
            message = f"{self.model} cannot be loaded: {type(error).__name__}: {text}"
            if advice and advice not in text:  # an error of ours may give it already
                message = f"{message.rstrip('.')}. {advice[0].upper()}{advice[1:]}"
            raise ModelUnavailable(message) from error

    def _load(self) -> Any:
        """Loads the model, once, and returns it; None where there is nothing to load."""
        return None

    def readiness(self) -> Readiness:
        """Says whether the model could run now, without downloading or loading anything."""
        return Readiness("ready", 0)


class Disabled(ModelProvider):
    """A provider without a model."""

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
    """spent: time that the block took, once it has ended."""

    spent: Spent = NOTHING


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Measures a call of a model, for the ledger of costs."""
    watch = Stopwatch()
    before = now_spent()
    try:
        yield watch
    finally:
        watch.spent = now_spent() - before
