"""The benchmarks that the user has: folders with an annotation file and videos, read without trust in either."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from internvid.evaluation.benchmarks import Benchmark, Item, names, read_benchmark
from internvid.evaluation.stored_vectors import VectorFiles
from resources.incremental.faults import SystemFault
from resources.incremental.provenance import digest
from resources.lake.temporary_folders import temporary_folder
from resources.media.child_process import ordered
from resources.media.confinement import Confinement

if TYPE_CHECKING:
    import numpy as np

CHOICE = "middle"  # of each of as many equal parts of the video as the model takes frames, as the paper evaluates
SECONDS_PER_VIDEO = 600.0  # ActivityNet's longest, 13 minutes, are mostly sought through, not decoded
VECTORS_FOLDER = "benchmark_vectors"  # of a lake, or of this machine where the lake is in a bucket
MEMORY_BYTES = 6 << 30  # address space of a child that decodes


class Benchmarks(dg.ConfigurableResource):
    """Benchmarks that every checkpoint of the lake is evaluated on.

    folders: name of a benchmark (`internvid.evaluation.benchmarks.names`) -> its folder. workers: decoding processes.
    probes: names of `internvid.evaluation.run.PROBES`, of which benchmarks of classes have metrics too.
    """

    folders: dict[str, str] = {}
    workers: int = 1
    probes: list[str] = []

    def read(self, name: str, split: str | None = None) -> Benchmark:
        """Returns a benchmark. split: None: that of the paper's tables.

        Raises SystemFault for a name that is none, and for a folder that lacks the annotations: no checkpoint is at
        fault.
        """
        if name not in names():
            raise SystemFault(f"INTERNVID_BENCHMARKS names {name!r}; there are {', '.join(names())}")
        try:
            return read_benchmark(name, os.path.expanduser(self.folders[name]), split=split)
        except (FileNotFoundError, ValueError) as error:
            raise SystemFault(f"the benchmark {name} cannot be read: {error}") from error

    def probe_train(self, benchmark: Benchmark) -> Benchmark | None:
        """Returns the train split that probes of a benchmark are trained on; None where nothing is probed.

        Raises SystemFault where the folder lacks the train split's annotations.
        """
        return self.read(benchmark.name, "train") if self.probes and benchmark.task == "classification" else None

    def frames(
        self, items: Iterable[Item], count: int, choice: str
    ) -> Iterator[tuple[Item, np.ndarray | BaseException]]:
        """Yields each item's frames, as `read_in_children` does."""
        return read_in_children(items, count, choice, workers=self.workers)


def vector_files(
    folder: Path, encoder_version: str, frames: int, choice: str, *, seconds_unused: float | None = None
) -> VectorFiles:
    """Returns the files of a model's vectors. encoder_version: names the model, its weights and its precision.

    seconds_unused: as of `VectorFiles`.
    """

    def key(benchmark: Benchmark) -> str:
        return digest(encoder_version, frames, choice, content_digest(benchmark))[:16]

    return VectorFiles(folder, key, seconds_unused)


def content_digest(benchmark: Benchmark) -> str:
    """Returns a digest of what metrics depend on: annotations, and the name, span and size of each video that is there.

    The videos are not read: that takes as long as to evaluate.
    """
    videos = [
        (item.video, item.start_seconds, item.end_seconds, item.path.stat().st_size, item.texts, item.label)
        + ((item.labels,) if item.labels else ())
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
