"""Decodes JPEG bytes to pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def rgb_of_jpeg(jpeg: bytes) -> np.ndarray:
    """Decodes a JPEG to [height, width, 3] uint8, RGB. Raises ValueError for bytes that are no picture."""
    import cv2
    import numpy as np

    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if bgr is None:
        raise ValueError(f"not a readable JPEG ({len(jpeg)} bytes)")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
