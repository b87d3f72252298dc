"""Draws a plan's pictures: camera, figures, text, light, joins, grain. `internvid.synthetic.render` encodes them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from internvid.synthetic.backdrops import paint_backdrop
from internvid.synthetic.figures import Pose, draw, pose_of
from internvid.synthetic.plans import Backdrop, Figure, Shot, VideoPlan

# Backdrops extend beyond the widest view by this share of it: room for shake.
MARGIN = 0.12
# A whip pan: the camera rests, turns between these shares of the shot, and rests again.
WHIP_START, WHIP_END = 0.42, 0.58
SHUTTER = 0.5  # share of a frame's time in which the shutter is open: decides motion blur


@dataclass(frozen=True)
class View:
    """The camera's view. x, y: frame widths and heights from the middle of the backdrop. zoom: scale."""

    x: float
    y: float
    zoom: float


def frame_seconds(plan: VideoPlan, *, seed: int) -> list[float]:
    """Seconds from the first frame at which each frame is shown, [frame_count + 1]; the last is the video's end."""
    if not plan.variable_rate:
        return [frame / plan.fps for frame in range(plan.frame_count + 1)]
    # Like a phone's camera: mostly on time, sometimes late. Whole milliseconds, as phones write them.
    rng = np.random.default_rng([seed, zlib.crc32(plan.name.encode()), 1])
    steps = rng.choice([0.75, 1.0, 1.25, 2.0], size=plan.frame_count, p=[0.3, 0.4, 0.2, 0.1])
    milliseconds = np.round(steps / steps.mean() * 1000 / plan.fps).astype(int)
    return [0.0, *(float(total) / 1000 for total in np.cumsum(milliseconds))]


def pictures(plan: VideoPlan, *, seed: int = 0) -> Iterator[np.ndarray]:
    """Yields the video's upright pictures in order, [height, width, 3] uint8 RGB, each valid until the next one."""
    video_seed = [seed, zlib.crc32(plan.name.encode())]
    times = frame_seconds(plan, seed=seed)
    backdrops = _Backdrops(plan, [*video_seed, 2])
    painters: dict[int, _ShotPainter] = {}
    for index, shot in enumerate(plan.shots):
        first, last = plan.starts[index], plan.starts[index] + shot.frames
        after = plan.shots[index + 1] if index + 1 < len(plan.shots) else None
        for number in (index - 1, index, index + 1):
            if 0 <= number < len(plan.shots) and number not in painters:
                start = plan.starts[number]
                end = start + plan.shots[number].frames
                painters[number] = _ShotPainter(plan, plan.shots[number], times[start], times[end], backdrops)
        for number in [number for number in painters if number < index - 1]:
            del painters[number]
        grain = _Grain([*video_seed, 3, index], shot.grain, plan)
        for frame in range(first, last):
            picture = painters[index].picture(frame - first, times[frame])
            into, out_of = _join_weights(shot, after, frame - first, last - frame)
            if into < 1 and shot.join == "dissolve":
                earlier = painters[index - 1].picture(frame - plan.starts[index - 1], times[frame])
                picture = cv2.addWeighted(picture, into, earlier, 1 - into, 0)
            elif out_of < 1 and after is not None and after.join == "dissolve":
                later = painters[index + 1].picture(frame - last, times[frame])
                picture = cv2.addWeighted(picture, out_of, later, 1 - out_of, 0)
            elif into < 1 or out_of < 1:
                picture = cv2.convertScaleAbs(picture, alpha=2 * min(into, out_of) - 1)
            left = plan.frame_count - 1 - frame
            if frame < plan.fade_in or left < plan.fade_out:
                light = frame / plan.fade_in if frame < plan.fade_in else left / plan.fade_out
                picture = cv2.convertScaleAbs(picture, alpha=light)
            yield grain.over(picture)


