"""Runs a model on many inputs in batches: keeps their order, and adapts the batch size to the memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Input = TypeVar("Input")
Answer = TypeVar("Answer")

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory")  # messages of a GPU and of a CPU


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
        answers: list[Answer | Exception] = []
        while len(answers) < len(inputs):
            batch = inputs[len(answers) : len(answers) + self.size]
            batch_answers, error = _run_or_error(run, batch)
            if error is not None and _is_out_of_memory(error):
                # Not where the error was caught: there, its traceback still referenced the tensors.
                _empty_cache()
            if error is None:
                answers += batch_answers
            elif len(batch) == 1:
                answers.append(error)
            elif _is_out_of_memory(error):
                self.size = len(batch) // 2
            else:
                answers += Batches(1).map(run, batch)
        return answers


def _run_or_error(
    run: Callable[[Sequence[Input]], Sequence[Answer]], batch: Sequence[Input]
) -> tuple[Sequence[Answer], Exception | None]:
    try:
        answers = run(batch)
    except Exception as error:  # noqa: BLE001 - the boundary: the error becomes the answer of its input
        return [], error.with_traceback(None)
    if len(answers) != len(batch):
        raise RuntimeError(f"a batch of {len(batch)} inputs got {len(answers)} answers")
    return answers, None


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
