"""Inputs in batches: what memory does not suffice for, and what fails."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from internvid.scores.batches import by_clip, in_batches


def test_answers_stand_in_the_order_of_the_inputs():
    assert in_batches(range(10), 3, lambda some: [number * 2 for number in some]) == [2 * n for n in range(10)]


def test_a_batch_too_large_for_the_memory_is_halved_and_the_following_stay_small():
    sizes = []

    def run(some: Sequence[int]) -> list[int]:
        sizes.append(len(some))
        if len(some) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")
        return list(some)

    assert in_batches(range(10), 8, run) == list(range(10))
    assert sizes == [8, 4, 2, 2, 2, 2, 2]


def test_an_input_too_large_for_the_memory_by_itself_fails_alone():
    def run(some: Sequence[int]) -> list[int]:
        if 5 in some:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(some)

    answers = in_batches(range(8), 8, run)
    assert [type(answer) for answer in answers] == [int] * 5 + [torch.OutOfMemoryError] + [int] * 2


def test_an_input_that_fails_takes_no_other_with_it_and_the_batches_stay_large():
    sizes = []

    def run(some: Sequence[int]) -> list[int]:
        sizes.append(len(some))
        if 1 in some:
            raise ValueError("a broken picture")
        return list(some)

    answers = in_batches(range(8), 4, run)
    assert [str(answer) for answer in answers] == ["0", "a broken picture", "2", "3", "4", "5", "6", "7"]
    assert sizes == [4, 1, 1, 1, 1, 4]


def pictures(*numbers: int) -> list[np.ndarray]:
    return [np.full((1, 1, 3), number, np.uint8) for number in numbers]


def test_each_clip_gets_what_becomes_of_its_own_pictures():
    clips = [pictures(1, 5, 2), pictures(7), pictures(9, 3)]
    assert by_clip(clips, lambda some: [float(one.mean()) for one in some], max) == [5, 7, 9]


def test_a_clip_with_a_picture_that_fails_or_without_pictures_has_an_error_and_no_score():
    def score(some: Sequence[np.ndarray]) -> list[float | Exception]:
        odd = {6: ValueError("a broken picture"), 7: math.nan}
        return [odd.get(int(one.mean()), float(one.mean())) for one in some]

    answers = by_clip([pictures(1, 6), [], pictures(2), pictures(7, 3)], score, max)
    assert [str(answer) for answer in answers] == [
        "a broken picture",
        "the clip has no picture",
        "2.0",
        "the model's answer is no number: [nan, 3.0]",
    ]
    assert [isinstance(answer, Exception) for answer in answers] == [True, True, False, True]
