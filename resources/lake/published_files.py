"""What the lake gives out beside its tables: the statistics mart, the report, the export. Whole or not at all.

A published folder is what its manifest says: the manifest is written when all files that it names are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from resources.lake.paths import StoragePath
from resources.lake.store import Lake

MANIFEST = "manifest.json"  # of a published folder
_DIGEST_IN_NAME = 16  # characters
M = TypeVar("M", bound=BaseModel)


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


def manifest_of(folder: StoragePath, form: type[M]) -> M | None:
    """Returns the manifest of a published folder; None where there is none, or one that `form` does not understand."""
    file = folder / MANIFEST
    if not file.exists():
        return None
    try:
        return form.model_validate_json(file.read_text())
    except ValueError:
        return None


def name_of_content(stem: str, file: Path) -> tuple[str, str]:
    """Returns the name of a file that never changes, for it has a hash of the content in it; and the sha256."""
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    return f"{stem}-{sha256[:_DIGEST_IN_NAME]}{file.suffix}", sha256


def remove_others(folder: StoragePath, files: Iterable[str]) -> None:
    """Removes what the manifest does not name: what changed or is gone, and what a killed publishing left."""
    named = {MANIFEST, *files}
    for file, _ in folder.files():
        if file.name not in named:
            file.remove()


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
