"""Writes files atomically."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Yields a UTF-8 file that replaces `path` as `whole_binary_file` does."""
    with whole_binary_file(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        yield text
        text.flush()
        text.detach()  # or it would close the file


@contextmanager
def whole_binary_file(path: Path) -> Iterator[BinaryIO]:
    """Yields a file that replaces `path` when the block ends; if the block raises, `path` stays as it was.

    Creates the folder. The unfinished file is beside `path` under a hidden name, so that the last step is a rename.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
