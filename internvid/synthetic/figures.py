"""Computes where the figures of a video are at a moment, and draws them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from internvid.synthetic.plans import Figure

PAINTS: dict[str, tuple[int, int, int]] = {
    "red": (222, 36, 40),
    "orange": (246, 140, 24),
    "yellow": (250, 216, 40),
    "green": (36, 178, 66),
    "blue": (36, 82, 226),
    "purple": (146, 58, 190),
    "pink": (244, 126, 182),
    "white": (246, 246, 246),
    "black": (24, 24, 28),
    "brown": (122, 76, 42),
}
SKIN, HAIR = (224, 176, 146), (62, 42, 30)
SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Pose:
    """The position and state of a figure at a moment.

    x, y: its centre in pixels. size: its height in pixels. turn: degrees. mouth: 0 shut to 1 open. shown: whether it is
    visible.
    """

    x: float
    y: float
    size: float
    turn: float = 0.0
    mouth: float = 0.0
    shown: bool = True


def pose_of(figure: Figure, *, progress: float, seconds: float, width: int, height: int) -> Pose:
    """Computes a figure's pose. progress: 0 at the shot's start to 1 at its end. seconds: since the shot's start."""
    x, y = figure.at[0] * width, figure.at[1] * height
    size, along = figure.size * height, figure.travel * (progress - 0.5)
    match figure.action:
        case "moving right":
            return Pose(x + along * width, y, size)
        case "moving left":
            return Pose(x - along * width, y, size)
        case "moving down":
            return Pose(x, y + along * height, size)
        case "moving up":
            return Pose(x, y - along * height, size)
        case "bouncing":
            return Pose(x, y - abs(math.sin(math.pi * seconds / 0.8)) * 0.3 * height, size)
        case "spinning":
            return Pose(x, y, size, turn=150 * seconds)
        case "growing":
            return Pose(x, y, size * (0.6 + 1.0 * progress))
        case "shrinking":
            return Pose(x, y, size * (1.6 - 1.0 * progress))
        case "talking":
            mouth = 0.5 + 0.3 * math.sin(14 * seconds) + 0.2 * math.sin(23 * seconds + 1)
            sway = 0.012 * size * math.sin(2.1 * seconds)
            nod = 0.6 * sway * math.cos(1.3 * seconds)
            return Pose(x + sway, y + nod, size, turn=2 * math.sin(seconds), mouth=mouth)
        case "swinging":  # as on a rope from above
            angle, rope = math.radians(35) * math.sin(2 * math.pi * seconds / 1.2), 0.4 * height
            aside, lifted = rope * math.sin(angle), rope * (1 - math.cos(angle))
            return Pose(x + aside, y - lifted, size, turn=-math.degrees(angle))
        case "circling":
            angle, radius = 2 * math.pi * seconds / 1.6, 0.2 * height
            return Pose(x + radius * math.cos(angle), y + radius * math.sin(angle), size)
        case "blinking":
            return Pose(x, y, size, shown=seconds % 0.8 < 0.4)
        case "appearing":
            return Pose(x, y, size, shown=progress >= 0.5)
        case _:
            return Pose(x, y, size)


def draw(canvas: np.ndarray, figure: Figure, pose: Pose) -> None:
    """Paints a figure, unless it is hidden, into the canvas, [height, width, 3] uint8 RGB.

    Raises ValueError for an unknown shape or colour.
    """
    if figure.shape not in SHAPES:
        raise ValueError(f"no shape {figure.shape!r}; there are {', '.join(SHAPES)}")
    if figure.colour not in PAINTS:
        raise ValueError(f"no colour {figure.colour!r}; there are {', '.join(PAINTS)}")
    if pose.shown:
        SHAPES[figure.shape](canvas, pose, PAINTS[figure.colour])


