"""Scoring clips from the scores of their pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from internvid.scores.clips import score_clips


def pictures(*numbers: int) -> list[np.ndarray]:
    return [np.full((1, 1, 3), number, np.uint8) for number in numbers]


def test_each_clip_gets_what_becomes_of_its_own_pictures():
    clips = [pictures(1, 5, 2), pictures(7), pictures(9, 3)]
    assert score_clips(clips, lambda batch: [float(picture.mean()) for picture in batch], max) == [5, 7, 9]


def test_a_clip_with_a_picture_that_fails_or_without_pictures_has_an_error_and_no_score():
    def score(batch: Sequence[np.ndarray]) -> list[float | Exception]:
        odd = {6: ValueError("a broken picture"), 7: math.nan}
        return [odd.get(int(picture.mean()), float(picture.mean())) for picture in batch]

    answers = score_clips([pictures(1, 6), [], pictures(2), pictures(7, 3)], score, max)
    assert [str(answer) for answer in answers] == [
        "a broken picture",
        "the clip has no picture",
        "2.0",
        "the model's answer is no number: [nan, 3.0]",
    ]
    assert [isinstance(answer, Exception) for answer in answers] == [True, True, False, True]
