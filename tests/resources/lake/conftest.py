"""Processes that write to a lake at the same moment."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
from lake_rows import WRITERS, share


@pytest.fixture(scope="module")
def writers() -> Iterator[ProcessPoolExecutor]:
    """WRITERS spawned processes: Lance is not fork-safe."""
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(WRITERS, mp_context=spawn, initializer=share, initargs=(spawn.Barrier(WRITERS),))
    with pool:
        yield pool
