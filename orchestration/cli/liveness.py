"""Ends runs of killed processes: Dagster monitors runs of its daemon, but not runs in the process of a terminal.

A process holds a file locked while it lives, and its runs name the file; whoever comes next ends the runs whose file
can be locked. They would seem to go on for ever otherwise, and keep their places in the pools.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from uuid import uuid4

import dagster as dg
from filelock import FileLock, Timeout

TAG = "internvid/liveness"  # of a run: the file that its process holds locked
UNFINISHED = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED)


class Liveness:
    """The lock of this process, and the end of runs whose process lost theirs."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the runs of this process."""
        return {TAG: self._lock.lock_file}

    def end_runs_of_killed_processes(self) -> None:
        for run in self.instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED))):
            lock_file = run.tags.get(TAG)
            if lock_file is None or not _can_be_locked(Path(lock_file)):
                continue
            self.instance.report_run_failed(run, "the process that ran it was killed; what it had committed stays")
            self.instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            Path(lock_file).unlink(missing_ok=True)

    @cached_property
    def _lock(self) -> FileLock:
        """Held while this process lives: the system lets go of it however the process ends."""
        lock = FileLock(Path(self.instance.root_directory, "running", f"{uuid4()}.lock"))
        Path(lock.lock_file).parent.mkdir(exist_ok=True)
        lock.acquire()
        return lock


def _can_be_locked(path: Path) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True
