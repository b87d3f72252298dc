"""Opening Dagster's instance: several processes that start on a new lake at once."""

import multiprocessing
from pathlib import Path

from orchestration.instance import POOLS, open_instance
from orchestration.settings import Settings

PROCESSES = 6
FORK = multiprocessing.get_context("fork")  # they have imported Dagster, and begin at the same moment


def _open(lake: str, barrier, pools) -> None:
    barrier.wait()
    with open_instance(Settings(lake=lake)) as instance:
        pools.put({limit.name for limit in instance.event_log_storage.get_pool_limits()})


def test_processes_that_open_it_first_at_once_all_find_it_whole(tmp_path: Path):
    barrier, pools = FORK.Barrier(PROCESSES), FORK.Queue()
    processes = [FORK.Process(target=_open, args=(str(tmp_path / "lake"), barrier, pools)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert [pools.get() for _ in processes] == [set(POOLS)] * PROCESSES
