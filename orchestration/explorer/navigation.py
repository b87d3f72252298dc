"""The entries of the explorer's navigation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Entry:
    """A link at the top of every page. place: its position from the left. key: the key that leads there after g."""

    place: int
    title: str
    path: str
    key: str


def entries(modules: Iterable[ModuleType]) -> list[Entry]:
    """Returns the entries that the modules declare as NAVIGATION, in their order."""
    of_modules = (getattr(module, "NAVIGATION", None) for module in modules)
    return sorted((entry for entry in of_modules if entry is not None), key=lambda entry: entry.place)
