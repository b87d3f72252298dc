"""Vectors of a benchmark's videos in files, so that a further evaluation or probe decodes no video again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from internvid.evaluation.benchmarks import Benchmark
from internvid.report.whole_file import whole_binary_file

SECONDS_UNUSED = (
    30 * 24 * 3600
)  # after so long without a reader, a file is most likely of a model or of data that is gone


@dataclass(frozen=True)
class VideoVectors:
    """positions: of the benchmark's items that could be read. vectors: [items, …]. failed: (video, error) of others."""

    positions: tuple[int, ...]
    vectors: np.ndarray
    failed: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class VectorFiles:
    """One file for each benchmark and split.

    key: returns a name of everything that decides the vectors: the model, its precision, the frames, the videos.
    seconds_unused: files that nobody read for so long are removed when another is written; None: none is. kind: what
    the vectors are, in the names of the files; empty for one vector a video.
    """

    folder: Path
    key: Callable[[Benchmark], str]
    seconds_unused: float | None = None
    kind: str = ""

    def of_tokens(self) -> VectorFiles:
        """Returns the files beside these that hold several tokens of each video."""
        return replace(self, kind="tokens-")

    def read(self, benchmark: Benchmark) -> VideoVectors | None:
        """Returns the stored vectors; None where there are none of this key."""
        path = self._path(benchmark)
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as stored:
            failed = tuple((str(video), str(error)) for video, error in json.loads(str(stored["failed"])))
            vectors = VideoVectors(tuple(stored["positions"].tolist()), stored["vectors"], failed)
        with suppress(OSError):  # a folder that may only be read
            os.utime(path)  # of the last use: not every file system keeps the time of reading
        return vectors

    def write(
        self, benchmark: Benchmark, positions: Sequence[int], vectors: np.ndarray, failed: Sequence[tuple[str, str]]
    ) -> None:
        self._remove_unused()
        with whole_binary_file(self._path(benchmark)) as file:
            np.savez(
                file, positions=np.array(positions, np.int64), vectors=vectors, failed=np.array(json.dumps(failed))
            )

    def _remove_unused(self) -> None:
        if self.seconds_unused is None:
            return
        for path in self.folder.glob("*.npz"):
            with suppress(FileNotFoundError):  # another process removes it
                if time.time() - path.stat().st_mtime > self.seconds_unused:
                    path.unlink()

    def _path(self, benchmark: Benchmark) -> Path:
        return self.folder / f"{self.kind}{benchmark.name}-{benchmark.split}-{self.key(benchmark)}.npz"