def _join_weights(shot: Shot, after: Shot | None, since: int, until: int) -> tuple[float, float]:
    """The shot's weight against the shot before and against the one after it: 1 outside joins, 0.5 at a join.

    since, until: frames since the shot's start and until its end.
    """
    half_in = shot.join_frames // 2 if shot.join != "cut" else 0
    half_out = after.join_frames // 2 if after is not None and after.join != "cut" else 0
    into = 1.0 if since >= half_in else 0.5 + 0.5 * since / half_in
    out_of = 1.0 if until > half_out else 0.5 + 0.5 * until / (half_out + 1)
    return into, out_of


def _smooth(progress: float) -> float:
    bounded = min(1.0, max(0.0, progress))
    return bounded * bounded * (3 - 2 * bounded)


def camera_view(shot: Shot, progress: float) -> View:
    """The camera's view at a moment of the shot, without shake. progress: 0 at its start, 1 at its end."""
    zoom, x, y = shot.framing
    along = shot.travel * (progress - 0.5)
    match shot.camera:
        case "pan right":
            return View(x + along, y, zoom)
        case "pan left":
            return View(x - along, y, zoom)
        case "tilt down":
            return View(x, y + along, zoom)
        case "tilt up":
            return View(x, y - along, zoom)
        case "zoom in":
            return View(x, y, zoom * (1 + shot.travel) ** max(0.0, progress))
        case "zoom out":
            return View(x, y, zoom * (1 + shot.travel) ** max(0.0, 1 - progress))
        case "whip pan right" | "whip pan left":
            turned = shot.travel * (_smooth((progress - WHIP_START) / (WHIP_END - WHIP_START)) - 0.5)
            return View(x + (turned if shot.camera == "whip pan right" else -turned), y, zoom)
        case _:
            return View(x, y, zoom)


class _Backdrops:
    """Paints each backdrop of a video once: shots of one scene share it, as jump cuts require."""

    def __init__(self, plan: VideoPlan, seed: list[int]) -> None:
        self.plan, self.seed = plan, seed
        self.painted: dict[tuple[Backdrop, int, int], np.ndarray] = {}

    def for_shot(self, shot: Shot) -> np.ndarray:
        """The shot's backdrop, as large as its camera needs: [height, width, 3] uint8."""
        reach = [camera_view(shot, progress) for progress in (-0.1, 0.0, 0.5, 1.0, 1.1)]
        wide = 1 + MARGIN + 2 * max(abs(view.x) for view in reach)
        tall = 1 + MARGIN + 2 * max(abs(view.y) for view in reach)
        # Sizes are whole quarters of the picture: a scene looks the same only at the same size, and shots with a
        # slightly different framing must share a backdrop.
        width = int(math.ceil(wide * 4) / 4 * self.plan.width)
        height = int(math.ceil(tall * 4) / 4 * self.plan.height)
        key = (shot.backdrop, width, height)
        if key not in self.painted:
            self.painted[key] = paint_backdrop(shot.backdrop, width=width, height=height, seed=self.seed)
        return self.painted[key]


