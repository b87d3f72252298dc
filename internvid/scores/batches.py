"""Many inputs through a model, some at a time: in order, in as large batches as fit, each with its own answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

Input = TypeVar("Input")
Answer = TypeVar("Answer")

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory")  # a GPU's words, a CPU's


def in_batches(
    inputs: Sequence[Input], size: int, run: Callable[[Sequence[Input]], Sequence[Answer]]
) -> list[Answer | Exception]:
    """What `run` answers for each input, given `size` of them at a time; in the order of the inputs.

    A batch for which memory does not suffice is run again in halves, and the following ones are no larger. One that
    fails otherwise is run one by one, to find the inputs at fault: for these the error is the answer.
    """
    answers: list[Answer | Exception] = []
    while len(answers) < len(inputs):
        batch = inputs[len(answers) : len(answers) + size]
        found, error = _tried(batch, run)
        if error is None:
            answers += found
        elif _is_out_of_memory(error):
            # Here and not where the error was caught: only now are the tensors free that its traceback held.
            _empty_cache()
            if len(batch) == 1:
                answers.append(error)
            else:
                size = len(batch) // 2
        elif len(batch) == 1:
            answers.append(error)
        else:
            answers += in_batches(batch, 1, run)
    return answers


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


def _tried(
    batch: Sequence[Input], run: Callable[[Sequence[Input]], Sequence[Answer]]
) -> tuple[Sequence[Answer], Exception | None]:
    try:
        answers = run(batch)
    except Exception as error:  # noqa: BLE001 - the boundary: whatever an input raises is that input's answer
        return [], error.with_traceback(None)
    if len(answers) != len(batch):
        raise RuntimeError(f"{len(batch)} inputs were given, {len(answers)} answers came back")
    return answers, None


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _OUT_OF_MEMORY)
    )


def _empty_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
