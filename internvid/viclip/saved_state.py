"""The files by which a killed training goes on: its state, and a log with a line for each step."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch


class SavedState:
    """The file with the state for resuming, which belongs to one recipe and one set of clips."""

    def __init__(self, path: Path, recipe: str, data: str) -> None:
        self.path, self.recipe, self.data = path, recipe, data

    def read(self) -> dict[str, Any] | None:
        """Returns the state; None if there is none. Raises ValueError for the state of another training."""
        if not self.path.exists():
            return None
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, stored, expected in (
            ("recipe", state["recipe"], self.recipe),
            ("clips", state["data"], self.data),
        ):
            if stored != expected:
                raise ValueError(
                    f"{self.path.parent} holds the training of other {name} ({stored}, not {expected}): "
                    "give another folder, or remove this one to start again"
                )
        return state

    def write(self, **content: Any) -> None:
        with atomic_file(self.path) as file:
            torch.save({"recipe": self.recipe, "data": self.data, **content}, file)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a temporary file that replaces `path` when it is complete: a killed process leaves the old file in place.

    The temporary file has a fixed name, so that the next attempt overwrites an incomplete one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary_path = path.with_name(f"{path.name}.unfinished")
    with open(temporary_path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary_path, path)


class StepLog:
    """A file with one line of JSON per step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def truncate(self, step: int) -> None:
        """Removes the lines from `step` on, and an incomplete last line of a killed process."""
        if not self.path.exists():
            return
        with open(self.path) as lines:
            complete_lines = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] < step]
        with atomic_file(self.path) as file:
            file.write("".join(complete_lines).encode())

    def add(self, row: Mapping[str, Any]) -> None:
        with open(self.path, "a") as file:
            file.write(json.dumps(row) + "\n")
