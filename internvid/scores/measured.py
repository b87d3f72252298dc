"""Measures the technical quality of a picture: without a model, and without a notion of taste.

Four parts, each from 0 to 1, have equal weight:

    sharpness       of edges: variance of the Laplacian of luma at a short side of 256 pixels, as a logarithm; 0 for a
                    flat picture, 1 from 1000 (8-bit luma) on. Blur lowers it most. Noise and grain raise it.
    exposure        how far mean luma is from black and from white, less the share of pixels at either end: 1 for a
                    mean in the middle with nothing crushed or blown out, 0 for black and for white
    contrast        standard deviation of luma; 1 from a quarter of the range on
    colourfulness   Hasler and Süsstrunk 2003, from the spread and the mean of red-green and yellow-blue; 1 from 109
                    on, which their viewers called extremely colourful; 0 for grey

The score is 1 + 9 · their mean, from 1 to 10. That is the range of LAION's predictor but not its scale: of 72 frames of
real videos, half have 6.0 to 8.3 here and six in seven at least 4. A limit for one score does not suit the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

MODEL = "measured-aesthetics"
# Count it up with any change to the scores.
VERSION = "measured-aesthetics 1 (sharpness, exposure, contrast, colourfulness)"

_SHORT_SIDE = 256  # pixels that larger pictures are shrunk to, so that their size does not change their sharpness
_SHARP_VARIANCE = 1000.0
_FULL_CONTRAST = 0.25  # a picture with a uniform distribution of luma has 0.29
_EXTREMELY_COLOURFUL = 109.0
_CRUSHED, _BLOWN_OUT = 5, 250  # 8-bit luma


@dataclass(frozen=True)
class Parts:
    """The parts of a score, each from 0 to 1."""

    sharpness: float
    exposure: float
    contrast: float
    colourfulness: float

    @property
    def score(self) -> float:
        parts = astuple(self)
        return 1 + 9 * sum(parts) / len(parts)


def scores(pictures: Sequence[np.ndarray]) -> list[float]:
    """Scores each picture, [height, width, 3] uint8 RGB."""
    return [measure(picture).score for picture in pictures]


def measure(picture: np.ndarray) -> Parts:
    """Measures a picture, [height, width, 3] uint8 RGB."""
    import cv2

    small = _shrink(picture)
    luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    variance = float(cv2.Laplacian(luma, cv2.CV_32F).var())
    return Parts(
        sharpness=min(float(np.log1p(variance) / np.log1p(_SHARP_VARIANCE)), 1.0),
        exposure=_exposure(luma),
        contrast=min(float(luma.std()) / 255 / _FULL_CONTRAST, 1.0),
        colourfulness=min(_colourfulness(small) / _EXTREMELY_COLOURFUL, 1.0),
    )


def _exposure(luma: np.ndarray) -> float:
    """Measures exposure. luma: [height, width] uint8."""
    from_the_middle = abs(float(luma.mean()) / 127.5 - 1)  # 0 in the middle, 1 for black and white
    lost = float(((luma <= _CRUSHED) | (luma >= _BLOWN_OUT)).mean())
    return (1 - from_the_middle**2) * (1 - lost)


def _colourfulness(picture: np.ndarray) -> float:
    """The metric M of Hasler and Süsstrunk, "Measuring colourfulness in natural images"."""
    red, green, blue = np.moveaxis(picture.astype(np.float32), 2, 0)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    mean = np.hypot(red_green.mean(), yellow_blue.mean())
    return float(spread + 0.3 * mean)


def _shrink(picture: np.ndarray) -> np.ndarray:
    import cv2

    scale = _SHORT_SIDE / min(picture.shape[:2])
    if scale >= 1:
        return picture
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
