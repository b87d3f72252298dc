"""Measures how a shot moves: change, stillness, blackness, the camera's pan and zoom, and movement against it.

Reads the small pictures of `pictures` one frame at a time, so that a shot of any length costs the same memory.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from internvid.video.pictures import WIDE_HEIGHT, WIDE_WIDTH, SmallPicture, turned

# A cell of 8x6 counts as changed from 2 of 255: codec noise on a still slide stays below 1, a moving hand exceeds 5.
VISIBLE_CHANGE = 2.0
# A black frame: 99 % of it below 32 of 255 (a fade's last frames; a night scene has lamps).
BLACK_LUMA = 32
BLACK_SHARE = 0.99
# Optical flow between frames about a quarter of a second apart: long enough that a slow pan moves by a pixel.
CAMERA_SECONDS = 0.2
MAX_CAMERA_SECONDS = 1.0
# Twice a second: a pair costs 0.6 ms, as much as decoding a frame of 480p.
CAMERA_EVERY_SECONDS = 0.5
# Of 160 pixels of width: points that depart by more from the camera's movement move by themselves (flow errors are
# smaller).
RESIDUAL_PIXELS = 1.5

_PLACES = np.dstack(np.meshgrid(np.arange(WIDE_WIDTH), np.arange(WIDE_HEIGHT))).astype(np.float32)
_GRID_Y, _GRID_X = np.mgrid[2:WIDE_HEIGHT:5, 2:WIDE_WIDTH:5]
_GRID = (_GRID_X - (WIDE_WIDTH - 1) / 2 + 1j * (_GRID_Y - (WIDE_HEIGHT - 1) / 2)).ravel()


@dataclass(frozen=True, slots=True)
class Camera:
    """The camera's movement between two frames.

    `pan`: frame widths and heights per second, positive when the camera turns right and down. `zoom`: log2 of the scale
    per second, positive zooms in. `moving_share`: share of the picture that moves by itself. `mover`: mean movement of
    that part against the scene, frame widths and heights per second, positive right and down.
    """

    seconds: float
    pan: tuple[float, float]
    zoom: float
    moving_share: float
    mover: tuple[float, float]


def luma_change(before: np.ndarray, after: np.ndarray) -> tuple[float, bool]:
    """Returns (mean change from 0 to 1, whether anything visibly changed) between two small lumas [36, 64] uint8.

    A change is visible if the mean of one of 8x6 cells changed by VISIBLE_CHANGE: noise does not count as movement.
    """
    difference = cv2.absdiff(before, after)
    mean = cv2.mean(difference)[0]
    if mean > VISIBLE_CHANGE:
        return mean / 255.0, True
    return mean / 255.0, _largest_cell(difference) > VISIBLE_CHANGE


def luma_and_cell_change(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Returns (mean change from 0 to 1, change of the cell that changed most, from 0 to 255) of two small lumas."""
    difference = cv2.absdiff(before, after)
    return cv2.mean(difference)[0] / 255.0, _largest_cell(difference)


def _largest_cell(difference: np.ndarray) -> float:
    return cv2.minMaxLoc(cv2.resize(difference, (8, 6), interpolation=cv2.INTER_AREA))[1]


def is_black(picture: SmallPicture) -> bool:
    """Whether the picture is a black frame."""
    # A hundredth of white on BLACK_LUMA everywhere else is the brightest that a black frame can be.
    if picture.mean_luma > BLACK_LUMA + (1 - BLACK_SHARE) * 255:
        return False
    return int(np.count_nonzero(picture.luma < BLACK_LUMA)) >= BLACK_SHARE * picture.luma.size


