"""Reads the videos that are measured: as many frames of each, real ones in the size of the generated ones."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from internvid.evaluation.benchmarks import VIDEO_EXTENSIONS
from internvid.evaluation.decode import frames_at
from internvid.viclip.frame_choice import middle_frames

EXTENSIONS = VIDEO_EXTENSIONS | {".gif", ".webp"}
PROMPTS = ("prompts.jsonl", "prompts.csv")  # of a folder of generated videos: their columns are video and prompt


@dataclass(frozen=True)
class MeasuredVideo:
    """A video file, or a span of it. name: for messages. prompt: what it was generated from, or shows.

    start_seconds, end_seconds: from the first frame; None: the whole file.
    """

    name: str
    path: Path
    prompt: str | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None


def consecutive_frames(frame_count: int, frames: int) -> list[int]:
    """Returns the middle `frames` frames in a row; of a shorter video all, then its last one again."""
    if frame_count < 1 or frames < 1:
        raise ValueError(f"cannot choose {frames} frames of a video that has {frame_count}")
    first = max(0, (frame_count - frames) // 2)
    return [min(first + step, frame_count - 1) for step in range(frames)]


# How frames of a video are chosen: in a row from its middle, or the middle of each of as many equal parts.
CHOICES = {"consecutive": consecutive_frames, "spread": middle_frames}


@dataclass(frozen=True)
class Reading:
    """How a video is read. frames: of each. choice: a name of CHOICES. size: (height, width) in pixels that frames are
    cropped and resized to; None: their own.
    """

    frames: int
    choice: str = "consecutive"
    size: tuple[int, int] | None = None

    def __str__(self) -> str:
        how = {"consecutive": "in a row from the middle", "spread": "spread over the video"}[self.choice]
        size = "their own size" if self.size is None else f"{self.size[1]} x {self.size[0]}"
        return f"{self.frames} frames {how}, {size}"


@dataclass(frozen=True)
class ReadVideo:
    """frames: [frames, height, width, 3] uint8 RGB. frame_count: that the video or span has."""

    frames: np.ndarray
    frame_count: int


def read_video(path: str, start_seconds: float | None, end_seconds: float | None, reading: Reading) -> ReadVideo:
    """Reads a video. Raises as `internvid.evaluation.decode.read_frames` does."""
    counts: list[int] = []
    frames = frames_at(path, start_seconds, end_seconds, partial(_counted, counts, reading))
    if reading.size is not None:
        frames = np.stack([fitted(frame, reading.size) for frame in frames])
    return ReadVideo(frames, counts[-1])


def _counted(counts: list[int], reading: Reading, frame_count: int) -> list[int]:
    counts.append(frame_count)
    return CHOICES[reading.choice](frame_count, reading.frames)


def fitted(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the middle of the frame in the shape of `size`, resized to it. size: (height, width)."""
    import cv2

    height, width = frame.shape[:2]
    if (height, width) == size:
        return frame
    scale = max(size[0] / height, size[1] / width)
    crop_height, crop_width = min(height, round(size[0] / scale)), min(width, round(size[1] / scale))
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    crop = frame[top : top + crop_height, left : left + crop_width]
    # Averaging over areas has no aliasing; it cannot enlarge.
    method = cv2.INTER_AREA if scale <= 1 else cv2.INTER_CUBIC
    return cv2.resize(crop, (size[1], size[0]), interpolation=method)


def videos_in(folder: Path) -> Iterator[MeasuredVideo]:
    """Yields the videos of a folder and its folders in order of their paths, with their prompts where it has them.

    Raises FileNotFoundError where there is no such folder, and ValueError for a list of prompts in another form.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    prompts = prompts_in(folder)
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix.lower() in EXTENSIONS:
                of_folder = str(path.relative_to(folder))
                prompt = next((prompts[key] for key in (of_folder, name, path.stem) if key in prompts), None)
                yield MeasuredVideo(of_folder, path, prompt)


def prompts_in(folder: Path) -> dict[str, str]:
    """Returns video -> prompt of the folder's list of prompts; empty where it has none. See PROMPTS."""
    path = next((folder / name for name in PROMPTS if (folder / name).is_file()), None)
    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = (
                csv.DictReader(file) if path.suffix == ".csv" else (json.loads(line) for line in file if line.strip())
            )
            return {str(row["video"]): str(row["prompt"]) for row in rows}
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} has not a video and a prompt in each row: {error!r}") from error
