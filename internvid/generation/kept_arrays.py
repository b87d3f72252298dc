"""An array with a row for each clip, in a file that is filled once and survives a killed process."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from internvid.viclip.saved_state import atomic_file


class KeptArray:
    """Rows by the clips' positions, mapped from a file: what is not read takes no memory.

    made_of: what decides the rows; a file of something else is filled again. `<path>.json` says how far it is filled.
    """

    def __init__(self, path: Path, *, clips: int, row_shape: Sequence[int], dtype: type, made_of: str) -> None:
        self.path, self.clips, self.made_of = Path(path), clips, made_of
        self.shape, self.dtype = (clips, *row_shape), np.dtype(dtype)

    @property
    def _progress(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def filled(self) -> int:
        """Number of rows from the first on that are in the file."""
        if not (self._progress.exists() and self.path.exists()):
            return 0
        progress = json.loads(self._progress.read_text())
        return progress["filled"] if progress["made_of"] == self.made_of else 0

    def fill(self, rows: Callable[[range], np.ndarray], *, clips_per_call: int) -> None:
        """Fills what is missing. rows: returns the rows of a range of clips."""
        first = self.filled
        if first == self.clips:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        array = np.memmap(self.path, self.dtype, "r+" if first else "w+", shape=self.shape)
        for start in range(first, self.clips, clips_per_call):
            positions = range(start, min(start + clips_per_call, self.clips))
            array[positions.start : positions.stop] = rows(positions)
            array.flush()
            with atomic_file(self._progress) as file:
                file.write(json.dumps({"made_of": self.made_of, "filled": positions.stop}).encode())

    def rows(self, positions: Sequence[int]) -> np.ndarray:
        """Returns copies of the rows."""
        return np.memmap(self.path, self.dtype, "r", shape=self.shape)[list(positions)]
