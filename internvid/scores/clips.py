"""A clip's score by those of its pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

Input = TypeVar("Input")


def by_clip(
    clips: Sequence[Sequence[Input]],
    score: Callable[[Sequence[Input]], Sequence[float | Exception]],
    over_pictures: Callable[[Sequence[float]], float],
) -> list[float | Exception]:
    """A number for each clip: `over_pictures` of the scores of its pictures, which `score` gets of all clips at once.

    For a clip without pictures, or with one that cannot be scored, the error.
    """
    scores = score([picture for pictures in clips for picture in pictures])
    answers: list[float | Exception] = []
    first = 0
    for pictures in clips:
        of_clip = scores[first : first + len(pictures)]
        first += len(pictures)
        errors = [answer for answer in of_clip if isinstance(answer, Exception)]
        values = [answer for answer in of_clip if not isinstance(answer, Exception)]
        if errors:
            answers.append(errors[0])
        elif not values:
            answers.append(ValueError("the clip has no picture"))
        elif not np.isfinite(values).all():
            answers.append(ValueError(f"the model's answer is no number: {values}"))
        else:
            answers.append(float(over_pictures(values)))
    return answers
