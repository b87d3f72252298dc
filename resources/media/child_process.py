"""Processes untrusted files in child processes with limits on time and memory.

A decoder that crashes ends only its child, one that hangs is killed, and one that allocates too much memory reaches its
limit: each case becomes an error of that file. This process is never forked (Lance is not fork-safe): children are
forked from a server, a small process that imports what they need once, and holds no thread and no open file. They die
with this process, even if that is killed, and the server after them.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.context import BaseContext, ForkServerProcess, SpawnProcess
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import RLock
from types import ModuleType
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from resources.incremental.costs import note_processor_seconds
from resources.media.confinement import Confinement, confine

Input = TypeVar("Input")

MAX_SOCKET_FOLDER = 70  # bytes: of the 107 of a socket's path, less what multiprocessing appends
IMPORTED_ONCE = ["resources.media.video_file", "internvid.video.scan", "internvid.video.probe"]
BYTES_TO_REPORT = 64 << 20  # by which a child may exceed its limit to report that it has reached it
MAX_STARTS = 3  # of a call whose children die before they begin it


class DecoderCrashed(RuntimeError):
    """The child process died while it worked on the file."""


class DecoderKilled(DecoderCrashed):
    """The child process was killed from outside, as the system does where its memory runs out: a later try may do."""


class DecoderTimedOut(RuntimeError):
    """The child process did not finish the file in the time that its length allows."""


class RaisedInChild(RuntimeError):
    """Replaces an error that cannot be pickled; contains its class and text."""


def ordered(
    work: Callable[..., Any],
    inputs: Iterable[Input],
    *,
    arguments: Callable[[Input], tuple[Any, ...]],
    seconds: Callable[[Input], float],
    workers: int,
    memory_bytes: int,
    confinement: Callable[[Input], Confinement | None] = lambda item: None,
) -> Iterator[tuple[Input, Any]]:
    """Runs work(*arguments(input)) for each input in child processes; yields (input, result or error) in their order.

    work: a function at the top of a module, not of the main one. seconds: the limit for one input. confinement: what
    the child of an input may still do, None for everything; few differ, as each has children of its own. At most twice
    `workers` inputs are under way or waiting to be taken, so memory does not grow with their number.
    """
    pools: dict[Confinement | None, Children] = {}
    under_way: deque[tuple[Input, Children, Call]] = deque()
    try:
        for item in inputs:
            confined = confinement(item)
            children = pools.get(confined) or pools.setdefault(confined, Children(workers, memory_bytes, confined))
            under_way.append((item, children, children.call(work, arguments(item), seconds(item))))
            if len(under_way) >= 2 * workers:
                item, children, call = under_way.popleft()
                yield item, children.outcome(call)
        while under_way:
            item, children, call = under_way.popleft()
            yield item, children.outcome(call)
    finally:
        for children in pools.values():
            children.end()


@dataclass
class Call:
    """A call for a child process, with its pool and the future of its outcome."""

    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    seconds: float
    pool: ProcessPool
    future: ProcessFuture


class Children:
    """A pool of child processes, which is replaced if it breaks: Pebble's does when a child dies between files.

    memory_bytes: upper bound on the memory that each child may write to. Addresses that are only reserved do not count:
    a JavaScript runtime reserves more than it ever uses. confinement: None for children that may do everything.
    """

    def __init__(self, workers: int, memory_bytes: int, confinement: Confinement | None = None) -> None:
        self._workers, self._memory_bytes, self._confinement = workers, memory_bytes, confinement
        self._locks: list[RLock] = []
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPool:
        # The server listens at a socket in the folder for temporary files, and the path of a socket is short.
        has_room = len(os.fsencode(tempfile.gettempdir())) <= MAX_SOCKET_FOLDER
        context = multiprocessing.get_context("forkserver" if has_room else "spawn")
        self._has_server = has_room
        if has_room:
            context.set_forkserver_preload(IMPORTED_ONCE)
        return ProcessPool(
            max_workers=self._workers,
            max_tasks=50,  # a fresh child now and then: decoders leak on some files
            initializer=_limit_this_process,
            initargs=[self._memory_bytes, self._confinement],
            context=_Context(context, self._locks),
        )

    def call(self, work: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> Call:
        try:
            future = self._pool.schedule(_outcome, args=(work, arguments), timeout=seconds)
        except RuntimeError:  # it has given up
            self.end()
            self._pool = self._new_pool()
            future = self._pool.schedule(_outcome, args=(work, arguments), timeout=seconds)
        return Call(work, arguments, seconds, self._pool, future)

    def outcome(self, call: Call) -> Any:
        """Returns the result of the call, or its error."""
        for _ in range(MAX_STARTS):
            while not call.future.done() and call.pool.active:
                wait([call.future], timeout=1.0)  # a pool that gives up may forget a call
            try:
                result, start_seconds, work_seconds = call.future.result(timeout=0)
                if self._has_server:  # else the kernel counts a child for this process, once it has ended
                    note_processor_seconds(work_seconds, of_start=start_seconds)
                return result
            except TimeoutError:
                if call.future.done():
                    text = f"not finished after {call.seconds:.0f} s, its limit by length; the child was killed"
                    return DecoderTimedOut(text)
            except ProcessExpired as died:
                if died.exitcode == -signal.SIGKILL:
                    return DecoderKilled(
                        "the process that decoded this file was killed (SIGKILL), as the system does where its memory "
                        "runs out: lower INTERNVID_WORKERS if this happens often"
                    )
                return DecoderCrashed(f"the decoder crashed on this file ({died}, exit code {died.exitcode})")
            except BrokenProcessPool:
                pass
            call = self.call(call.work, call.arguments, call.seconds)  # the file is not at fault: it was not begun
        return DecoderCrashed(f"child processes died {MAX_STARTS} times before one began this file")

    def end(self) -> None:
        self._pool.stop()
        self._pool.join()
        self._locks.clear()


class _Context:
    """What Pebble needs of a context of multiprocessing, with two differences.

    Locks last as long as `locks` holds them: Pebble drops those of a pool before it ends the children, and a child that
    was just starting would print the traceback of not finding them. And children do not import the main module of this
    process: that of a command or of Dagster takes a second, and a call is a function of another module anyhow.
    """

    def __init__(self, context: BaseContext, locks: list[RLock]) -> None:
        self._context, self._locks = context, locks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def RLock(self) -> RLock:
        lock = self._context.RLock()
        self._locks.append(lock)
        return lock

    def Process(self, **arguments: Any) -> BaseProcess:
        return (_OfServer if self._context.get_start_method() == "forkserver" else _Spawned)(**arguments)


class _WithoutMain(BaseProcess):
    def start(self) -> None:
        with _MAIN_IS_AWAY:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                super().start()
            finally:
                sys.modules["__main__"] = main


class _OfServer(_WithoutMain, ForkServerProcess):
    pass


class _Spawned(_WithoutMain, SpawnProcess):
    pass


_MAIN_IS_AWAY = threading.Lock()


def _outcome(work: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, float, float]:
    """Runs in the child. Returns the result, and two processor times of this process: what its start took, if this is
    its first call, and what it took since.

    It returns errors as results; one that the parent cannot unpickle would break the pool.
    """
    global _returned_at
    start_seconds = 0.0
    if not _returned_at:
        start_seconds = _returned_at = time.process_time()
    try:
        result = work(*arguments)
    except BaseException as error:  # noqa: BLE001 - the boundary: whatever a file brings about is its outcome
        if isinstance(error, MemoryError):
            _raise_limit()
            error.__context__ = error.__traceback__ = None  # its frames hold what took the memory
        result = portable(error)
    before, _returned_at = _returned_at, time.process_time()
    return result, start_seconds, _returned_at - before


_returned_at = 0.0  # processor time of this process


def portable(error: BaseException) -> BaseException:
    """Returns the error, or, where it cannot be pickled and unpickled, one with its class and text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever goes wrong there, it cannot travel
        return RaisedInChild(f"{type(error).__name__}: {error}")
    return error


def _limit_this_process(memory_bytes: int, confinement: Confinement | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it stops the children
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes + BYTES_TO_REPORT))
        _die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if confinement is not None:
        confine(confinement)


def _raise_limit() -> None:
    """Makes room in a process that has reached its limit of memory: not even an error could travel otherwise."""
    if sys.platform == "linux":
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _die_with_parent() -> None:
    """Lets the kernel send SIGIO, which ends this process, when the pipe from the parent closes: no thread of Python
    has to run for it, and the server, whose end could be watched, waits for this process."""
    parent = multiprocessing.parent_process()
    if parent is None:
        os._exit(1)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, fcntl.fcntl(parent.sentinel, fcntl.F_GETFL) | os.O_ASYNC)
    if not parent.is_alive():
        os._exit(1)  # it died before it could be watched
