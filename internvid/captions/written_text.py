"""Reads the letters that the embedded captioner finds in a picture: PP-OCR, with weights from the wheel of `rapidocr`.

Belongs here: from a part of a picture to words that were surely read. Finding that part is `measured`'s work: its
detector of rows of letters takes 3 ms a picture, this one's 40.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

DETECTOR, RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
VERSION = RECOGNISER.removesuffix(".onnx")

# On the real frames tested, what is read right has 0.96 or more, prints on clothes and single strokes 0.83 at most.
_MIN_CONFIDENCE = 0.93
_MIN_LETTERS = 3
_MAX_LETTERS = 48  # of a line: a caption quotes a title and not a page
_MAX_LINES = 2
_LONG_SIDE = 640


class TextReader:
    """Reads lines of text. One instance serves one thread. Raises ImportError where rapidocr is not installed."""

    def __init__(self) -> None:
        from rapidocr import RapidOCR

        package = find_spec("rapidocr")
        assert package is not None
        assert package.origin is not None
        folder = Path(package.origin).parent / "models"
        settings: dict[str, Any] = {
            "Global.log_level": "error",
            "Det.model_path": str(folder / DETECTOR),  # a path is never downloaded
            "Rec.model_path": str(folder / RECOGNISER),
            "Det.limit_type": "max",
            "Det.limit_side_len": _LONG_SIDE,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        }
        self._engine = RapidOCR(params=settings)

    def lines(self, picture: np.ndarray) -> list[tuple[str, float]]:
        """Returns the lines that are surely read, from top to bottom: (text, confidence from 0 to 1).

        picture: [height, width, 3] uint8 RGB. A line of other marks than letters and numbers is none.
        """
        import cv2

        read: Any = self._engine(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), use_det=True, use_cls=False, use_rec=True)
        if read.boxes is None or not read.txts:
            return []
        lines = [
            (_place_in_text(box, len(picture)), " ".join(text.split()), float(confidence))
            for box, text, confidence in zip(read.boxes, read.txts, read.scores, strict=True)
        ]
        sure = [
            (place, text, confidence)
            for place, text, confidence in lines
            if confidence >= _MIN_CONFIDENCE and _MIN_LETTERS <= sum(map(str.isalnum, text)) <= _MAX_LETTERS
        ]
        return [(text.replace('"', "'"), round(confidence, 3)) for _, text, confidence in sorted(sure)[:_MAX_LINES]]


def _place_in_text(box: np.ndarray, height: int) -> tuple[int, float]:
    """Tells the order of reading: the row, in steps of a twentieth of the picture or more, and the place in it.

    box: [4, 2], corners (x, y) in pixels.
    """
    step = max(height / 20, float(np.ptp(box[:, 1])) / 2)
    return round(float(box[:, 1].mean()) / step), float(box[:, 0].min())