class CameraMeter:
    """Measures camera movement between two wide lumas ([90, 160] uint8) by dense flow and a robust similarity fit.

    Flow: DIS, the fastest preset down to half size (Kroeger et al. 2016; 0.3 ms a pair). Fit: least squares of shift,
    scale and turn, refitted on what it explains, starting from the median shift.
    """

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        # The preset stops at a quarter of the size, where an object of a fifth of the picture's width slips through.
        self._flow.setFinestScale(1)

    def measure(self, before: np.ndarray, after: np.ndarray, seconds: float) -> Camera | None:
        """Returns None where the frames have too little in common to show a movement (a cut, a whip pan, darkness)."""
        flow = self._flow.calc(before, after, None)  # type: ignore[call-overload]
        if not _explains(before, after, flow):
            return None
        # Right is real and down imaginary: a shift and a factor are all of a similarity, in half of the array calls.
        moved = flow.view(np.complex64)[2::5, 2::5, 0].ravel().astype(np.complex128)
        shift, factor = complex(_median(moved.real), _median(moved.imag)), 0j
        rest = moved - shift
        inside = np.abs(rest) < 2 * RESIDUAL_PIXELS
        for _ in range(3):
            if np.count_nonzero(inside) < 0.2 * moved.size:
                break
            shift, factor = _similarity(_GRID[inside], moved[inside])
            rest = moved - (shift + factor * _GRID)
            fitted, inside = inside, np.abs(rest) < RESIDUAL_PIXELS
            if np.array_equal(fitted, inside):
                break
        moves = np.abs(rest) >= RESIDUAL_PIXELS
        moving = int(np.count_nonzero(moves))
        mover = complex(rest[moves].mean()) / seconds if moving else 0j
        return Camera(
            seconds=seconds,
            pan=(-shift.real / WIDE_WIDTH / seconds, -shift.imag / WIDE_HEIGHT / seconds),
            zoom=math.log2(max(1 + factor.real, 0.1)) / seconds,
            moving_share=moving / moved.size,
            mover=(mover.real / WIDE_WIDTH, mover.imag / WIDE_HEIGHT),
        )


def _median(values: np.ndarray) -> float:
    """The median; NumPy's own takes 0.15 ms, as long as all else that is done with the flow."""
    half = values.size // 2
    if values.size % 2:
        return float(np.partition(values, half)[half])
    middle = np.partition(values, (half - 1, half))
    return float((middle[half - 1] + middle[half]) / 2)


