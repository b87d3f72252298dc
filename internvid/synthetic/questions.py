"""A question benchmark of synthetic videos: what is shown, in which colour, which way it moves, what comes first, how
many there are, and questions about things that are not there.

A video has two to four shots, each of one figure that moves to one side. All questions are asked of the ground truth,
and every answer names the shots that show it, by their numbers from 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from internvid.synthetic.actions import (
    BACKDROP_COLOURS,
    COLOURS,
    FRAMES_PER_SECOND,
    FRAMES_PER_SHOT,
    HEIGHT,
    PATTERNS,
    SHAPES,
    WIDTH,
)
from internvid.synthetic.plans import Action, Backdrop, Figure, Shot, VideoPlan

WAYS: dict[Action, str] = {
    "moving left": "to the left",
    "moving right": "to the right",
    "moving up": "up",
    "moving down": "down",
}
MIN_SHOTS, MAX_SHOTS = 2, 4
# The kinds of questions; `absent` asks for a property of something that is not there.
KINDS = ("object", "colour", "way", "first", "presence", "count", "absent")


class Shown(Protocol):
    """What a shot shows, as plans and ground truth say it."""

    @property
    def shape(self) -> str: ...

    @property
    def colour(self) -> str: ...

    @property
    def direction(self) -> str: ...


@dataclass(frozen=True)
class Question:
    """A question about a video. kind: of KINDS. shots: numbers of the shots that show the answer, from 1."""

    kind: str
    question: str
    answer: str
    shots: tuple[int, ...]


@dataclass(frozen=True)
class QuestionVideos:
    """The benchmark's videos: disjoint sets, drawn alike."""

    train: tuple[VideoPlan, ...]
    held_out: tuple[VideoPlan, ...]


def question_videos(*, train: int = 1000, held_out: int = 100, seed: int = 0) -> QuestionVideos:
    """Plans the benchmark's videos. train, held_out: numbers of videos.

    No held-out video has the same figures and movements in the same order as one to train on.
    """
    rng = np.random.default_rng([seed, 3])
    learn = [_video_plan(f"train_{number:04d}", rng) for number in range(train)]
    known = {_what_is_shown(plan) for plan in learn}
    held: list[VideoPlan] = []
    while len(held) < held_out:
        plan = _video_plan(f"held_out_{len(held):04d}", rng)
        if _what_is_shown(plan) not in known:
            held.append(plan)
    return QuestionVideos(tuple(learn), tuple(held))


def caption_of(shown: Shown) -> str:
    """Returns a caption that says all of a shot."""
    return f"A {shown.colour} {shown.shape} moves {_way(shown)}."


def questions_about(shots: Sequence[Shown], rng: np.random.Generator) -> list[Question]:
    """Returns two questions of each kind, in random order, about a video; fewer where it does not allow as many.

    shots: the one figure of each, in order. A property is asked for only where one shot alone answers.
    """
    asked = {
        "object": _objects(shots),
        "colour": _colours(shots),
        "way": _ways(shots),
        "first": _order(shots),
        "presence": _presence(shots, rng),
        "count": _counts(shots, rng),
        "absent": _absent(shots, rng),
    }
    questions = [questions[place] for questions in asked.values() for place in rng.permutation(len(questions))[:2]]
    return [questions[place] for place in rng.permutation(len(questions))]


def _objects(shots: Sequence[Shown]) -> list[Question]:
    by_colour = _only_one(shots, "colour")
    by_way = _only_one(shots, "direction")
    return [
        Question("object", f"Which object is {shots[shot].colour}?", f"A {shots[shot].shape}.", (shot + 1,))
        for shot in by_colour
    ] + [
        Question("object", f"Which object moves {_way(shots[shot])}?", f"A {shots[shot].shape}.", (shot + 1,))
        for shot in by_way
    ]


def _colours(shots: Sequence[Shown]) -> list[Question]:
    return [
        Question("colour", f"What colour is the {shots[shot].shape}?", f"{_capital(shots[shot].colour)}.", (shot + 1,))
        for shot in _only_one(shots, "shape")
    ]


