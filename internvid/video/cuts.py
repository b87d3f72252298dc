"""Where a video cuts: detectors fed one small frame at a time, with a bounded look ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode, HashDetector, HistogramDetector
from scenedetect import ThresholdDetector as FadeDetector
from scenedetect.detector import SceneDetector

from internvid.video.pictures import SmallPicture


@dataclass(frozen=True, slots=True)
class Boundary:
    """The first frame of a new shot. kind: cut, fade or dissolve. score: the detector's own measure, 0 if it has none."""

    frame_index: int
    kind: str
    score: float


class CutDetector(Protocol):
    """Fed every frame in order; may report a boundary `look_ahead` frames late at most.

    A hard cut is reported within `cut_look_ahead` frames, a fade or dissolve within `look_ahead`.
    """

    look_ahead: int
    cut_look_ahead: int
    wants_colour: bool

    def push(
        self, frame_index: int, seconds: float, picture: SmallPicture, colour: np.ndarray | None
    ) -> list[Boundary]: ...

    def finish(self) -> list[Boundary]: ...


class PySceneDetectCuts:
    """One of PySceneDetect's detectors, fed with pictures of 256x144 rather than with its own decoding."""

    wants_colour = True

    def __init__(self, detector: SceneDetector, fps: float) -> None:
        self._detector = detector
        self._fps = fps
        self._last = 0
        self.look_ahead = max(detector.event_buffer_length, 2 * 15 + 2)
        self.cut_look_ahead = self.look_ahead

    def push(
        self, frame_index: int, seconds: float, picture: SmallPicture, colour: np.ndarray | None
    ) -> list[Boundary]:
        assert colour is not None
        self._last = frame_index
        return self._boundaries(self._detector.process_frame(FrameTimecode(frame_index, self._fps), colour))

    def finish(self) -> list[Boundary]:
        return self._boundaries(self._detector.post_process(FrameTimecode(self._last, self._fps)))

    def _boundaries(self, found: list[FrameTimecode]) -> list[Boundary]:
        """A cut that the detector reports later than the look ahead goes to the earliest frame still open."""
        earliest = self._last - self.look_ahead + 1
        return [Boundary(max(at.frame_num, earliest, 1), "cut", 0.0) for at in found]


_DEFAULT_THRESHOLDS = {"content": 27.0, "adaptive": 3.0, "hist": 0.05, "hash": 0.395, "threshold": 12.0}
DETECTORS = tuple(_DEFAULT_THRESHOLDS)
DEFAULT_DETECTOR = "content"


def default_threshold(detector: str) -> float:
    """The threshold that a detector has unless told otherwise. Raises ValueError for an unknown name."""
    if detector not in _DEFAULT_THRESHOLDS:
        raise ValueError(f"no cut detector is named {detector!r}; there are {', '.join(DETECTORS)}")
    return _DEFAULT_THRESHOLDS[detector]


def make_detector(name: str, threshold: float | None, fps: float) -> CutDetector:
    """A fresh detector for one video. threshold None: its own default. fps: the video's average rate."""
    level = default_threshold(name) if threshold is None else threshold
    if name == "content":
        return PySceneDetectCuts(ContentDetector(threshold=level), fps)
    if name == "adaptive":
        return PySceneDetectCuts(AdaptiveDetector(adaptive_threshold=level), fps)
    if name == "hist":
        return PySceneDetectCuts(HistogramDetector(threshold=level), fps)
    if name == "hash":
        return PySceneDetectCuts(HashDetector(threshold=level), fps)
    return PySceneDetectCuts(FadeDetector(threshold=level), fps)
