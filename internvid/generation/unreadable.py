"""The list of clips that a training left out because their frames could not be read: a line of JSON for each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

UNREADABLE = "unreadable.jsonl"  # in the folder of a training


@dataclass(frozen=True)
class UnreadableClip:
    """A clip that is left out. position: among the clips. message: of the error."""

    position: int
    clip_id: str
    error_class: str
    message: str

    @property
    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


def unreadable_clips(path: Path) -> Iterator[UnreadableClip]:
    """Yields the clips of a list, but for a last line that is cut off; none where there is no list."""
    if path.exists():
        with path.open(encoding="utf-8") as file:
            yield from (UnreadableClip(**json.loads(line)) for line in file if line.endswith("\n"))
