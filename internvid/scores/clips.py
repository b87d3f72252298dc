"""Scores clips from the scores of their pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

Input = TypeVar("Input")


def score_clips(
    clips: Sequence[Sequence[Input]],
    score_pictures: Callable[[Sequence[Input]], Sequence[float | Exception]],
    combine: Callable[[Sequence[float]], float],
) -> list[float | Exception]:
    """Scores each clip: `combine` of the scores of its pictures.

    score_pictures: is called once, with the pictures of all clips. The result is the error for a clip without pictures
    or with a picture that cannot be scored.
    """
    scores = score_pictures([picture for pictures in clips for picture in pictures])
    clip_scores: list[float | Exception] = []
    first = 0
    for pictures in clips:
        picture_scores = scores[first : first + len(pictures)]
        first += len(pictures)
        errors = [score for score in picture_scores if isinstance(score, Exception)]
        values = [score for score in picture_scores if not isinstance(score, Exception)]
        if errors:
            clip_scores.append(errors[0])
        elif not values:
            clip_scores.append(ValueError("the clip has no picture"))
        elif not np.isfinite(values).all():
            clip_scores.append(ValueError(f"the model's answer is no number: {values}"))
        else:
            clip_scores.append(float(combine(values)))
    return clip_scores
