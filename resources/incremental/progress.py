"""Progress of long work: a bar on a terminal, otherwise lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress(what: str, total: int, log: Callable[[str], object] | None = None) -> Iterator[Callable[[int], None]]:
    """Yields `advance(n)`. It shows a bar on a terminal, else a line of `log` at most every ten seconds.

    total: 0 where it is not known beforehand.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bars:
            task = bars.add_task(what, total=total or None)
            yield lambda n: bars.advance(task, n)
        return

    done = 0
    last_line = time.monotonic()

    def advance(n: int) -> None:
        nonlocal done, last_line
        done += n
        if log is not None and time.monotonic() - last_line >= SECONDS_BETWEEN_LINES:
            last_line = time.monotonic()
            log(f"{what}: {done:,}" + (f" of {total:,}" if total else ""))

    yield advance
