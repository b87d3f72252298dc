"""The SQL files under `sql/`, by name. A statement stands in a file of its own, never in a Python string."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "sql"


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`, for instance `operations/state`. Raises FileNotFoundError for an unknown name."""
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def statements_in(folder: str) -> list[Path]:
    """The SQL files of `sql/<folder>/`, by name."""
    return sorted((FOLDER / folder).glob("*.sql"))
