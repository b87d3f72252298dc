"""A generation benchmark of synthetic videos: one figure, in one colour, moves to one side, and the caption says so.

Some triples of colour, shape and side are never shown in training. A generator that draws them on demand has understood
the words, and not learnt captions by heart. `recognition` says which triple a video shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from internvid.synthetic.actions import COLOURS, FRAMES_PER_SECOND, FRAMES_PER_SHOT, SHAPES
from internvid.synthetic.plans import Backdrop, Figure, Shot, VideoPlan
from internvid.synthetic.questions import WAYS, caption_of

SIDE = 64  # pixels: generators of 32 pixels are trained on it
DIRECTIONS = tuple(action.removeprefix("moving ") for action in WAYS)
BACKDROP_COLOUR = "white"


@dataclass(frozen=True, order=True)
class Motion:
    """What a video shows, and all that its caption says."""

    colour: str
    shape: str
    direction: str

    @property
    def caption(self) -> str:
        return caption_of(self)


@dataclass(frozen=True)
class MotionVideos:
    """The benchmark's videos. held_out: the triples that no video of `train` shows. held_out_videos: one of each."""

    train: tuple[VideoPlan, ...]
    held_out: tuple[Motion, ...]
    held_out_videos: tuple[VideoPlan, ...]


MOTIONS = tuple(Motion(colour, shape, direction) for colour in COLOURS for shape in SHAPES for direction in DIRECTIONS)


def motion_videos(*, train: int = 1500, seed: int = 0) -> MotionVideos:
    """Plans the benchmark's videos. train: their number.

    A quarter of the triples is held out: of each colour, shape and side, and of each pair of them, the same number.
    """
    held_out = tuple(
        motion
        for motion in MOTIONS
        if (COLOURS.index(motion.colour) + SHAPES.index(motion.shape) + DIRECTIONS.index(motion.direction)) % 4 == 0
    )
    shown = [motion for motion in MOTIONS if motion not in held_out]
    rng = np.random.default_rng([seed, 4])
    return MotionVideos(
        tuple(_plan(f"train_{number:05d}", shown[rng.integers(len(shown))], rng) for number in range(train)),
        held_out,
        tuple(_plan(f"held_out_{number:02d}", motion, rng) for number, motion in enumerate(held_out)),
    )


def motion_of(plan: VideoPlan) -> Motion:
    """Returns what the video shows."""
    (figure,) = plan.shots[0].figures
    return Motion(figure.colour, figure.shape, figure.direction)


def _plan(name: str, motion: Motion, rng: np.random.Generator) -> VideoPlan:
    x, y = (round(float(rng.uniform(0.47, 0.53)), 3) for _ in range(2))
    figure = Figure(
        motion.shape,
        motion.colour,
        next(action for action in WAYS if action == f"moving {motion.direction}"),
        at=(x, y),
        size=round(float(rng.uniform(0.37, 0.41)), 3),
        travel=round(float(rng.uniform(0.48, 0.54)), 3),
    )
    shot = Shot(FRAMES_PER_SHOT, Backdrop("flat", BACKDROP_COLOUR), (figure,))
    return VideoPlan(name, (shot,), width=SIDE, height=SIDE, fps=FRAMES_PER_SECOND, sound=False)