def _ways(shots: Sequence[Shown]) -> list[Question]:
    answers = [(shot, shots[shot].shape) for shot in _only_one(shots, "shape")]
    return [
        Question("way", f"Which way does the {named} move?", f"{_capital(_way(shots[shot]))}.", (shot + 1,))
        for shot, named in answers
    ]


def _order(shots: Sequence[Shown]) -> list[Question]:
    first, last = shots[0], shots[-1]
    return [
        Question("first", "What comes first?", f"A {first.colour} {first.shape}.", (1,)),
        Question("first", "What comes last?", f"A {last.colour} {last.shape}.", (len(shots),)),
    ]


def _presence(shots: Sequence[Shown], rng: np.random.Generator) -> list[Question]:
    """One that is answered by yes and one by no, as far as there are both."""
    questions = []
    present = [shot.shape for shot in shots]
    absent = [shape for shape in SHAPES if shape not in present]
    for shape in (rng.choice(present), *([rng.choice(absent)] if absent else [])):
        where = tuple(number for number, shot in enumerate(shots, 1) if shot.shape == shape)
        questions.append(Question("presence", f"Is there a {shape}?", "Yes." if where else "No.", where))
    return questions


def _counts(shots: Sequence[Shown], rng: np.random.Generator) -> list[Question]:
    questions = []
    for shape in rng.permutation(SHAPES)[:2]:
        where = tuple(number for number, shot in enumerate(shots, 1) if shot.shape == shape)
        questions.append(Question("count", f"How many shots show a {shape}?", f"{len(where)}.", where))
    return questions


def _absent(shots: Sequence[Shown], rng: np.random.Generator) -> list[Question]:
    absent = [str(shape) for shape in rng.permutation(SHAPES) if shape not in {shot.shape for shot in shots}]
    if not absent:
        return []
    return [
        Question("absent", f"What colour is the {absent[0]}?", f"There is no {absent[0]}.", ()),
        Question("absent", f"Which way does the {absent[-1]} move?", f"There is no {absent[-1]}.", ()),
    ]


def _only_one(shots: Sequence[Shown], name: str) -> list[int]:
    """Returns the shots whose property no other shot has."""
    values = [getattr(shot, name) for shot in shots]
    return [place for place, value in enumerate(values) if values.count(value) == 1]


def _way(shown: Shown) -> str:
    return WAYS[f"moving {shown.direction}"]  # type: ignore[index]  # directions are those of the actions


def _what_is_shown(plan: VideoPlan) -> tuple[tuple[str, str, str], ...]:
    return tuple((shot.figures[0].shape, shot.figures[0].colour, shot.figures[0].direction) for shot in plan.shots)


def _video_plan(name: str, rng: np.random.Generator) -> VideoPlan:
    backdrop = Backdrop(str(rng.choice(PATTERNS)), str(rng.choice(BACKDROP_COLOURS)))
    figures = [_figure(rng) for _ in range(rng.integers(MIN_SHOTS, MAX_SHOTS + 1))]
    shots = tuple(Shot(FRAMES_PER_SHOT, backdrop, (figure,), grain=1.0) for figure in figures)
    return VideoPlan(name, shots, width=WIDTH, height=HEIGHT, fps=FRAMES_PER_SECOND, sound=False)


def _figure(rng: np.random.Generator) -> Figure:
    """Places the figure near the middle, so that its whole path lies within the picture."""
    x, y = (round(float(rng.uniform(0.38, 0.62)), 3) for _ in range(2))
    return Figure(
        str(rng.choice(SHAPES)),
        str(rng.choice(COLOURS)),
        list(WAYS)[rng.integers(len(WAYS))],
        at=(x, y),
        size=round(float(rng.uniform(0.38, 0.52)), 3),
        travel=round(float(rng.uniform(0.5, 0.75)), 3),
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
