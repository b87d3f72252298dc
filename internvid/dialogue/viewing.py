"""Videos of a benchmark as a chat is shown them: cut into equal clips, with as many frames of each as it takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from internvid.evaluation.decode import read_frames
from internvid.video.probe import open_video, video_stream


@dataclass(frozen=True)
class Viewed:
    """frames: [frames, height, width, 3] uint8 RGB, one of each equal part. seconds: length of the video or span."""

    frames: np.ndarray
    seconds: float


def read_viewed(path: str, start_seconds: float | None, end_seconds: float | None, frames: int) -> Viewed:
    """Reads a video, or a span of it. Raises as `read_frames` does."""
    chosen = read_frames(path, start_seconds, end_seconds, frames, "middle")
    length = _seconds(path)
    if start_seconds is not None and end_seconds is not None:
        length = min(length, end_seconds - start_seconds) if length else end_seconds - start_seconds
    return Viewed(chosen, length)


def _seconds(path: str) -> float:
    """Returns the length that the file states; 0 where it states none."""
    with open_video(path) as container:
        stream = video_stream(container, path)
        if container.duration is not None:
            return container.duration / 1e6
        return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
