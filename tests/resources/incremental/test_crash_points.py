"""A run that ends before or after any commit: the next goes on, and the tables end as if none had ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from commit_points import at_commits
from cutting_stage import BATCH, Cutting, videos

from internvid.web.errors import BelowAvailable
from resources.corpus.snapshots import is_current, take_snapshot
from resources.incremental.batch_states import disagreements, read_batch_states
from resources.lake.maintenance import maintain
from resources.lake.schema import TABLES
from resources.lake.store import Lake

pytestmark = pytest.mark.slow

COMPARED = ("raw_videos", "clips", "frames", "attempts")


class Killed(BaseException):
    """Ends the process, as far as a test may."""


def work(lake: Lake) -> None:
    """Takes in videos, and their changes; counts, maintains and pins the lake."""
    cutting = Cutting(lake, faults={"c": ValueError("torn")}, improvable={"b": BelowAvailable("360 of 720")})
    videos(lake, {"a": "2 red", "b": "1 blue", "c": "1 green", "e": "1 grey"})
    cutting.run("r1")
    cutting.improvable.clear()
    cutting.skips["e"] = "not wanted"
    videos(lake, {"a": "3 pink", "c": "1 green", "d": "2 white", "e": "2 grey"})
    cutting.run("r2")
    read_batch_states(lake, [cutting.stage])
    for name in ("clips", "attempts"):
        maintain(partial(lake.dataset, name), TABLES[name], keep_versions_for=timedelta(0))
    take_snapshot(lake, run_id="r2")


def test_wherever_a_run_ends_the_next_goes_on_and_ends_in_the_same_rows(
    tmp_path: Path, new_lake: Callable[[Path], Lake], whole_tables: Callable[..., Any]
):
    unbroken, lake = (new_lake(tmp_path / name) for name in ("unbroken", "lake"))
    work(unbroken)
    seen: list[str] = []

    def end(point: str) -> None:
        if point not in seen:
            seen.append(point)
            raise Killed

    for _ in range(200):
        try:
            with at_commits(end):
                work(lake)
            break
        except Killed:
            continue
    assert {point.split()[1] for point in seen} >= {"merge", "compact_files", "optimize_indices", "create"}
    assert {f"{when} merge {table}.lance" for when in ("before", "after") for table in COMPARED} <= set(seen)
    assert whole_tables(lake, *COMPARED) == whole_tables(unbroken, *COMPARED)
    assert disagreements(lake, [Cutting(lake).stage], part=0, parts=1) == []
    assert read_batch_states(lake, [Cutting(lake).stage]).pending_partitions() == []
    assert is_current(lake)
    assert BATCH in lake.polars("batch_states")["partition"]
