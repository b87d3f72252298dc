"""Inputs in batches: what memory does not suffice for, and what fails."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from internvid.batches import Batches


def test_answers_stand_in_the_order_of_the_inputs():
    assert Batches(3).through(lambda some: [number * 2 for number in some], range(10)) == [2 * n for n in range(10)]


def test_a_batch_too_large_for_the_memory_is_halved_and_the_following_stay_small():
    sizes = []

    def run(some: Sequence[int]) -> list[int]:
        sizes.append(len(some))
        if len(some) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")
        return list(some)

    batches = Batches(8)
    assert batches.through(run, range(10)) == list(range(10))
    assert batches.through(run, range(2)) == [0, 1]
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]


def test_an_input_too_large_for_the_memory_by_itself_fails_alone():
    def run(some: Sequence[int]) -> list[int]:
        if 5 in some:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(some)

    answers = Batches(8).through(run, range(8))
    assert [type(answer) for answer in answers] == [int] * 5 + [torch.OutOfMemoryError] + [int] * 2


def test_an_input_that_fails_takes_no_other_with_it_and_the_batches_stay_large():
    sizes = []

    def run(some: Sequence[int]) -> list[int]:
        sizes.append(len(some))
        if 1 in some:
            raise ValueError("a broken picture")
        return list(some)

    answers = Batches(4).through(run, range(8))
    assert [str(answer) for answer in answers] == ["0", "a broken picture", "2", "3", "4", "5", "6", "7"]
    assert sizes == [4, 1, 1, 1, 1, 4]
