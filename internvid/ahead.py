"""Makes inputs in threads while a model still computes earlier ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice, repeat
from typing import TypeVar

Input = TypeVar("Input")
Prepared = TypeVar("Prepared")

_END = object()


def prepared_ahead(
    prepare: Callable[[Input], Prepared],
    inputs: Iterable[Input],
    *,
    threads: int = 1,
    initializer: Callable[[], object] | None = None,
) -> Generator[Prepared]:
    """Yields `prepare` of each input, in their order; what it raises is raised in its place.

    threads: number of inputs that are prepared at the same time, ahead of the one in use; 0: each is prepared when it
    is asked for. initializer: called first in each thread. Memory: at most threads + 1 prepared inputs.
    """
    if threads == 0:
        yield from map(prepare, inputs)
        return
    remaining = iter(inputs)
    pool = ThreadPoolExecutor(threads, "prepare", initializer)
    pending: deque[Future[Prepared]] = deque()
    try:
        pending.extend(pool.submit(prepare, item) for item in islice(remaining, threads))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(prepare, item) for item in islice(remaining, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def made_ahead(items: Iterable[Input]) -> Generator[Input]:
    """Yields the items: a thread makes the next one, which may take reading and decoding, while one is in use."""
    making = iter(items)
    with closing(prepared_ahead(lambda _: next(making, _END), repeat(None))) as made:
        for item in made:
            if item is _END:
                return
            yield item  # type: ignore[misc]  # not _END
