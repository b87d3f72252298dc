"""An array with a row for each clip, in a file that is filled once and survives a killed process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
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

    def fill(self, rows: Callable[[int], Iterable[np.ndarray]], *, rows_per_save: int) -> None:
        """Fills what is missing. rows: returns the rows from a number on. rows_per_save: how many a kill may cost."""
        first = self.filled
        if first == self.clips:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        array = np.memmap(self.path, self.dtype, "r+" if first else "w+", shape=self.shape)
        for number, row in enumerate(rows(first), first):
            array[number] = row
            if (filled := number + 1) == self.clips or (filled - first) % rows_per_save == 0:
                array.flush()
                with atomic_file(self._progress) as file:
                    file.write(json.dumps({"made_of": self.made_of, "filled": filled}).encode())

    def remove(self) -> None:
        self._progress.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def rows(self, positions: Sequence[int]) -> np.ndarray:
        """Returns copies of the rows."""
        return np.memmap(self.path, self.dtype, "r", shape=self.shape)[list(positions)]
