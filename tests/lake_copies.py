"""Copies of lakes, made in no time."""

import os
import shutil
from pathlib import Path


def linked_copy(source: Path, target: Path) -> Path:
    """Copies a folder with lakes in it, whose files are linked: Lance adds and removes files and changes none."""

    def copy(source: str, target: str) -> None:
        (os.link if ".lance/" in source else shutil.copy2)(source, target)

    return shutil.copytree(source, target, copy_function=copy, dirs_exist_ok=True)
