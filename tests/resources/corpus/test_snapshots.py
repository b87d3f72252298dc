"""Snapshots that nothing was made from are removed, and what only they pinned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from lake_copies import IN_A_FOLDER

from resources.corpus.snapshots import is_current, newest_snapshot_name, remove_unused_snapshots, take_snapshot
from resources.lake.store import Lake

AT_ONCE = timedelta(0)


@IN_A_FOLDER
def test_old_snapshots_go_but_the_newest_and_those_that_something_was_made_from(lake):
    names = [snapshot_after(lake, source) for source in "abcde"]
    name_them(lake, subset=names[0], checkpoint=names[1], export=names[2])
    assert remove_unused_snapshots(lake, older_than=timedelta(days=1)) == [], "they are from today"
    assert remove_unused_snapshots(lake, older_than=AT_ONCE) == [names[3]]
    kept = [*names[:3], names[4]]
    assert lake.tags() == sorted(kept)
    assert set(lake.polars("corpus_snapshot")["snapshot"]) == set(kept)
    lake.optimize(keep_versions_for=AT_ONCE)
    assert [len(lake.polars("sources", at=name)) for name in kept] == [1, 2, 3, 5]
    with pytest.raises(ValueError, match=names[3]):
        lake.polars("sources", at=names[3])


@IN_A_FOLDER
def test_the_snapshot_that_is_taken_last_is_the_newest_though_the_clock_was_set_back(lake):
    first = snapshot_after(lake, "a")
    rows = lake.polars("corpus_snapshot").with_columns(pl.col("written_at") + timedelta(days=365))
    lake.upsert("corpus_snapshot", rows)
    second = snapshot_after(lake, "b")
    assert newest_snapshot_name(lake) == second != first
    assert is_current(lake)


def snapshot_after(lake: Lake, source: str) -> str:
    """Registers a source, and returns the snapshot that holds it."""
    lake.upsert("sources", pl.DataFrame({"source_id": [source], "uri": [source], "provenance": ["p"]}))
    return take_snapshot(lake, run_id="test")[0]


def name_them(lake: Lake, *, subset: str, checkpoint: str, export: str) -> None:
    lake.upsert("subset_snapshots", pl.DataFrame({"subset": ["flt"], "snapshot": [subset], "provenance": ["p"]}))
    lake.upsert("checkpoints", pl.DataFrame({"checkpoint_id": ["c"], "snapshot": [checkpoint], "provenance": ["p"]}))
    written = {"export_id": ["e"], "snapshot": [export], "written_at": [datetime.now(UTC)]}
    lake.upsert("exports", pl.DataFrame(written))
