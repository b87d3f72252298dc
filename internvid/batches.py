"""Many inputs through a model, some at a time: in order, in as large batches as fit, each with its own answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Input = TypeVar("Input")
Answer = TypeVar("Answer")

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory")  # a GPU's words, a CPU's


class Batches:
    """size: inputs that go through together. What memory does not suffice for goes through in halves, and from then on
    batches are no larger.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def through(
        self, run: Callable[[Sequence[Input]], Sequence[Answer]], inputs: Sequence[Input]
    ) -> list[Answer | Exception]:
        """What `run` answers for each input, in their order.

        A batch that fails otherwise than for want of memory is run one by one, to find the inputs at fault: for these
        the error is the answer.
        """
        answers: list[Answer | Exception] = []
        while len(answers) < len(inputs):
            batch = inputs[len(answers) : len(answers) + self.size]
            found, error = _tried(run, batch)
            if error is not None and _is_out_of_memory(error):
                # Here and not where the error was caught: only now are the tensors free that its traceback held.
                _empty_cache()
            if error is None:
                answers += found
            elif len(batch) == 1:
                answers.append(error)
            elif _is_out_of_memory(error):
                self.size = len(batch) // 2
            else:
                answers += Batches(1).through(run, batch)
        return answers


def _tried(
    run: Callable[[Sequence[Input]], Sequence[Answer]], batch: Sequence[Input]
) -> tuple[Sequence[Answer], Exception | None]:
    try:
        answers = run(batch)
    except Exception as error:  # noqa: BLE001 - the boundary: whatever an input raises is that input's answer
        return [], error.with_traceback(None)
    if len(answers) != len(batch):
        raise RuntimeError(f"{len(batch)} inputs were given, {len(answers)} answers came back")
    return answers, None


def _is_out_of_memory(error: Exception) -> bool:
    """torch's own error by its name, so that torch need not be here."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or any(words in str(error).lower() for words in _OUT_OF_MEMORY))
    )


def _empty_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
