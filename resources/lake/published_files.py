"""What the lake gives out beside its tables: the statistics mart, the report, the export. Whole or not at all.

A published folder is what its manifest says: the manifest is written when all files that it names are there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from resources.lake.store import Lake

MANIFEST = "manifest.json"  # of a published folder


def publish(lake: Lake, name: str, write: Callable[[Path], object]) -> str:
    """Lets `write` fill a temporary file, then puts it under the lake's root as `name`, replacing what was there.

    Readers that have the old file open keep it. Returns where it is.
    """
    target = lake.file(name)
    with target.filled() as file:
        write(file)
    return str(target)


def withdraw(lake: Lake, name: str) -> bool:
    """Removes a published file or folder, and says whether there was one.

    Of a folder the manifest goes first, so that none is left that names files which are gone.
    """
    published = lake.file(name)
    if not published.exists():
        return False
    (published / MANIFEST).remove()
    published.remove()
    return True


def modified(lake: Lake, name: str) -> datetime | None:
    """Returns when the file was last published; None if it never was."""
    return lake.file(name).modified()


def local_copy(lake: Lake, name: str, folder: Path) -> Path:
    """The published file as a local path: itself, or fetched into `folder`. Raises FileNotFoundError without it."""
    published = lake.file(name)
    if not published.exists():
        raise FileNotFoundError(f"{published} has not been made yet: materialise `{Path(name).stem}`")
    if published.is_local:
        return published.on_disk
    published.fetch(folder / name)
    return folder / name
