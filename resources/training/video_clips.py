"""Clips for training whose frames are decoded from the videos: where more of them, or larger ones, are wanted.

It takes far longer than reading stored frames (`benchmarks/training_loader.py`), and decodes in the process that reads,
outside of the confinement in which videos are ingested: for videos that you trust, on a disk of this machine.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from resources.lake.paths import local_path
from resources.lake.statements import statement
from resources.training.lake_clips import MEMORY_LIMIT, ROWS_PER_BATCH, SPANS, LakeClips

if TYPE_CHECKING:
    from resources.lake.store import Lake


class VideoClips:
    """The clips of an index, with every frame of the video between their cuts. Pickles as paths.

    frame_counts: [clips] int32; number of frames of each clip, as they were counted when it was cut.
    """

    def __init__(self, lake: Lake, clips: LakeClips, snapshot: str) -> None:
        self._clips = clips
        self._spans_path = clips.index_path.with_suffix(SPANS)
        if not self._spans_path.exists():
            _write_spans(lake, clips, snapshot, self._spans_path)
        self._open()

    def __getstate__(self) -> dict:
        return {"_clips": self._clips, "_spans_path": self._spans_path}

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

    def _decoded(self, clip: int, chosen: Sequence[int]) -> np.ndarray:
        from internvid.evaluation.decode import frames_at

        path, start, end = (self._spans[name][clip].as_py() for name in ("path", "start_seconds", "end_seconds"))
        if (file := local_path(path)) is None:
            raise ValueError(f"{path} is not on a disk of this machine: train on the stored frames")
        return frames_at(file, start, end, partial(_within, chosen))


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
