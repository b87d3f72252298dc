"""Says what a video of one figure shows, by its pixels: a judge of generated videos that is trained on nothing.

It knows how this package draws: paints, shapes, and that backdrops of `motions` have no colour. On videos that are
drawn it is right (tests/internvid/synthetic/test_recognition.py), so on others its mistakes are those of the videos.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import cv2
import numpy as np

from internvid.synthetic.actions import COLOURS, SHAPES
from internvid.synthetic.figures import PAINTS, Pose, draw
from internvid.synthetic.motions import Motion
from internvid.synthetic.plans import Figure

MIN_CHROMA = 60  # difference of the largest and the smallest of R, G and B: what has more belongs to the figure
MIN_AREA = 0.02  # share of the picture; a frame with less shows no figure
MIN_FRAMES = 4  # with a figure, of a video that shows one
MIN_TRAVEL = 0.1  # of the picture's side from the first to the last frame; what travels less does not move
TEMPLATE_SIDE = 24  # pixels


def recognised(frames: np.ndarray) -> Motion:
    """Returns what the video shows; a property that it does not show is empty. frames: [t, h, w, 3] uint8 RGB."""
    height, width = frames.shape[1:3]
    shown = [
        (number, mask, frame) for number, frame in enumerate(frames) if (mask := _figure_mask(frame)).mean() >= MIN_AREA
    ]
    if len(shown) < MIN_FRAMES:
        return Motion("", "", "")
    colours = Counter(colour for _, mask, frame in shown for colour in _colours(frame[mask]))
    middle = sorted(shown, key=lambda each: _distance_from_middle(each[1]))[: max(MIN_FRAMES, len(shown) // 2)]
    shapes = Counter(_shape(mask) for _, mask, _ in middle)
    centres = np.array([np.argwhere(mask).mean(0) / (height, width) for _, mask, _ in shown])
    return Motion(
        colours.most_common(1)[0][0],
        shapes.most_common(1)[0][0],
        _direction(np.array([number for number, _, _ in shown]), centres, len(frames)),
    )


def _figure_mask(frame: np.ndarray) -> np.ndarray:
    """Returns the largest coloured region, [h, w] bool; all False where there is none."""
    chroma = frame.max(-1).astype(np.int16) - frame.min(-1)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats((chroma > MIN_CHROMA).astype(np.uint8))
    if count < 2:
        return np.zeros(frame.shape[:2], bool)
    return labels == 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())


def _colours(pixels: np.ndarray) -> list[str]:
    """Returns for each pixel, [n, 3] uint8, the paint whose hue is nearest."""
    hues = cv2.cvtColor(pixels[None], cv2.COLOR_RGB2HSV)[0, :, 0].astype(np.int16)
    paints = np.array(
        [cv2.cvtColor(np.array([[PAINTS[colour]]], np.uint8), cv2.COLOR_RGB2HSV)[0, 0, 0] for colour in COLOURS]
    )
    apart = np.abs(hues[:, None] - paints[None].astype(np.int16))
    return [COLOURS[nearest] for nearest in np.minimum(apart, 180 - apart).argmin(1)]


def _distance_from_middle(mask: np.ndarray) -> float:
    """Near the middle a figure is whole."""
    return float(np.abs(np.argwhere(mask).mean(0) / mask.shape - 0.5).max())


def _direction(numbers: np.ndarray, centres: np.ndarray, frames: int) -> str:
    """Returns the side to which the line through the centres, [n, (y, x)] as shares of the picture, goes."""
    down, right = np.polyfit(numbers, centres, 1)[0] * frames
    if max(abs(down), abs(right)) < MIN_TRAVEL:
        return ""
    if abs(right) > abs(down):
        return "right" if right > 0 else "left"
    return "down" if down > 0 else "up"


def _shape(mask: np.ndarray) -> str:
    """Returns the shape whose drawing overlaps most with the mask, both cut to their bounds."""
    cut, aspect = _cut(mask)
    return max(SHAPES, key=lambda shape: _overlap(cut, aspect, *_template(shape)))


def _overlap(cut: np.ndarray, aspect: float, template: np.ndarray, of_template: float) -> float:
    """Returns intersection over union, times the likeness of the two aspects."""
    union = np.maximum(cut, template).sum()
    return float(np.minimum(cut, template).sum() / union * min(aspect, of_template) / max(aspect, of_template))


def _cut(mask: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the mask within its bounds, [side, side] float32, and its width by its height."""
    ys, xs = np.nonzero(mask)
    part = mask[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].astype(np.float32)
    side = (TEMPLATE_SIDE, TEMPLATE_SIDE)
    return cv2.resize(part, side, interpolation=cv2.INTER_AREA), part.shape[1] / part.shape[0]


@cache
def _template(shape: str) -> tuple[np.ndarray, float]:
    canvas = np.full((96, 192, 3), 128, np.uint8)
    draw(canvas, Figure(shape, COLOURS[0]), Pose(x=96, y=48, size=64))
    return _cut(_figure_mask(canvas))
