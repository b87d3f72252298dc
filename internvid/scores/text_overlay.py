"""Measures the share of a picture that is covered by written text: the union of a text detector's boxes.

The detector is PP-OCR's (DB, differentiable binarisation), whose weights are in the wheel of `rapidocr`. The text is
not read: the detector finds writing of any script, on signs and clothes as well as laid over the picture.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS = "PP-OCRv6_det_small.onnx"  # rapidocr's default among the weights in its wheel
# How far a box extends beyond the kernel of a line that the network marks. With 1, a box has 1.06 to 1.27 times the
# area of the ink in lines of 16 to 72 pixels; with rapidocr's 1.6, 1.4 to 1.9 times.
UNCLIP_RATIO = 1.0
MAX_THREADS = 8  # a picture each, of some 100 MB


class TextDetector:
    """Detects lines of text.

    long_side: pixels that a larger picture is shrunk to. min_confidence: minimum score of a box, from 0 to 1.

    Raises ImportError where rapidocr or onnxruntime is not installed.
    """

    def __init__(self, long_side: int = 480, min_confidence: float = 0.6) -> None:
        from rapidocr import RapidOCR

        weights = weights_file()
        if weights is None:
            raise ImportError("the text detector runs on the package onnxruntime, which is not installed")
        settings: dict[str, Any] = {
            "Global.log_level": "error",
            "Det.model_path": str(weights),  # a path is never downloaded
            "Det.limit_type": "max",
            "Det.limit_side_len": long_side,
            "Det.box_thresh": min_confidence,
            "Det.unclip_ratio": UNCLIP_RATIO,
            # Pictures in parallel, each on one core, cost two thirds of pictures in turn on all cores.
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        }
        self._engine = RapidOCR(params=settings)

    def boxes(self, picture: np.ndarray) -> np.ndarray:
        """Detects lines of text: [boxes, 4, 2] float32, the corners (x, y) in pixels of boxes that may be rotated.

        picture: [height, width, 3] uint8 RGB.
        """
        import cv2

        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        detection: Any = self._engine(bgr, use_det=True, use_cls=False, use_rec=False)
        if detection.boxes is None:
            return np.zeros((0, 4, 2), np.float32)
        return np.asarray(detection.boxes, np.float32)

    def share(self, picture: np.ndarray) -> float:
        """The share of the picture's area that is covered by text, from 0 to 1."""
        import cv2

        under_text = np.zeros(picture.shape[:2], np.uint8)
        for box in self.boxes(picture):
            cv2.fillPoly(under_text, [box.round().astype(np.int32)], 1)
        return float(under_text.mean())

    def shares(self, pictures: Sequence[np.ndarray]) -> list[float | Exception]:
        """The share of each picture; the result is the error for one that fails."""
        with ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_THREADS)) as threads:
            return list(threads.map(self._share_or_error, pictures))

    def _share_or_error(self, picture: np.ndarray) -> float | Exception:
        try:
            return self.share(picture)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a picture raises is that picture's answer
            return error


def weights_file() -> Path | None:
    """The path of the detector's weights; None where `rapidocr` or its runtime is not installed. Imports neither."""
    package = find_spec("rapidocr")
    if package is None or package.origin is None or find_spec("onnxruntime") is None:
        return None
    return Path(package.origin).parent / "models" / WEIGHTS
