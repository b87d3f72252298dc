"""The sections of the explorer, a module each.

A module has `router`, a `fastapi.APIRouter`. One that is entered from the navigation also has `NAVIGATION`, an
`orchestration.explorer.navigation.Entry`. `routers` finds them all, so that a new module touches no other file.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType


def modules() -> list[ModuleType]:
    """Returns the modules of this package, by name."""
    return [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
