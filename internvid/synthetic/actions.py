"""An action benchmark of synthetic videos: which figure acts, in which colour, and what it does, in several wordings.

A video has one backdrop and two figures, and each of its shots shows one of them in one action. As in real videos,
clips of one video look alike, and some have the same caption. Captions never name the backdrop, so that a clip can be
retrieved by its action, shape and colour only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from internvid.synthetic.plans import Action, Backdrop, Figure, Shot, VideoPlan

# The wordings of each action; the first is the action's own name.
WORDINGS: dict[Action, tuple[str, ...]] = {
    "moving left": ("moving left", "sliding to the left"),
    "moving right": ("moving right", "sliding to the right"),
    "moving up": ("moving up", "rising to the top"),
    "moving down": ("moving down", "sinking to the bottom"),
    "bouncing": ("bouncing", "hopping on the spot"),
    "spinning": ("spinning", "turning round and round"),
    "growing": ("growing", "getting bigger"),
    "shrinking": ("shrinking", "getting smaller"),
    "swinging": ("swinging", "swaying like a pendulum"),
    "circling": ("circling", "moving in a circle"),
    "blinking": ("blinking", "flashing on and off"),
    "appearing": ("appearing", "showing up out of nowhere"),
}
SENTENCES = (
    "{article} {colour} {shape} is {doing}.",
    "The video shows {article} {colour} {shape} {doing}.",
    "There is {article} {colour} {shape}, and it is {doing}.",
    "{doing}: a {shape} in {colour}",
)
# Captions without the figure: some captions of real videos state the action alone, and class prompts always do.
GENERAL_SENTENCES = ("Something is {doing}.", "The video shows something {doing}.")
ACTIONS: tuple[Action, ...] = tuple(WORDINGS)
SHAPES = ("square", "star", "balloon", "car")
COLOURS = ("red", "yellow", "green", "blue")

# The backdrops: few, and none of a figure's colour. If each video had a backdrop of its own, the backdrop would
# give away the captions of the video's clips, and a model would memorise backdrops instead of looking at the figures.
PATTERNS = ("flat", "gradient", "wood")
BACKDROP_COLOURS = ("grey", "brown", "purple", "white")

# Two seconds, in which every action happens more than once or ends: 8 of the 16 frames make a training sample.
FRAMES_PER_SHOT, FRAMES_PER_SECOND = 16, 8
WIDTH, HEIGHT = 80, 60  # models of 64 pixels are trained on it
SHOTS_PER_VIDEO = 8
# For each action, the number of the 16 figures that never perform it in training.
UNSEEN_PER_ACTION = 4


@dataclass(frozen=True, order=True)
class Doing:
    """An action with the figure that performs it: all that a caption states."""

    action: Action
    shape: str
    colour: str

    def caption(self, rng: np.random.Generator) -> str:
        """A random caption that names action, shape and colour."""
        sentence, doing = str(rng.choice(SENTENCES)), str(rng.choice(WORDINGS[self.action]))
        article = "an" if self.colour[0] in "aeiou" else "a"
        caption = sentence.format(article=article, colour=self.colour, shape=self.shape, doing=doing)
        return caption[0].upper() + caption[1:]

    def general_caption(self, rng: np.random.Generator) -> str:
        """A random caption that names the action alone."""
        return str(rng.choice(GENERAL_SENTENCES)).format(doing=rng.choice(WORDINGS[self.action]))


@dataclass(frozen=True)
class ActionVideos:
    """The benchmark's videos. Triples of action, shape and colour in `unseen` occur in no other video.

    train, held_out: disjoint sets of videos of the same triples. unseen: videos with each of its triples once.
    """

    train: tuple[VideoPlan, ...]
    held_out: tuple[VideoPlan, ...]
    unseen: tuple[VideoPlan, ...]


def action_videos(*, train: int = 750, held_out: int = 45, seed: int = 0) -> ActionVideos:
    """Plans the benchmark's videos, of eight shots each. train, held_out: numbers of videos."""
    rng = np.random.default_rng([seed, 1])
    unseen = unseen_doings(seed=seed)
    in_order = sorted(unseen)
    shuffled = [in_order[place] for place in rng.permutation(len(in_order))]
    return ActionVideos(
        train=tuple(_video_plan(f"train_{number:04d}", _seen_doings(rng, unseen), rng) for number in range(train)),
        held_out=tuple(
            _video_plan(f"held_out_{number:04d}", _seen_doings(rng, unseen), rng) for number in range(held_out)
        ),
        unseen=tuple(
            _video_plan(f"unseen_{start:04d}", shuffled[start : start + SHOTS_PER_VIDEO], rng)
            for start in range(0, len(shuffled), SHOTS_PER_VIDEO)
        ),
    )


def videos_of_doings(shots: Mapping[str, Sequence[Doing]], *, seed: int) -> tuple[VideoPlan, ...]:
    """Plans a video for each name, with one backdrop and a shot for each of its doings, wherever the figure stands."""
    rng = np.random.default_rng([seed, 3])
    return tuple(_video_plan(name, doings, rng) for name, doings in shots.items())


def unseen_doings(*, seed: int = 0) -> frozenset[Doing]:
    """The triples that training never shows: the same number for each action, at random among the figures."""
    rng = np.random.default_rng([seed, 2])
    figures = [(shape, colour) for shape in SHAPES for colour in COLOURS]
    return frozenset(
        Doing(action, *figures[chosen])
        for action in ACTIONS
        for chosen in rng.choice(len(figures), UNSEEN_PER_ACTION, replace=False)
    )


def _seen_doings(rng: np.random.Generator, unseen: frozenset[Doing]) -> list[Doing]:
    """The shots of a video: each time one of two figures at random, in an action that is not unseen for it."""
    figures = [(str(rng.choice(SHAPES)), str(rng.choice(COLOURS))) for _ in range(2)]
    doings: list[Doing] = []
    while len(doings) < SHOTS_PER_VIDEO:
        doing = Doing(ACTIONS[rng.integers(len(ACTIONS))], *figures[rng.integers(2)])
        if doing not in unseen:
            doings.append(doing)
    return doings


def _video_plan(name: str, doings: Sequence[Doing], rng: np.random.Generator) -> VideoPlan:
    """Plans a video with one backdrop and a shot for each doing."""
    backdrop = Backdrop(str(rng.choice(PATTERNS)), str(rng.choice(BACKDROP_COLOURS)))
    shots = tuple(Shot(FRAMES_PER_SHOT, backdrop, (_figure(doing, rng),), grain=1.0) for doing in doings)
    return VideoPlan(name, shots, width=WIDTH, height=HEIGHT, fps=FRAMES_PER_SECOND, sound=False)


def _figure(doing: Doing, rng: np.random.Generator) -> Figure:
    """Places the figure near the middle, so that its whole path lies within the picture."""
    x, y = (round(float(rng.uniform(0.38, 0.62)), 3) for _ in range(2))
    size = round(float(rng.uniform(0.38, 0.52)), 3)
    travel = round(float(rng.uniform(0.5, 0.75)), 3)
    if doing.action == "bouncing":
        y += 0.15  # it goes up from where it stands
    return Figure(doing.shape, doing.colour, doing.action, at=(x, y), size=size, travel=travel)
