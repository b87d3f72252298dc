"""Two snapshots side by side: the captions of the same clips, and what else differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from resources.explorer.view import LakeView, within
from resources.lake.statements import statement

MAX_SECONDS = 10.0  # of a comparison: it reads the captions of both snapshots
MEMORY_LIMIT = "1GB"


@dataclass(frozen=True)
class SideBySide:
    """Captions at two moments. counts: clips by how they differ. pairs: clips with two captions, by chance."""

    counts: dict[str, Any]
    pairs: list[dict[str, Any]]


def side_by_side(view: LakeView, a: str, b: str | None, *, clips: int, seed: int) -> SideBySide:
    """Compares the captions of snapshot a with those of b; None: of the lake as it is. Raises TookTooLong."""
    with view.connect([], memory_limit=MEMORY_LIMIT) as connection:
        connection.register("captions_a", view.dataset("clip_captions", a))
        connection.register("captions_b", view.dataset("clip_captions", b))

        def ask() -> SideBySide:
            counted = connection.sql(statement("explorer/two_captions_counted")).to_arrow_table().to_pylist()
            values = {"seed": seed, "clips": clips}
            pairs = connection.sql(statement("explorer/two_captions"), params=values).to_arrow_table().to_pylist()
            return SideBySide(counted[0], pairs)

        return within(connection, ask, MAX_SECONDS)