def _explains(before: np.ndarray, after: np.ndarray, flow: np.ndarray) -> bool:
    """Whether moving `after` back along the flow brings it near `before`."""
    here = cv2.norm(before, after, cv2.NORM_L1) / before.size
    if here < 4:  # so alike that there is little to explain
        return True
    back = cv2.remap(after, flow + _PLACES, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return cv2.norm(before, back, cv2.NORM_L1) / before.size < 0.6 * here


def _similarity(place: np.ndarray, moved: np.ndarray) -> tuple[complex, complex]:
    """Fits moved = shift + factor place by least squares, in complex numbers: closed form about the centroid.

    The factor's real part is scale, its imaginary part turn.
    """
    mean_place, mean_moved = complex(place.mean()), complex(moved.mean())
    centred = place - mean_place
    size = np.vdot(centred, centred).real or 1.0
    factor = complex(np.vdot(centred, moved - mean_moved) / size)
    return complex(mean_moved - factor * mean_place), factor


class StepShares:
    """Tells how the change over several frames is spread over its steps, by the places where all frames are known.

    The changes of two steps add up to more than the change over both, as what moves forth and back, and noise, cancel
    out; and a change over two steps can be visible where neither step's is.
    """

    def __init__(self) -> None:
        self._known: list[np.ndarray] = []  # lumas of the last anchor and of the frames since; empty if one is unknown
        # Sums over the newest places, each counting less than the next: of the steps' changes, of those over them all.
        self._of_steps, self._over_all = 0.0, 0.0
        # Of the newest steps: the change of the largest cell, as a share of its change over all steps.
        self._cell_shares: deque[float] = deque((_USUAL_CELL_SHARE,), maxlen=_CELL_SHARES)

    def begin(self, luma: np.ndarray, *, is_anchor: bool) -> None:
        """Notes a frame before which frames were left out."""
        self._known = [luma] if is_anchor else []

    def learn(self, luma: np.ndarray, *, is_anchor: bool) -> None:
        """Notes a frame that follows the last one."""
        if self._known:
            self._known.append(luma)
        if not is_anchor:
            return
        if len(self._known) > 2:
            change, cell = luma_and_cell_change(self._known[0], luma)
            steps = [luma_and_cell_change(first, second) for first, second in pairwise(self._known)]
            if change < _CUT_CHANGE:
                self._of_steps = _FORGETTING * self._of_steps + sum(step for step, _ in steps)
                self._over_all = _FORGETTING * self._over_all + change
            if cell >= _MIN_CELL:
                self._cell_shares.extend(step_cell / cell for _, step_cell in steps)
        self.begin(luma, is_anchor=True)

    def of_each(self, before: np.ndarray, after: np.ndarray, steps: int) -> tuple[float, float]:
        """The change of each of `steps` steps from one luma to another, and the share of them that is visible."""
        change, cell = luma_and_cell_change(before, after)
        of_steps = self._of_steps / self._over_all if self._over_all else 1.0
        visible = sum(cell * share > VISIBLE_CHANGE for share in self._cell_shares)
        return change * min(max(of_steps, 1.0), float(steps)) / steps, visible / len(self._cell_shares)


_FORGETTING = 0.9
_CELL_SHARES = 16
_USUAL_CELL_SHARE = 0.7  # until some are known
_MIN_CELL = 1.0  # levels of a cell's change, below which there is nothing but noise
_CUT_CHANGE = 0.1  # between shots, whose change says nothing of movement


class ShotMeasures:
    """Adds up a shot's measures, frame by frame."""

    def __init__(self) -> None:
        self.change = 0.0
        self.seconds = 0.0
        self.still_seconds = 0.0
        self.frames = 0
        self.black_frames = 0
        self.frame_count = 0
        self.interlaced_frames = 0
        self._camera_seconds = 0.0
        self._pan = [0.0, 0.0]
        self._zoom = 0.0
        self._share_seconds = 0.0
        self._mover = [0.0, 0.0]

    def add_frame(self, *, black: bool) -> None:
        self.frames += 1
        self.black_frames += black

    def add_interlacing(self, is_interlaced: bool) -> None:
        """Adds a frame of the shot that was looked at for two fields."""
        self.frame_count += 1
        self.interlaced_frames += is_interlaced

    def add_change(self, change: float, visible: float, seconds: float) -> None:
        """Adds the change between two frames of the shot, `seconds` apart. visible: the share of it that is visible."""
        self.change += change
        self.seconds += seconds
        self.still_seconds += seconds * (1 - visible)

    def add_camera(self, camera: Camera, shown: tuple[int, int, int, int]) -> None:
        """Adds a camera movement between two frames of the shot. shown: as `pictures.orientation` returns it."""
        seconds = camera.seconds
        pan = turned(camera.pan, shown)
        mover = turned(camera.mover, shown)
        self._camera_seconds += seconds
        self._zoom += camera.zoom * seconds
        self._share_seconds += camera.moving_share * seconds
        for axis in (0, 1):
            self._pan[axis] += pan[axis] * seconds
            self._mover[axis] += mover[axis] * camera.moving_share * seconds

    @property
    def motion(self) -> float:
        """The mean change of luma (0 to 1) per second."""
        return self.change / self.seconds if self.seconds else 0.0

    @property
    def stillness(self) -> float:
        """The share of the shot's time in which nothing visibly changes; 1 for a shot of one frame."""
        return self.still_seconds / self.seconds if self.seconds else 1.0

    @property
    def blackness(self) -> float:
        return self.black_frames / self.frames if self.frames else 0.0

    @property
    def interlaced_share(self) -> float:
        return self.interlaced_frames / self.frame_count if self.frame_count else 0.0

    @property
    def pan(self) -> tuple[float, float]:
        seconds = self._camera_seconds or 1.0
        return self._pan[0] / seconds, self._pan[1] / seconds

    @property
    def zoom(self) -> float:
        return self._zoom / (self._camera_seconds or 1.0)

    @property
    def moving_share(self) -> float:
        return self._share_seconds / (self._camera_seconds or 1.0)

    @property
    def mover(self) -> tuple[float, float]:
        share = self._share_seconds or 1.0
        return self._mover[0] / share, self._mover[1] / share
