"""Plans of synthetic videos, shot by shot. Nothing here draws.

Sizes and positions are fractions of the picture, so that a plan suits any size. Lengths are frames, so that the ground
truth about cuts is exact.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Literal

Codec = Literal["h264", "vp9", "av1"]
Join = Literal["cut", "dissolve", "fade"]
Camera = Literal[
    "static", "pan left", "pan right", "tilt up", "tilt down", "zoom in", "zoom out", "whip pan left", "whip pan right"
]
Action = Literal[
    "still",
    "moving left",
    "moving right",
    "moving up",
    "moving down",
    "bouncing",
    "spinning",
    "growing",
    "shrinking",
    "talking",
    "swinging",
    "circling",
    "blinking",
    "appearing",
]

# Raise it when the drawing changes: videos rendered before are then rendered again.
DRAWING_VERSION = 4


@dataclass(frozen=True)
class Backdrop:
    """The background of a shot. `scene`: seed; the same scene looks the same in every shot of a video."""

    pattern: str
    colour: str
    scene: int = 0

    @property
    def kind(self) -> str:
        """The kind of pattern: flat, gradient, noise or textured."""
        if self.pattern in ("flat", "slide"):
            return "flat"
        return self.pattern if self.pattern in ("gradient", "noise") else "textured"


@dataclass(frozen=True)
class Figure:
    """A shape with an action. Its path is relative to the picture: viewers see its direction whatever the camera does.

    at: its centre half-way through the shot, (x, y) as fractions of width and height. size: its height as a fraction
    of the picture's height. travel: the distance that it moves within the shot, as a fraction of width or height.
    """

    shape: str
    colour: str
    action: Action = "still"
    at: tuple[float, float] = (0.5, 0.6)
    size: float = 0.25
    travel: float = 0.7

    @property
    def direction(self) -> str:
        """The direction of the movement: left, right, up, down, or empty for a figure that stays in place."""
        return self.action.removeprefix("moving ") if self.action.startswith("moving ") else ""

    @property
    def phrase(self) -> str:
        return f"{self.colour} {self.shape} {self.action}"


@dataclass(frozen=True)
class Shot:
    """A run of the camera without a cut.

    frames: length up to the join with the next shot, which lies in the middle of a fade or dissolve.
    travel: the camera's movement: frame widths or heights of a pan or tilt, the ratio of scales minus one of a zoom.
    framing: (zoom, x, y) of the whole shot, x and y in frame widths and heights: a jump cut is a change of framing.
    shake: sway of a hand-held camera, as a fraction of the width. grain: standard deviation in luma levels.
    flashes: (first frame within the shot, frames) of each camera flash. strobe: frames for which the light stays on,
    then off; 0 is steady light. join: the transition from the shot before, over join_frames.
    """

    frames: int
    backdrop: Backdrop
    figures: tuple[Figure, ...] = ()
    camera: Camera = "static"
    travel: float = 0.5
    framing: tuple[float, float, float] = (1.0, 0.0, 0.0)
    text: str = ""
    light: float = 1.0
    shake: float = 0.0
    grain: float = 0.0
    flashes: tuple[tuple[int, int], ...] = ()
    strobe: int = 0
    join: Join = "cut"
    join_frames: int = 0

    @property
    def is_still(self) -> bool:
        """Whether nothing moves and the light is steady. Grain does not count as movement."""
        acts = any(figure.action != "still" for figure in self.figures)
        lit_evenly = not self.flashes and not self.strobe
        return self.camera == "static" and not acts and lit_evenly and self.shake == 0


@dataclass(frozen=True)
class VideoPlan:
    """A synthetic video: its shots, and the format of its file.

    width, height: pixels of the upright picture as shown. A pixel aspect other than 1 narrows the coded picture, a
    rotation turns it. rotation_degrees: clockwise turn that a player makes to show it upright: 0, 90, 180, 270.
    variable_rate: frames are unevenly spaced in time, with `fps` as their average. start_seconds: timestamp of the
    first frame. fade_in, fade_out: lengths in frames of the fades from and to black at the ends.
    """

    name: str
    shots: tuple[Shot, ...]
    width: int = 640
    height: int = 360
    fps: int = 25
    codec: Codec = "h264"
    sound: bool = True
    pixel_aspect: Fraction = Fraction(1)
    rotation_degrees: int = 0
    variable_rate: bool = False
    start_seconds: float = 0.0
    fade_in: int = 0
    fade_out: int = 0

    @property
    def frame_count(self) -> int:
        return sum(shot.frames for shot in self.shots)

    @property
    def file_name(self) -> str:
        return f"{self.name}.webm" if self.codec == "vp9" else f"{self.name}.mp4"

    @property
    def starts(self) -> tuple[int, ...]:
        """The index of each shot's first frame."""
        return tuple(sum(shot.frames for shot in self.shots[:i]) for i in range(len(self.shots)))

    @property
    def cuts(self) -> tuple[int, ...]:
        """Indices of the frames at which a shot begins with a hard cut."""
        return tuple(start for start, shot in zip(self.starts[1:], self.shots[1:], strict=True) if shot.join == "cut")

    @property
    def gradual(self) -> tuple[tuple[int, int], ...]:
        """The (first, last) frame of each fade and dissolve, including the first clean frame after it."""
        ranges = [(0, self.fade_in)] if self.fade_in else []
        for start, shot in zip(self.starts[1:], self.shots[1:], strict=True):
            if shot.join != "cut":
                half = shot.join_frames // 2
                ranges.append((start - half, start + half))
        if self.fade_out:
            ranges.append((self.frame_count - self.fade_out, self.frame_count - 1))
        return tuple(ranges)

    @property
    def digest(self) -> str:
        """A hash of the plan and the drawing's version."""
        text = json.dumps([DRAWING_VERSION, asdict(self)], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
