"""Inputs in batches: batches that do not fit into memory, and inputs that fail."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import torch

from internvid.batches import Batches


def test_answers_stand_in_the_order_of_the_inputs():
    assert Batches(3).map(lambda batch: [number * 2 for number in batch], range(10)) == [2 * n for n in range(10)]


def test_a_batch_too_large_for_the_memory_is_halved_and_the_following_stay_small():
    sizes = []

    def run(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")
        return list(batch)

    batches = Batches(8)
    assert batches.map(run, range(10)) == list(range(10))
    assert batches.map(run, range(2)) == [0, 1]
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]


def test_an_input_too_large_for_the_memory_by_itself_fails_alone():
    def run(batch: Sequence[int]) -> list[int]:
        if 5 in batch:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(batch)

    answers = Batches(8).map(run, range(8))
    assert [type(answer) for answer in answers] == [int] * 5 + [torch.OutOfMemoryError] + [int] * 2


def test_an_input_that_fails_takes_no_other_with_it_and_the_batches_stay_large():
    sizes = []

    def run(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        if 1 in batch:
            raise ValueError("a broken picture")
        return list(batch)

    answers = Batches(4).map(run, range(8))
    assert [str(answer) for answer in answers] == ["0", "a broken picture", "2", "3", "4", "5", "6", "7"]
    assert sizes == [4, 1, 1, 1, 1, 4]


def test_a_batch_is_prepared_while_the_one_before_runs():
    begun = {first: threading.Event() for first in (0, 3, 6)}

    def prepare(batch: Sequence[int]) -> list[int]:
        begun[batch[0]].set()
        return [number * 10 for number in batch]

    def run(prepared: list[int]) -> list[int]:
        if prepared[0] < 60:
            assert begun[prepared[0] // 10 + 3].wait(60)
        return [number + 1 for number in prepared]

    assert Batches(3).map_prepared(prepare, run, range(8)) == [number * 10 + 1 for number in range(8)]


def test_an_input_that_cannot_be_prepared_takes_no_other_with_it():
    def prepare(batch: Sequence[int]) -> list[int]:
        if 5 in batch:
            raise ValueError("a broken picture")
        return list(batch)

    answers = Batches(4).map_prepared(prepare, list, range(8))
    assert [str(answer) for answer in answers] == ["0", "1", "2", "3", "4", "a broken picture", "6", "7"]


def test_what_was_prepared_for_a_batch_too_large_for_the_memory_is_prepared_again_in_smaller_ones():
    prepared = []

    def prepare(batch: Sequence[int]) -> list[int]:
        prepared.append(list(batch))
        return list(batch)

    def run(batch: list[int]) -> list[int]:
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return batch

    assert Batches(4).map_prepared(prepare, run, range(8)) == list(range(8))
    assert [batch for batch in prepared if len(batch) == 2] == [[0, 1], [2, 3], [4, 5], [6, 7]]
