"""Vectors of a benchmark's videos in files, so that a further evaluation or probe decodes no video again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from internvid.evaluation.benchmarks import Benchmark
from internvid.report.whole_file import whole_binary_file


@dataclass(frozen=True)
class VideoVectors:
    """positions: of the benchmark's items that could be read. vectors: [items, d]. failed: (video, error) of others."""

    positions: tuple[int, ...]
    vectors: np.ndarray
    failed: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class VectorFiles:
    """One file for each benchmark and split.

    key: returns a name of everything that decides the vectors: the model, its precision, the frames, the videos.
    """

    folder: Path
    key: Callable[[Benchmark], str]

    def read(self, benchmark: Benchmark) -> VideoVectors | None:
        """Returns the stored vectors; None where there are none of this key."""
        path = self._path(benchmark)
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as stored:
            failed = tuple((str(video), str(error)) for video, error in json.loads(str(stored["failed"])))
            return VideoVectors(tuple(stored["positions"].tolist()), stored["vectors"], failed)

    def write(
        self, benchmark: Benchmark, positions: Sequence[int], vectors: np.ndarray, failed: Sequence[tuple[str, str]]
    ) -> None:
        with whole_binary_file(self._path(benchmark)) as file:
            np.savez(
                file, positions=np.array(positions, np.int64), vectors=vectors, failed=np.array(json.dumps(failed))
            )

    def _path(self, benchmark: Benchmark) -> Path:
        return self.folder / f"{benchmark.name}-{benchmark.split}-{self.key(benchmark)}.npz"
