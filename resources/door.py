"""What the doors to models have in common: a name and revision for every row, a version, and whether it could run now.

A door is a resource behind which a model stands that the user chooses: embedded (no download), a model of the Hugging
Face hub or of a folder, or a server. Which one is the choice of a profile: orchestration/profiles/.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import dagster as dg


@dataclass(frozen=True)
class Readiness:
    """Whether a door's model could run on this machine now, as `internvid doctor` tells it.

    state: ready; missing (the model's files or a package are not here); unreachable (a server does not answer); none
    (nothing is set: what the door would give is not there). size_bytes: of the model's files, None where
    not known. advice: what to do, for a person; empty where nothing is to be done.
    """

    state: Literal["ready", "missing", "unreachable", "none"]
    size_bytes: int | None = None
    advice: str = ""


class Door(dg.ConfigurableResource, ABC):
    """`model` and `revision` go into every row; `version` decides whether a row has to be made anew."""

    @property
    @abstractmethod
    def model(self) -> str:
        """The model's name."""

    @property
    def is_set(self) -> bool:
        """Whether there is a model behind the door."""
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

    def readiness(self) -> Readiness:
        """Looks, without downloading or loading anything."""
        return Readiness("ready", 0)


class NotSet(Door):
    """A door without a model behind it."""

    @property
    def is_set(self) -> bool:
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
