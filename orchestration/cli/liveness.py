"""Ends runs of killed processes, which Dagster leaves as they are: of a terminal, and of a code location that was lost.

A process of a terminal holds a file locked while it lives, and its runs name the file; whoever comes next on the same
machine ends the runs whose file can be locked. They would seem to go on for ever otherwise, and keep their places in
the pools.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from uuid import uuid4

import dagster as dg
from filelock import FileLock, Timeout

TAG = "internvid/liveness"  # of a run: MACHINE:FILE, the file that its process holds locked
CODE_LOCATION_TAG = ".dagster/grpc_info"  # of a run: JSON, where the server listens whose process started it
UNFINISHED = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED)


class Liveness:
    """The lock of this process, and the end of runs whose process lost theirs."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the runs of this process."""
        return {TAG: f"{socket.gethostname()}:{self._lock.lock_file}"}

    def end_runs_of_killed_processes(self) -> None:
        """Ends those that ran on this machine. Of another one, nobody here can tell whether its process lives."""
        for run in self.instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED))):
            machine, _, lock_file = run.tags.get(TAG, "").partition(":")
            if machine != socket.gethostname() or not _can_be_locked(Path(lock_file)):
                continue
            _end(self.instance, run, "the process that ran it was killed; what it had committed stays")
            Path(lock_file).unlink(missing_ok=True)

    @cached_property
    def _lock(self) -> FileLock:
        """Held while this process lives: the system lets go of it however the process ends."""
        lock = FileLock(Path(self.instance.root_directory, "running", f"{uuid4()}.lock"))
        Path(lock.lock_file).parent.mkdir(exist_ok=True)
        lock.acquire()
        return lock


def runs_of_code_location(instance: dg.DagsterInstance, address: tuple[str, int]) -> list[str]:
    """Returns ids of the unfinished runs that a server at this address started.

    Before the next server listens there they are lost: their processes were children of the last one, and went with
    its machine or container.
    """
    statuses = [*UNFINISHED, dg.DagsterRunStatus.CANCELING]
    servers = {
        run.run_id: json.loads(run.tags.get(CODE_LOCATION_TAG, "{}"))
        for run in instance.get_runs(dg.RunsFilter(statuses=statuses))
    }
    return [run_id for run_id, server in servers.items() if (server.get("host"), server.get("port")) == address]


def end_runs(instance: dg.DagsterInstance, run_ids: Sequence[str], message: str) -> None:
    """Ends those that are not finished yet."""
    for run in instance.get_runs(dg.RunsFilter(run_ids=list(run_ids))):
        if not run.is_finished:
            _end(instance, run, message)


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, message: str) -> None:
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
    else:
        instance.report_run_failed(run, message)
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _can_be_locked(path: Path) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True
