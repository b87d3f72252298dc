"""An action benchmark made of films: what acts, in which colour, and what it does, told in several wordings.

A film stays in one place with two figures, and each of its shots shows one of them doing one thing: as in real videos,
clips of one film look alike, and some are told in the same words. Captions never tell the place, so that a clip is
found by its action, object and colour or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from internvid.films.plans import Action, Backdrop, Figure, FilmPlan, Shot

# Each action in several wordings; the first is the action's own name.
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
# Of any figure: some captions of real videos say what happens and not who does it, and prompts of classes never do.
GENERAL_SENTENCES = ("Something is {doing}.", "The video shows something {doing}.")
ACTIONS: tuple[Action, ...] = tuple(WORDINGS)
SHAPES = ("square", "star", "balloon", "car")
COLOURS = ("red", "yellow", "green", "blue")

# Where films are set: in few places, none of a figure's colour. Were each film in a place of its own, the place would
# give away what is told of the film's clips, and a model would learn places by heart instead of looking at what acts.
PATTERNS = ("flat", "gradient", "wood")
BACKDROP_COLOURS = ("grey", "brown", "purple", "white")

# Two seconds, in which every action shows itself more than once or is over: 8 of the 16 frames make a training sample.
FRAMES_PER_SHOT, FRAMES_PER_SECOND = 16, 8
WIDTH, HEIGHT = 80, 60  # models of 64 pixels are trained on it
SHOTS_PER_FILM = 8
# Of the 16 figures, as many never do a certain thing in training.
UNSEEN_PER_ACTION = 4


@dataclass(frozen=True, order=True)
class Doing:
    """Who does what: all that a caption can tell."""

    action: Action
    shape: str
    colour: str

    def caption(self, rng: np.random.Generator) -> str:
        """One of the wordings that name action, shape and colour."""
        sentence, doing = str(rng.choice(SENTENCES)), str(rng.choice(WORDINGS[self.action]))
        article = "an" if self.colour[0] in "aeiou" else "a"
        told = sentence.format(article=article, colour=self.colour, shape=self.shape, doing=doing)
        return told[0].upper() + told[1:]

    def general_caption(self, rng: np.random.Generator) -> str:
        """One of the wordings that name the action alone."""
        return str(rng.choice(GENERAL_SENTENCES)).format(doing=rng.choice(WORDINGS[self.action]))


@dataclass(frozen=True)
class ActionFilms:
    """The benchmark's films. Triples of action, shape and colour in `unseen` occur in no other film.

    train, held_out: films of the same triples, each film in one of them. unseen: each of its triples once.
    """

    train: tuple[FilmPlan, ...]
    held_out: tuple[FilmPlan, ...]
    unseen: tuple[FilmPlan, ...]


def action_films(*, train: int = 750, held_out: int = 45, seed: int = 0) -> ActionFilms:
    """Plans of so many films for training and for testing, of eight shots each, and of those of unseen triples."""
    rng = np.random.default_rng([seed, 1])
    unseen = unseen_doings(seed=seed)
    in_order = sorted(unseen)
    shuffled = [in_order[place] for place in rng.permutation(len(in_order))]
    return ActionFilms(
        train=tuple(_film(f"train_{number:04d}", _seen_doings(rng, unseen), rng) for number in range(train)),
        held_out=tuple(_film(f"held_out_{number:04d}", _seen_doings(rng, unseen), rng) for number in range(held_out)),
        unseen=tuple(
            _film(f"unseen_{start:04d}", shuffled[start : start + SHOTS_PER_FILM], rng)
            for start in range(0, len(shuffled), SHOTS_PER_FILM)
        ),
    )


def unseen_doings(*, seed: int = 0) -> frozenset[Doing]:
    """The triples that training never shows: as many of each action, while each figure does other things."""
    rng = np.random.default_rng([seed, 2])
    figures = [(shape, colour) for shape in SHAPES for colour in COLOURS]
    return frozenset(
        Doing(action, *figures[chosen])
        for action in ACTIONS
        for chosen in rng.choice(len(figures), UNSEEN_PER_ACTION, replace=False)
    )


def _seen_doings(rng: np.random.Generator, unseen: frozenset[Doing]) -> list[Doing]:
    """What happens in a film: two figures, one after the other at random, each shot an action that it may show."""
    figures = [(str(rng.choice(SHAPES)), str(rng.choice(COLOURS))) for _ in range(2)]
    doings: list[Doing] = []
    while len(doings) < SHOTS_PER_FILM:
        doing = Doing(ACTIONS[rng.integers(len(ACTIONS))], *figures[rng.integers(2)])
        if doing not in unseen:
            doings.append(doing)
    return doings


def _film(name: str, doings: Sequence[Doing], rng: np.random.Generator) -> FilmPlan:
    """One place, and a shot for each doing."""
    place = Backdrop(str(rng.choice(PATTERNS)), str(rng.choice(BACKDROP_COLOURS)))
    shots = tuple(Shot(FRAMES_PER_SHOT, place, (_figure(doing, rng),), grain=1.0) for doing in doings)
    return FilmPlan(name, shots, width=WIDTH, height=HEIGHT, fps=FRAMES_PER_SECOND, sound=False)


def _figure(doing: Doing, rng: np.random.Generator) -> Figure:
    """The figure somewhere about the middle, so that the whole of its way is in the picture."""
    x, y = (round(float(rng.uniform(0.38, 0.62)), 3) for _ in range(2))
    size = round(float(rng.uniform(0.38, 0.52)), 3)
    travel = round(float(rng.uniform(0.5, 0.75)), 3)
    if doing.action == "bouncing":
        y += 0.15  # it goes up from where it stands
    return Figure(doing.shape, doing.colour, doing.action, at=(x, y), size=size, travel=travel)
