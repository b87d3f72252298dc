"""The benchmarks that the user has: folders with an annotation file and videos, read without trust in either."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import dagster as dg

from internvid.evaluation.benchmarks import Benchmark, Item, names, read_benchmark
from resources.incremental.faults import SystemFault
from resources.incremental.provenance import digest
from resources.lake.temporary_folders import temporary_folder
from resources.media.child_process import ordered
from resources.media.confinement import Confinement

if TYPE_CHECKING:
    import numpy as np

CHOICE = "middle"  # of each of as many equal parts of the video as the model takes frames, as the paper evaluates
SECONDS_PER_VIDEO = 600.0  # ActivityNet's longest, 13 minutes, are mostly sought through, not decoded
MEMORY_BYTES = 6 << 30  # address space of a child that decodes


class Benchmarks(dg.ConfigurableResource):
    """Benchmarks that every checkpoint of the lake is evaluated on.

    folders: name of a benchmark (`internvid.evaluation.benchmarks.names`) -> its folder. workers: decoding processes.
    """

    folders: dict[str, str] = {}
    workers: int = 1

    def read(self, name: str) -> Benchmark:
        """Returns a benchmark with the split of the paper's tables.

        Raises SystemFault for a name that is none, and for a folder that lacks the annotations: no checkpoint is at
        fault.
        """
        if name not in names():
            raise SystemFault(f"INTERNVID_BENCHMARKS names {name!r}; there are {', '.join(names())}")
        try:
            return read_benchmark(name, os.path.expanduser(self.folders[name]))
        except (FileNotFoundError, ValueError) as error:
            raise SystemFault(f"the benchmark {name} cannot be read: {error}") from error

    def frames(
        self, items: Iterable[Item], count: int, choice: str
    ) -> Iterator[tuple[Item, np.ndarray | BaseException]]:
        """Yields each item's frames, as `read_in_children` does."""
        return read_in_children(items, count, choice, workers=self.workers)


def content_digest(benchmark: Benchmark) -> str:
    """Returns a digest of what metrics depend on: annotations, and the name, span and size of each video that is there.

    The videos are not read: that takes as long as to evaluate.
    """
    videos = [
        (item.video, item.start_seconds, item.end_seconds, item.path.stat().st_size, item.texts, item.label)
        for item in benchmark.items
    ]
    return digest(benchmark.name, benchmark.split, list(benchmark.classes), list(benchmark.missing), videos)


def read_in_children(
    items: Iterable[Item], count: int, choice: str, *, workers: int, seconds_per_video: float = SECONDS_PER_VIDEO
) -> Iterator[tuple[Item, np.ndarray | BaseException]]:
    """Yields each item's frames or its error. Untrusted files are decoded in child processes with limits."""
    from internvid.evaluation.decode import read_frames

    with temporary_folder() as folder:
        confinement = Confinement(str(folder))
        yield from ordered(
            read_frames,
            items,
            arguments=lambda item: (str(item.path), item.start_seconds, item.end_seconds, count, choice),
            seconds=lambda item: seconds_per_video,
            workers=workers,
            memory_bytes=MEMORY_BYTES,
            confinement=lambda item: confinement,
        )