class _ShotPainter:
    """Draws one shot at any moment, also shortly before and after it, for dissolves."""

    def __init__(self, plan: VideoPlan, shot: Shot, start: float, end: float, backdrops: _Backdrops) -> None:
        self.width, self.height, self.fps = plan.width, plan.height, plan.fps
        self.shot, self.start, self.seconds = shot, start, end - start
        self.backdrop = backdrops.for_shot(shot)
        self.sway = np.random.default_rng([*backdrops.seed, shot.frames]).uniform(0, 2 * math.pi, 6)
        self.rested: tuple[View, np.ndarray] | None = None

    def picture(self, frame: int, at_seconds: float) -> np.ndarray:
        """Draws a frame: [height, width, 3] uint8. frame: its index in the shot. at_seconds: the video's time."""
        seconds = at_seconds - self.start
        progress = seconds / self.seconds
        view = self._shaken(camera_view(self.shot, progress), seconds)
        still = camera_view(self.shot, 0.5)
        canvas = self._background(view, progress)
        poses = [
            pose_of(figure, progress=progress, seconds=seconds, width=self.width, height=self.height)
            for figure in self.shot.figures
        ]
        for figure, pose in zip(self.shot.figures, poses, strict=True):
            fast = abs(figure.travel) * self.width / (self.seconds * self.fps) if figure.direction else 0.0
            if fast > 16:
                canvas = self._blurred(canvas, figure, progress, seconds, view, exposures=min(6, int(fast / 6)))
            else:
                draw(canvas, figure, self._seen(pose, view, still))
        if self.shot.text:
            _write(canvas, self.shot)
        return self._lit(canvas, frame)

    def _shaken(self, view: View, seconds: float) -> View:
        if self.shot.shake == 0:
            return view
        phase = self.sway
        # A hand-held camera: a slow sway, a quicker correction, a tremor.
        x = 0.6 * math.sin(5.3 * seconds + phase[0]) + 0.3 * math.sin(11.9 * seconds + phase[1])
        y = 0.6 * math.sin(4.1 * seconds + phase[2]) + 0.3 * math.sin(13.7 * seconds + phase[3])
        x, y = x + 0.1 * math.sin(29 * seconds + phase[4]), y + 0.1 * math.sin(31 * seconds + phase[5])
        return View(view.x + self.shot.shake * x, view.y + self.shot.shake * y, view.zoom)

    def _background(self, view: View, progress: float) -> np.ndarray:
        """Draws the backdrop as the camera sees it, into a new array."""
        if self.rested is not None and self.rested[0] == view:
            return self.rested[1].copy()
        tall, wide = self.backdrop.shape[:2]
        centre = (wide / 2 + view.x * self.width, tall / 2 + view.y * self.height)
        to_backdrop = np.array(
            [
                [1 / view.zoom, 0, centre[0] - self.width / 2 / view.zoom],
                [0, 1 / view.zoom, centre[1] - self.height / 2 / view.zoom],
            ]
        )
        picture = cv2.warpAffine(
            self.backdrop,
            to_backdrop,
            (self.width, self.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        before = camera_view(self.shot, progress - 1 / (self.seconds * self.fps))
        smear = int(abs(camera_view(self.shot, progress).x - before.x) * self.width * SHUTTER)
        if smear > 3:
            return cv2.blur(picture, (smear, 1))
        self.rested = (view, picture)
        return picture.copy()

    def _seen(self, pose: Pose, view: View, still: View) -> Pose:
        """The pose as the camera sees it: zoom, framing and shake move figures with the backdrop, pans do not."""
        shift_x, shift_y = still.x, still.y
        if self.shot.camera == "static":
            shift_x, shift_y = view.x, view.y
        if self.shot.camera.startswith("whip"):
            shift_x = view.x  # it turns away from the figure
        x = (pose.x - self.width / 2 - shift_x * self.width) * view.zoom + self.width / 2
        y = (pose.y - self.height / 2 - shift_y * self.height) * view.zoom + self.height / 2
        return replace(pose, x=x, y=y, size=pose.size * view.zoom)

    def _blurred(
        self, canvas: np.ndarray, figure: Figure, progress: float, seconds: float, view: View, *, exposures: int
    ) -> np.ndarray:
        """Draws the figure with motion blur: the mean of several exposures while the shutter is open."""
        total = np.zeros(canvas.shape, np.float32)
        for exposure in range(exposures):
            part = progress + SHUTTER * exposure / exposures / (self.seconds * self.fps)
            pose = pose_of(figure, progress=part, seconds=seconds, width=self.width, height=self.height)
            sharp = canvas.copy()
            draw(sharp, figure, self._seen(pose, view, camera_view(self.shot, 0.5)))
            cv2.accumulate(sharp, total)
        return cv2.convertScaleAbs(total, alpha=1 / exposures)

    def _lit(self, canvas: np.ndarray, frame: int) -> np.ndarray:
        light = self.shot.light
        if self.shot.strobe and (frame // self.shot.strobe) % 2:
            light *= 0.22
        if light != 1:
            canvas = cv2.convertScaleAbs(canvas, alpha=light)
        for first, length in self.shot.flashes:
            if first <= frame < first + length:
                # A flash is brightest at once and then fades; the scene remains visible, as on real video.
                white = 0.88 * (1 - (frame - first) / (length + 1))
                canvas = cv2.convertScaleAbs(canvas, alpha=1 - 0.8 * white, beta=235 * white)
        return canvas


def _write(canvas: np.ndarray, shot: Shot) -> None:
    """Writes the shot's text: on a slide a title over its points, elsewhere one large line at the bottom."""
    tall, wide = canvas.shape[:2]
    title, *points = shot.text.split("\n")
    if shot.backdrop.pattern != "slide":
        _line(canvas, title, (int(0.06 * wide), int(0.9 * tall)), height=0.075 * tall, paint=(255, 255, 255), edge=True)
        return
    _line(canvas, title, (int(0.06 * wide), int(0.2 * tall)), height=0.085 * tall, paint=(24, 40, 84), edge=False)
    cv2.line(canvas, (int(0.06 * wide), int(0.26 * tall)), (int(0.94 * wide), int(0.26 * tall)), (90, 110, 150), 2)
    for row, point in enumerate(points):
        y = int((0.4 + 0.14 * row) * tall)
        dot = (int(0.09 * wide), y - int(0.02 * tall))
        cv2.circle(canvas, dot, max(2, int(0.012 * tall)), (200, 80, 40), -1, cv2.LINE_AA)
        _line(canvas, point, (int(0.12 * wide), y), height=0.055 * tall, paint=(40, 40, 44), edge=False)


def _line(
    canvas: np.ndarray, text: str, foot: tuple[int, int], *, height: float, paint: tuple[int, int, int], edge: bool
) -> None:
    """Writes a line of text. foot: its lower left corner. height: pixels of capitals. edge: whether to outline it."""
    scale = height / 22  # capitals of this font are 22 pixels high at scale 1
    stroke = max(1, round(scale * 2))
    if edge:
        cv2.putText(canvas, text, foot, cv2.FONT_HERSHEY_DUPLEX, scale, (16, 16, 16), stroke + 3, cv2.LINE_AA)
    cv2.putText(canvas, text, foot, cv2.FONT_HERSHEY_DUPLEX, scale, paint, stroke, cv2.LINE_AA)


class _Grain:
    """Adds film grain: one field of noise per shot, shifted at random for every frame."""

    def __init__(self, seed: list[int], deviation: float, plan: VideoPlan) -> None:
        self.deviation, self.height, self.width = deviation, plan.height, plan.width
        self.rng = np.random.default_rng(seed)
        if deviation:
            size = (plan.height + 64, plan.width + 64)
            field = self.rng.normal(0, deviation, size).astype(np.float32)
            # Grains are a little larger than pixels; the blur that enlarges them halves the deviation.
            field = cv2.GaussianBlur(field, (3, 3), 0.6) * 1.7
            field = np.repeat(field.round()[..., None], 3, axis=2)
            # Lighter and darker grains are kept apart: two saturating sums of bytes cost a tenth of a sum of wider
            # integers.
            self.lighter, self.darker = (
                np.clip(field, 0, 255).astype(np.uint8),
                np.clip(-field, 0, 255).astype(np.uint8),
            )

    def over(self, picture: np.ndarray) -> np.ndarray:
        if not self.deviation:
            return picture
        y, x = self.rng.integers(0, 64, 2)
        place = np.s_[y : y + self.height, x : x + self.width]
        return cv2.subtract(cv2.add(picture, self.lighter[place]), self.darker[place])
