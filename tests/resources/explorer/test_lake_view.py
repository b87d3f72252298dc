"""The lake at one moment."""

from __future__ import annotations

import time

import polars as pl
import pytest

from resources.explorer.view import LakeGone, LakeViews, TookTooLong
from resources.lake.store import Lake


def _clips(*keys: str) -> pl.DataFrame:
    return pl.DataFrame({"clip_id": keys, "video_id": ["v"] * len(keys), "provenance": ["p"] * len(keys)})


def test_a_view_stays_as_it_was_and_the_next_one_is_newer(lake):
    lake.upsert("clips", _clips("a"))
    views = LakeViews(lake)
    first = views.newest()
    lake.upsert("clips", _clips("b"))
    assert first.query("select clip_id from clips")["clip_id"].to_pylist() == ["a"]
    assert first.known("clips", ["b"]).num_rows == 0
    assert first.polars("clips")["clip_id"].to_list() == ["a"]
    assert views.newest() is first  # it is looked at once a second
    views._checked_at = float("-inf")
    second = views.newest()
    assert sorted(second.query("select clip_id from clips")["clip_id"].to_pylist()) == ["a", "b"]
    assert second.dataset("frames") is first.dataset("frames")  # what has not changed stays open


def test_nothing_new_is_the_same_view(lake):
    views = LakeViews(lake)
    first = views.newest()
    views._checked_at = float("-inf")
    assert views.newest() is first


def test_a_query_is_stopped_at_its_time_limit(lake):
    view = LakeViews(lake).newest()
    endless = "select count(*) from range(1000000000) as a, range(1000000) as b where (a.range * b.range) % 7 = 3"
    started = time.monotonic()
    with pytest.raises(TookTooLong, match="stopped"):
        view.query(endless, seconds=0.2)
    assert time.monotonic() - started < 60
    assert view.query("select count(*) as n from clips")["n"].to_pylist() == [0]


def test_where_there_is_no_lake_there_is_no_view(tmp_path):
    with pytest.raises(LakeGone, match=r"there is no lake at .*nowhere"):
        LakeViews(Lake(root=str(tmp_path / "nowhere"))).newest()
