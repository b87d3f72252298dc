"""Work on files from strangers, in child processes with limits on time and memory.

A decoder that crashes takes only its child with it, one that hangs is killed, and one that eats memory meets its
limit: each ends as an error of that file. Children are spawned, never forked (Lance is not fork-safe), and die with
their parent, even if that is killed.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

Input = TypeVar("Input")

PR_SET_PDEATHSIG = 1


class DecoderCrashed(RuntimeError):
    """The child process died while it worked on the file."""


class DecoderTimedOut(RuntimeError):
    """The child process did not finish the file in the time that its length allows."""


def ordered(
    work: Callable[..., Any],
    inputs: Iterable[Input],
    *,
    arguments: Callable[[Input], tuple[Any, ...]],
    seconds: Callable[[Input], float],
    workers: int,
    memory_bytes: int,
) -> Iterator[tuple[Input, Any]]:
    """Runs work(*arguments(input)) for each input in child processes; yields (input, result or error) in their order.

    work: a function at the top of a module. seconds: the limit for one input. At most twice `workers` inputs are
    under way or waiting to be taken, so memory does not grow with their number.
    """
    pool = ProcessPool(
        max_workers=workers,
        max_tasks=50,  # a fresh child now and then: decoders leak on some files
        initializer=_limit_this_process,
        initargs=[memory_bytes, os.getpid()],
        context=multiprocessing.get_context("spawn"),
    )
    with pool:
        under_way: deque[tuple[Input, Any, float]] = deque()
        try:
            for item in inputs:
                limit = seconds(item)
                under_way.append((item, pool.schedule(work, args=arguments(item), timeout=limit), limit))
                if len(under_way) >= 2 * workers:
                    yield _result(*under_way.popleft())
            while under_way:
                yield _result(*under_way.popleft())
        finally:
            pool.stop()
            pool.join()


def _result(item: Input, future: Any, limit: float) -> tuple[Input, Any]:
    try:
        return item, future.result()
    except FutureTimeout:
        return item, DecoderTimedOut(f"not finished after {limit:.0f} s, its limit by length; the child was killed")
    except ProcessExpired as died:
        return item, DecoderCrashed(f"the decoder crashed on this file ({died}, exit code {died.exitcode})")
    except Exception as error:  # noqa: BLE001 - the boundary: an error in the child is the outcome of its input
        return item, error


def _limit_this_process(memory_bytes: int, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it stops the children
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before it could be watched
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
