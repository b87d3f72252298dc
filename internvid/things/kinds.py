"""The everyday kinds of things, and the classes of a classifier that make up each: the table `kinds.txt`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

TABLE = Path(__file__).with_name("kinds.txt")


@dataclass(frozen=True)
class Kind:
    """A kind of thing. name: with its article, as a caption says it. words: further words that search takes for it."""

    group: str
    name: str
    classes: tuple[int, ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class SeenKind:
    """A kind of thing in a clip. probability: mean over the frames. peak: that of the frame that shows it best."""

    name: str
    probability: float
    peak: float


@cache
def kinds() -> tuple[Kind, ...]:
    """Returns every kind, in the order of the table."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return tuple(_kind(line) for line in lines if line.strip() and not line.startswith("#"))


@cache
def summing_matrix(classes: int) -> np.ndarray:
    """Returns [classes, kinds] float32: 1 where the class belongs to the kind."""
    matrix = np.zeros((classes, len(kinds())), np.float32)
    for column, kind in enumerate(kinds()):
        matrix[list(kind.classes), column] = 1
    return matrix


def _kind(line: str) -> Kind:
    group, name, classes, words = (part.strip() for part in line.split("|"))
    numbers: list[int] = []
    for text in classes.split():
        first, _, last = text.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return Kind(group, name, tuple(numbers), tuple(words.split()))
