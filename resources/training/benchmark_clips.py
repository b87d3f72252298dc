"""The train split of a benchmark as clips for fine-tuning: frames are decoded once, and kept as files beside the state.

Videos are from strangers, so children decode them. A file holds the frames of some videos and appears whole or not at
all: where decoding was interrupted, it goes on after the last one. Nothing heavy is imported here: a DataLoader's
workers import this module.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from resources.training.lake_clips import decoded

if TYPE_CHECKING:
    from internvid.evaluation.benchmarks import Benchmark, Item

VIDEOS_PER_FILE = 128  # in memory together, as JPEGs
FAILED = b"failed"  # in the metadata of a file: the videos that could not be read, with their errors

SCHEMA = pa.schema(
    [
        pa.field("video", pa.string(), nullable=False),
        pa.field("texts", pa.list_(pa.string()), nullable=False),
        pa.field("label", pa.int64()),
        pa.field("jpegs", pa.list_(pa.large_binary()), nullable=False),
    ]
)


@dataclass(frozen=True)
class KeptFrames:
    """Frames of a benchmark's videos in a folder. failed: (video, error) of those that could not be read."""

    folder: Path
    videos: int
    failed: tuple[tuple[str, str], ...]


def keep_frames(
    benchmark: Benchmark,
    folder: Path,
    *,
    frames: int,
    short_side: int,
    workers: int,
    on_videos: Callable[[int], object] = lambda number: None,
) -> KeptFrames:
    """Decodes the videos that are not in the folder yet. frames: upper bound of each video. short_side: pixels.

    on_videos: called with the number of videos done since the last call. Raises ValueError where none can be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(benchmark.items), VIDEOS_PER_FILE)):
        items = benchmark.items[start : start + VIDEOS_PER_FILE]
        path = folder / f"{number:06}.arrow"
        if not path.exists():
            _write(path, _read_in_children(items, frames, short_side, workers))
        on_videos(len(items))
    failed = [tuple(each) for path in _files(folder) for each in json.loads(_open(path).schema.metadata[FAILED])]
    videos = sum(_open(path).num_rows for path in _files(folder))
    if not videos:
        raise ValueError(f"not one of the {len(benchmark.items):,} train videos can be read: {failed[:1]}")
    return KeptFrames(folder, videos, tuple(failed))


def _read_in_children(
    items: Sequence[Item], frames: int, short_side: int, workers: int
) -> Iterator[tuple[Item, list[bytes] | BaseException]]:
    from internvid.evaluation.decode import jpeg_frames
    from resources.lake.temporary_folders import temporary_folder
    from resources.media.child_process import ordered
    from resources.media.confinement import Confinement
    from resources.training.benchmarks import MEMORY_BYTES, SECONDS_PER_VIDEO

    with temporary_folder() as folder:
        confinement = Confinement(str(folder))
        yield from ordered(
            jpeg_frames,
            items,
            arguments=lambda item: (str(item.path), item.start_seconds, item.end_seconds, frames, short_side),
            seconds=lambda item: SECONDS_PER_VIDEO,
            workers=workers,
            memory_bytes=MEMORY_BYTES,
            confinement=lambda item: confinement,
        )


def _write(path: Path, results: Iterator[tuple[Item, list[bytes] | BaseException]]) -> None:
    rows: list[dict[str, Any]] = []
    failed: list[tuple[str, str]] = []
    for item, jpegs in results:
        if isinstance(jpegs, BaseException):
            failed.append((item.video, f"{type(jpegs).__name__}: {jpegs}"))
        else:
            rows.append({"video": item.video, "texts": list(item.texts), "label": item.label, "jpegs": jpegs})
    table = pa.Table.from_pylist(rows, SCHEMA).combine_chunks().replace_schema_metadata({FAILED: json.dumps(failed)})
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with pa.ipc.new_file(part, table.schema) as file:
        file.write_table(table)
    os.replace(part, path)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.arrow"))


def _open(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


class BenchmarkClips:
    """Clips of kept frames for `internvid.viclip.fine_tuning`: one for each caption of a video, or for each video.

    Pickles as its folder; the files are mapped into memory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._map()

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.folder = state["folder"]
        self._map()

    def _map(self) -> None:
        self._videos = pa.concat_tables([_open(path).replace_schema_metadata() for path in _files(self.folder)])
        texts = self._videos["texts"].combine_chunks()
        counts = np.maximum(np.diff(texts.offsets.to_numpy()), 1)  # a video without a caption has a class
        self.video_numbers: np.ndarray = np.repeat(np.arange(len(counts)), counts)
        self._first_of_video = np.cumsum(counts) - counts
        frames = [len(jpegs) for jpegs in self._videos["jpegs"]]
        self.frame_counts: np.ndarray = np.array(frames, np.int32)[self.video_numbers]
        labels = [-1 if label is None else label for label in self._videos["label"].to_pylist()]
        self.labels: np.ndarray = np.array(labels, np.int64)[self.video_numbers]

    def __len__(self) -> int:
        return len(self.video_numbers)

    def clip_ids(self, positions: Sequence[int]) -> list[str]:
        return [
            f"{self._videos['video'][int(self.video_numbers[at])].as_py()}/{self._number_of_text(at)}"
            for at in positions
        ]

    def captions(self, positions: Sequence[int]) -> list[str]:
        texts = [self._videos["texts"][int(self.video_numbers[at])].as_py() for at in positions]
        return [
            of_video[self._number_of_text(at)] if of_video else ""
            for at, of_video in zip(positions, texts, strict=True)
        ]

    def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
        """As `Clips.frames` says."""
        videos = []
        for clip, chosen in picks:
            jpegs = self._videos["jpegs"][int(self.video_numbers[clip])].values
            videos.append(decoded([jpegs[int(at)].as_buffer() for at in chosen], 1))
        return videos

    def _number_of_text(self, position: int) -> int:
        return int(position - self._first_of_video[self.video_numbers[position]])
