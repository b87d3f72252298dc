"""Temporary folders that outlive no process for long: those whose owner was killed are removed by the next process.

The owner holds a lock of a file in its folder. The system frees it when the owner ends, however it ends.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "internvid-"
LOCK = ".owner"


@contextmanager
def temporary_folder(beside: Path | None = None) -> Iterator[Path]:
    """A new folder in TMPDIR, or in the folder `beside`, until the block ends. It holds the file LOCK."""
    if beside is None:
        remove_abandoned(Path(tempfile.gettempdir()))
    else:
        beside.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=beside))
    lock = FileLock(hidden / LOCK, thread_local=False)  # the block may end in another thread
    lock.acquire()
    folder = hidden.rename(hidden.with_name(hidden.name.removeprefix(".")))  # from now on others may try the lock
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        lock.release()


@cache
def remove_abandoned(parent: Path) -> None:
    """Removes the temporary folders there whose owner has ended; once in a process, and none of other users."""
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        try:
            with FileLock(lock, blocking=False):
                shutil.rmtree(lock.parent)
        except (Timeout, OSError):  # it is in use, another process removes it, or it is another user's
            continue