def _fill(canvas: np.ndarray, pose: Pose, corners: np.ndarray, paint: tuple[float, ...]) -> None:
    """Fills a polygon. corners: [n, 2] in units of the figure's height around its centre."""
    turn = math.radians(pose.turn)
    rotate = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    points = (corners @ rotate * pose.size + (pose.x, pose.y)) * 2**SUBPIXEL_BITS
    cv2.fillPoly(canvas, [points.round().astype(np.int32)], paint, cv2.LINE_AA, SUBPIXEL_BITS)


def _oval(
    canvas: np.ndarray, pose: Pose, centre: tuple[float, float], radii: tuple[float, float], paint: tuple[float, ...]
) -> None:
    """Fills an ellipse. centre, radii: in units of the figure's height."""
    angle = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    _fill(canvas, pose, np.stack([np.cos(angle), np.sin(angle)], -1) * radii + centre, paint)


def _box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _shade(paint: tuple[int, int, int], factor: float) -> tuple[float, ...]:
    return tuple(min(255.0, value * factor) for value in paint)


def _tinted(paint: tuple[int, int, int], white: float) -> tuple[float, ...]:
    return tuple(value + (255 - value) * white for value in paint)


def _circle(canvas: np.ndarray, pose: Pose, paint: tuple[int, int, int]) -> None:
    _oval(canvas, pose, (0, 0), (0.5, 0.5), _shade(paint, 0.66))
    _oval(canvas, pose, (-0.015, -0.015), (0.465, 0.465), paint)
    _oval(canvas, pose, (-0.16, -0.18), (0.13, 0.1), _tinted(paint, 0.35))


def _polygon(corners: np.ndarray) -> Callable[[np.ndarray, Pose, tuple[int, int, int]], None]:
    def paint_polygon(canvas: np.ndarray, pose: Pose, paint: tuple[int, int, int]) -> None:
        _fill(canvas, pose, corners, _shade(paint, 0.66))
        _fill(canvas, pose, corners * 0.9, paint)

    return paint_polygon


def _star_corners() -> np.ndarray:
    angle = np.arange(10) * math.pi / 5 - math.pi / 2
    radius = np.where(np.arange(10) % 2 == 0, 0.55, 0.24)
    return np.stack([np.cos(angle) * radius, np.sin(angle) * radius], -1)


def _balloon(canvas: np.ndarray, pose: Pose, paint: tuple[int, int, int]) -> None:
    _fill(canvas, pose, _box(-0.008, 0.2, 0.008, 0.62), (70, 70, 70))
    _fill(canvas, pose, np.array([[0, 0.2], [-0.05, 0.28], [0.05, 0.28]]), _shade(paint, 0.66))
    _oval(canvas, pose, (0, -0.12), (0.29, 0.36), _shade(paint, 0.7))
    _oval(canvas, pose, (-0.01, -0.125), (0.265, 0.335), paint)
    _oval(canvas, pose, (-0.1, -0.26), (0.07, 0.09), _tinted(paint, 0.45))


def _car(canvas: np.ndarray, pose: Pose, paint: tuple[int, int, int]) -> None:
    cabin = np.array([[-0.55, -0.1], [-0.36, -0.42], [0.3, -0.42], [0.56, -0.1]])
    _fill(canvas, pose, cabin, _shade(paint, 0.7))
    for left, right in ((-0.42, -0.06), (0.0, 0.42)):
        lean = 0.12 if left < 0 else 0.0
        pane = np.array([[left, -0.12], [left + lean, -0.36], [right - 0.14 + lean, -0.36], [right, -0.12]])
        _fill(canvas, pose, pane, (186, 214, 226))
    _fill(canvas, pose, _box(-0.95, -0.12, 0.95, 0.24), paint)
    _fill(canvas, pose, _box(-0.95, 0.14, 0.95, 0.24), _shade(paint, 0.6))
    for x in (-0.56, 0.56):
        _oval(canvas, pose, (x, 0.25), (0.2, 0.2), (28, 28, 30))
        _oval(canvas, pose, (x, 0.25), (0.09, 0.09), (168, 168, 172))


