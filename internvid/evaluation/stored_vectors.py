"""Vectors of a benchmark's videos in files, so that a further evaluation or probe decodes no video again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from internvid.evaluation.benchmarks import Benchmark
from internvid.report.whole_file import whole_binary_file

SECONDS_UNUSED = (
    30 * 24 * 3600
)  # after so long without a reader, a file is most likely of a model or of data that is gone
ENDING = ".vectors"
OLD_ENDING = ".npz"  # of files that earlier versions wrote
LENGTH_BYTES = 8


@dataclass(frozen=True)
class VideoVectors:
    """positions: of the benchmark's items that could be read. vectors: [items, …]. failed: (video, error) of others."""

    positions: tuple[int, ...]
    vectors: np.ndarray
    failed: tuple[tuple[str, str], ...]


class VectorWriter:
    """Appends vectors to a file, so that they are never all in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._kept_positions: list[int] = []
        self._shape: tuple[int, ...] = ()
        self._dtype = ""

    def add(self, positions: Sequence[int], vectors: np.ndarray) -> None:
        """vectors: [items, …], of the benchmark's items at these positions."""
        self._kept_positions += positions
        self._shape, self._dtype = vectors.shape[1:], vectors.dtype.str
        self._file.write(np.ascontiguousarray(vectors).tobytes())

    def finish(self, failed: Sequence[tuple[str, str]]) -> None:
        about = {
            "positions": self._kept_positions,
            "shape": self._shape,
            "dtype": self._dtype,
            "failed": [[video, error] for video, error in failed],
        }
        content = json.dumps(about).encode()
        self._file.write(content + len(content).to_bytes(LENGTH_BYTES, "little"))


@dataclass(frozen=True)
class VectorFiles:
    """One file for each benchmark and split: the vectors, what they are of as JSON, and the length of that.

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
        """Returns the stored vectors, mapped from the file; None where there are none of this key."""
        path = self._path(benchmark)
        if not path.exists():
            return None
        with path.open("rb") as file:
            file.seek(-LENGTH_BYTES, os.SEEK_END)
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            file.seek(-LENGTH_BYTES - length, os.SEEK_END)
            about = json.loads(file.read(length))
            shape = (len(about["positions"]), *about["shape"])
            # Copied on write, as torch wants arrays that can be written.
            vectors = np.memmap(file, about["dtype"], mode="c", shape=shape)
        failed = tuple((str(video), str(error)) for video, error in about["failed"])
        with suppress(OSError):  # a folder that may only be read
            os.utime(path)  # of the last use: not every file system keeps the time of reading
        return VideoVectors(tuple(about["positions"]), vectors, failed)

    @contextmanager
    def writing(self, benchmark: Benchmark) -> Iterator[VectorWriter]:
        """Yields what writes the file; it is there when the block ends, and not at all if the block raises."""
        self._remove_unused()
        with whole_binary_file(self._path(benchmark)) as file:
            yield VectorWriter(file)

    def _remove_unused(self) -> None:
        if self.seconds_unused is None:
            return
        for path in (path for ending in (ENDING, OLD_ENDING) for path in self.folder.glob(f"*{ending}")):
            with suppress(FileNotFoundError):  # another process removes it
                if time.time() - path.stat().st_mtime > self.seconds_unused:
                    path.unlink()

    def _path(self, benchmark: Benchmark) -> Path:
        return self.folder / f"{self.kind}{benchmark.name}-{benchmark.split}-{self.key(benchmark)}{ENDING}"
