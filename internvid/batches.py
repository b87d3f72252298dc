"""Runs a model on many inputs in batches: keeps their order, and adapts the batch size to the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from typing import TypeVar

from internvid.ahead import prepared_ahead

Input = TypeVar("Input")
Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Answer = TypeVar("Answer")

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory")  # messages of a GPU and of a CPU


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yields the items in lists of `size`, the last of which may be shorter."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


class Batches:
    """Runs functions on batches of at most `size` inputs.

    A batch that runs out of memory is halved, and later batches are no larger.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def map(
        self, run: Callable[[Sequence[Input]], Sequence[Answer]], inputs: Sequence[Input]
    ) -> list[Answer | Exception]:
        """Returns the answer of `run` for each input, in their order.

        A batch that fails for another reason than memory is repeated input by input. An input that fails alone gets its
        error as the answer.
        """
        return self.map_prepared(lambda batch: batch, run, inputs)

    def map_prepared(
        self,
        prepare: Callable[[Sequence[Input]], Prepared],
        run: Callable[[Prepared], Sequence[Answer]],
        inputs: Sequence[Input],
    ) -> list[Answer | Exception]:
        """As `map`, of `run(prepare(batch))`: a thread prepares the next batch while a batch runs.

        prepare: what needs no GPU, such as decoding and resizing. An error of it is one of its batch.
        """
        answers: list[Answer | Exception] = []
        while len(answers) < len(inputs):
            size = self.size
            batches = [inputs[first : first + size] for first in range(len(answers), len(inputs), size)]
            # For the last batch alone a thread would be of no use.
            prepared = prepared_ahead(partial(_result_or_error, prepare), batches, threads=1 if len(batches) > 1 else 0)
            with closing(prepared):
                for batch, ready in zip(batches, prepared, strict=True):
                    outcome = ready if isinstance(ready, Exception) else _answers_or_error(run, ready, len(batch))
                    if not isinstance(outcome, Exception):
                        answers += outcome
                        continue
                    if _is_out_of_memory(outcome):
                        # Not where the error was caught: there, its traceback still referenced the tensors.
                        _empty_cache()
                    if len(batch) == 1:
                        answers.append(outcome)
                    elif _is_out_of_memory(outcome):
                        self.size = len(batch) // 2
                        break  # what is prepared already is too large as well
                    else:
                        answers += Batches(1).map_prepared(prepare, run, batch)
        return answers


def _result_or_error(function: Callable[[Sequence[Input]], Prepared], batch: Sequence[Input]) -> Prepared | Exception:
    try:
        return function(batch)
    except Exception as error:  # noqa: BLE001 - the boundary: the error becomes the answer of its input
        return error.with_traceback(None)


def _answers_or_error(
    run: Callable[[Prepared], Sequence[Answer]], prepared: Prepared, expected: int
) -> Sequence[Answer] | Exception:
    try:
        answers = run(prepared)
    except Exception as error:  # noqa: BLE001 - as above
        return error.with_traceback(None)
    if len(answers) != expected:
        raise RuntimeError(f"a batch of {expected} inputs got {len(answers)} answers")
    return answers


def _is_out_of_memory(error: Exception) -> bool:
    """Recognises torch's error by its class name, so that torch need not be installed."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or any(words in str(error).lower() for words in _OUT_OF_MEMORY))
    )


def _empty_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