def _bus(canvas: np.ndarray, pose: Pose, paint: tuple[int, int, int]) -> None:
    """Draws a bus, three times as wide as high: at size 1 it covers the whole picture as it passes."""
    _fill(canvas, pose, _box(-1.5, -0.48, 1.5, 0.4), paint)
    _fill(canvas, pose, _box(-1.5, 0.22, 1.5, 0.4), _shade(paint, 0.55))
    for pane in range(7):
        left = -1.38 + pane * 0.4
        _fill(canvas, pose, _box(left, -0.36, left + 0.32, -0.02), (58, 74, 88))
        _fill(canvas, pose, np.array([[left, -0.36], [left + 0.14, -0.36], [left, -0.16]]), (120, 142, 158))
    for x in (-0.95, 0.95):
        _oval(canvas, pose, (x, 0.38), (0.18, 0.18), (26, 26, 28))
        _oval(canvas, pose, (x, 0.38), (0.08, 0.08), (150, 150, 154))


def _person(canvas: np.ndarray, pose: Pose, paint: tuple[int, int, int]) -> None:
    """Draws head and shoulders in a shirt of the colour, facing the viewer."""
    shoulders = np.array([[-0.54, 0.62], [-0.46, 0.24], [-0.3, 0.16], [0.3, 0.16], [0.46, 0.24], [0.54, 0.62]])
    _fill(canvas, pose, shoulders, paint)
    _fill(canvas, pose, np.array([[-0.1, 0.16], [0.1, 0.16], [0, 0.27]]), _shade(SKIN, 0.86))
    _fill(canvas, pose, _box(-0.085, 0.02, 0.085, 0.18), _shade(SKIN, 0.8))
    _oval(canvas, pose, (0, -0.19), (0.215, 0.26), HAIR)
    for side in (-1, 1):
        _oval(canvas, pose, (side * 0.195, -0.13), (0.03, 0.055), _shade(SKIN, 0.88))
    _oval(canvas, pose, (0, -0.13), (0.18, 0.23), _shade(SKIN, 0.92))
    _oval(canvas, pose, (-0.01, -0.135), (0.165, 0.215), SKIN)
    crown = [[-0.2, -0.2], [-0.17, -0.34], [0, -0.4], [0.17, -0.34], [0.2, -0.2]]
    _fill(canvas, pose, np.array([*crown, [0.1, -0.285], [-0.06, -0.27]]), HAIR)
    for side in (-1, 1):
        _oval(canvas, pose, (side * 0.072, -0.165), (0.045, 0.03), _shade(SKIN, 0.78))
        _oval(canvas, pose, (side * 0.072, -0.162), (0.036, 0.02), (244, 244, 242))
        _oval(canvas, pose, (side * 0.072, -0.162), (0.017, 0.02), (48, 34, 26))
        _fill(canvas, pose, _box(side * 0.072 - 0.046, -0.218, side * 0.072 + 0.046, -0.2), HAIR)
        _oval(canvas, pose, (side * 0.1, -0.08), (0.04, 0.03), (230, 166, 140))
    _fill(canvas, pose, np.array([[0.0, -0.15], [0.026, -0.075], [-0.026, -0.075]]), _shade(SKIN, 0.84))
    _oval(canvas, pose, (0, -0.015), (0.062, 0.014 + 0.028 * pose.mouth), (150, 62, 60))
    _oval(canvas, pose, (0, -0.015), (0.05, 0.002 + 0.022 * pose.mouth), (66, 22, 24))


SHAPES: dict[str, Callable[[np.ndarray, Pose, tuple[int, int, int]], None]] = {
    "circle": _circle,
    "square": _polygon(_box(-0.45, -0.45, 0.45, 0.45)),
    "triangle": _polygon(np.array([[0, -0.52], [0.56, 0.4], [-0.56, 0.4]])),
    "star": _polygon(_star_corners()),
    "balloon": _balloon,
    "car": _car,
    "bus": _bus,
    "person": _person,
}
