"""Temporary folders that outlive no process for long: those whose owner was killed are removed by the next process.

The owner holds a lock of a file in its folder. The system frees it when the owner ends, however it ends. While a folder
is made or removed it has another name: under that nobody tries the lock, and it is removed once it is old.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "internvid-"
HIDDEN = ".internvid-unowned-"
LOCK = ".owner"
SECONDS_HIDDEN = 3600
# Other machines may write beside a file of a lake, and not every file system shows their locks. A folder in which for
# so long nothing was made nor removed is in use by none of them.
SECONDS_UNTOUCHED = 24 * 3600


@contextmanager
def temporary_folder(beside: Path | None = None) -> Iterator[Path]:
    """A new folder in TMPDIR, or in the folder `beside`, until the block ends. It holds the file LOCK."""
    if beside is None:
        remove_abandoned(Path(tempfile.gettempdir()))
    else:
        beside.mkdir(parents=True, exist_ok=True)
        remove_abandoned(beside, SECONDS_UNTOUCHED)
    hidden = Path(tempfile.mkdtemp(prefix=HIDDEN, dir=beside))
    lock = FileLock(hidden / LOCK, thread_local=False)  # the block may end in another thread
    lock.acquire()
    folder = hidden.rename(
        hidden.with_name(PREFIX + hidden.name.removeprefix(HIDDEN))
    )  # from now on others may try the lock
    try:
        yield folder
    finally:
        _remove(folder)
        lock.release()


@cache
def remove_abandoned(parent: Path, seconds_untouched: float = 0.0) -> None:
    """Removes the temporary folders there whose owner has ended; once in a process, and none of other users.

    seconds_untouched: only those that are so old.
    """
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        try:
            if _seconds_since_change(lock.parent) >= seconds_untouched:
                with FileLock(lock, blocking=False):
                    _remove(lock.parent)
        except (Timeout, OSError):  # it is in use, another process removes it, or it is another user's
            continue
    for hidden in parent.glob(f"{HIDDEN}*"):
        try:
            if _seconds_since_change(hidden) >= max(SECONDS_HIDDEN, seconds_untouched):
                shutil.rmtree(hidden)
        except OSError:
            continue


def _remove(folder: Path) -> None:
    """Removes it under its hidden name: what is left of it after a kill is found by that, though the lock be gone."""
    shutil.rmtree(folder.rename(folder.with_name(HIDDEN + folder.name.removeprefix(PREFIX))))


def _seconds_since_change(folder: Path) -> float:
    return time.time() - folder.stat().st_mtime
