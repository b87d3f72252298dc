"""Clips for training whose frames are decoded from the videos: where more of them, or larger ones, are wanted.

It takes far longer than reading stored frames (`benchmarks/training_loader.py`). `VideoClips.frames` decodes in the
process that reads, outside of the confinement in which videos are ingested: for videos that you trust, on a disk of
this machine. `read_in_children` decodes as ingesting does, from wherever the videos are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from resources.incremental.faults import system_fault_of
from resources.lake.paths import StoragePath, local_path
from resources.lake.statements import statement
from resources.lake.temporary_folders import temporary_folder
from resources.training.lake_clips import MEMORY_LIMIT, ROWS_PER_BATCH, SPANS, LakeClips

if TYPE_CHECKING:
    from resources.lake.store import Lake


class VideoClips:
    """The clips of an index, with every frame of the video between their cuts. Pickles as paths.

    frame_counts: [clips] int32; number of frames of each clip, as they were counted when it was cut.
    """

    def __init__(self, lake: Lake, clips: LakeClips, snapshot: str) -> None:
        self._clips, self._file_options = clips, lake.file_options
        self._spans_path = clips.index_path.with_suffix(SPANS)
        if not self._spans_path.exists():
            _write_spans(lake, clips, snapshot, self._spans_path)
        self._open()

    def __getstate__(self) -> dict:
        return {"_clips": self._clips, "_spans_path": self._spans_path, "_file_options": self._file_options}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._open()

    def _open(self) -> None:
        self._spans = pa.ipc.open_file(pa.memory_map(str(self._spans_path))).read_all()
        self.frame_counts: np.ndarray = self._spans["frame_count"].to_numpy()

    @property
    def video_numbers(self) -> np.ndarray:
        return self._clips.video_numbers

    @property
    def weights(self) -> np.ndarray:
        return self._clips.weights

    def __len__(self) -> int:
        return len(self._clips)

    def clip_ids(self, positions: Sequence[int]) -> list[str]:
        return self._clips.clip_ids(positions)

    def captions(self, positions: Sequence[int]) -> list[str]:
        return self._clips.captions(positions)

    def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
        """As `Clips.frames` says. Raises UnreadableVideo or FileNotFoundError, and ValueError for a file elsewhere."""
        return [self._decoded(int(clip), chosen) for clip, chosen in picks]

    def span(self, clip: int) -> Span:
        """Returns where the clip is."""
        return Span(**{name: self._spans[name][clip].as_py() for name in ("path", "start_seconds", "end_seconds")})

    def file(self, span: Span) -> StoragePath:
        return StoragePath(span.path, {} if local_path(span.path) is not None else self._file_options)

    def _decoded(self, clip: int, chosen: Sequence[int]) -> np.ndarray:
        span = self.span(clip)
        if (file := local_path(span.path)) is None:
            raise ValueError(f"{span.path} is not on a disk of this machine: train on the stored frames")
        return _frames(file, span.start_seconds, span.end_seconds, chosen)


@dataclass(frozen=True)
class Span:
    """A part of a video. start_seconds, end_seconds: from the first frame."""

    path: str
    start_seconds: float
    end_seconds: float


def read_in_children(
    clips: VideoClips, picks: Iterable[tuple[int, Sequence[int]]], *, workers: int
) -> Iterator[np.ndarray | Exception]:
    """Yields the frames of each pick in order, or its error. Files are decoded in child processes with limits.

    A remote video is fetched once for clips that follow each other, as those of an index do. Errors of the system, such
    as a full disk, are raised.
    """
    from resources.media.child_process import ordered
    from resources.media.confinement import Confinement
    from resources.training.benchmarks import MEMORY_BYTES, SECONDS_PER_VIDEO

    with temporary_folder() as folder:
        confinement = Confinement(str(folder))
        copies = _Copies(folder)
        spans = ((clips.span(clip), chosen) for clip, chosen in picks)
        results = ordered(
            _frames,
            spans,
            arguments=lambda of: (copies.local(clips.file(of[0])), of[0].start_seconds, of[0].end_seconds, of[1]),
            seconds=lambda of: SECONDS_PER_VIDEO,
            workers=workers,
            memory_bytes=MEMORY_BYTES,
            confinement=lambda of: confinement,
        )
        for (span, _), outcome in results:
            copies.keep_from(clips.file(span))
            if isinstance(outcome, BaseException) and (fault := system_fault_of(outcome)):
                raise fault from outcome
            yield outcome


class _Copies:
    """Local copies of the remote videos that are being read, in the order in which they are."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._fetched = folder, 0
        self._copies: dict[str, Path] = {}

    def local(self, file: StoragePath) -> str:
        """Returns a path on this machine; nothing is there where the file is gone."""
        if file.is_local:
            return str(file.on_disk)
        if file.path not in self._copies:
            copy, self._fetched = self._folder / f"{self._fetched}{PurePosixPath(file.name).suffix}", self._fetched + 1
            with suppress(FileNotFoundError):
                file.fetch(copy)
            self._copies[file.path] = copy
        return str(self._copies[file.path])

    def keep_from(self, file: StoragePath) -> None:
        """Removes the copies of the videos before this one, which have been read."""
        while self._copies and file.path in self._copies and (first := next(iter(self._copies))) != file.path:
            self._copies.pop(first).unlink(missing_ok=True)


def _frames(path: str, start_seconds: float, end_seconds: float, chosen: Sequence[int]) -> np.ndarray:
    from internvid.evaluation.decode import frames_at

    return frames_at(path, start_seconds, end_seconds, partial(_within, chosen))


def _within(chosen: Sequence[int], frame_count: int) -> list[int]:
    """Returns the chosen positions; the last frame for those that the span has not, where timestamps are rounded."""
    return [min(int(position), frame_count - 1) for position in chosen]


def _write_spans(lake: Lake, clips: LakeClips, snapshot: str, path: Path) -> None:
    """Writes a row for each clip of the index, in its order; the file appears whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    with lake.connect(["clips", "raw_videos"], at=snapshot, memory_limit=MEMORY_LIMIT) as connection:
        ids = clips.clip_ids(range(len(clips)))
        connection.register("indexed", pa.table({"position": np.arange(len(ids)), "clip_id": ids}))
        rows = connection.sql(statement("training/clip_videos")).to_arrow_reader(ROWS_PER_BATCH)
        with pa.ipc.new_file(part, rows.schema) as file:
            written = 0
            for batch in rows:
                file.write_batch(batch)
                written += batch.num_rows
    if written != len(clips):
        part.unlink()
        raise ValueError(f"{len(clips) - written:,} of {len(clips):,} clips have no video at {snapshot}")
    os.replace(part, path)
