"""Maintenance of the lake's tables: compaction, indexes, and the removal of old versions."""

from __future__ import annotations

import random
import time
from datetime import timedelta

import polars as pl
import pytest
from lake_copies import IN_A_FOLDER
from lake_rows import (
    AT_ONCE,
    at_once,
    clips,
    contents,
    embed_clips,
    expected,
    indexes,
    tidy,
    vectors,
)

from resources.lake.index_segments import fragments_without, rows_of_segments, segments_to_merge
from resources.lake.maintenance import FRAGMENTS_PER_TIDY, compact, index_new_rows
from resources.lake.schema import TABLES
from resources.lake.store import Lake
from resources.lake.vector_index import index_vectors


def _upsert_the_same_and_new_rows(lake: Lake, commits: int) -> None:
    for commit in range(commits):
        lake.upsert("clips", pl.concat([clips(["same"], provenance=str(commit)), clips([f"new{commit}"])]))


def test_maintenance_goes_on_beside_a_writer_and_neither_fails(lake, writers):
    writing = writers.submit(_upsert_the_same_and_new_rows, lake, 15)
    while not writing.done():
        tidy(lake, "clips")
    writing.result()
    done = tidy(lake, "clips", keep_versions_for=AT_ONCE)
    assert contents(lake, "clips") == expected(
        clips(["same"], provenance="14"), clips([f"new{commit}" for commit in range(15)])
    )
    assert done.fragments_after == 1


def test_maintenance_makes_one_fragment_of_many_and_folds_them_into_every_index(lake):
    for number in range(4):
        lake.upsert("clips", clips([f"c{number}"]))
    done = lake.optimize(keep_versions_for=AT_ONCE)["clips"]
    assert (done.fragments_before, done.fragments_after) == (4, 1)
    assert done.versions_removed > 0
    assert done.bytes_removed > 0
    assert {index.num_rows_indexed for index in lake.dataset("clips").describe_indices()} == {4}
    assert contents(lake, "clips") == expected(clips(["c0", "c1", "c2", "c3"]))


def test_tagged_versions_outlive_maintenance_and_others_do_not(lake):
    lake.upsert("clips", clips(["a", "b"]))
    pinned = lake.tag("corpus-v1")
    later = lake.upsert("clips", clips(["a", "b"], provenance="p2"))
    lake.delete("clips", ["a", "b"])
    lake.optimize(keep_versions_for=AT_ONCE)
    assert contents(lake, "clips", at="corpus-v1") == expected(clips(["a", "b"]))
    assert contents(lake, "clips", at=pinned["clips"]) == expected(clips(["a", "b"]))
    with pytest.raises(ValueError, match="was not found"):
        lake.dataset("clips", at=later.version)


@IN_A_FOLDER
def test_maintenance_keeps_recent_versions(lake):
    before = lake.upsert("clips", clips(["a"])).version
    lake.delete("clips", ["a"])
    lake.optimize()
    assert contents(lake, "clips", at=before) == expected(clips(["a"]))


@IN_A_FOLDER
def test_a_version_that_was_the_newest_until_a_moment_ago_stays_however_old_it_is(lake):
    """Readers may have just opened it."""
    keep = timedelta(seconds=0.5)
    lake.upsert("clips", clips(["a"]))
    tidy(lake, "clips", keep_versions_for=AT_ONCE)
    old = lake.version("clips")
    time.sleep(1.5 * keep.total_seconds())
    batches = lake.dataset("clips").to_batches(columns=["clip_id"])
    lake.delete("clips", ["a"])
    lake.upsert("clips", clips(["b"]))
    tidy(lake, "clips", keep_versions_for=keep)
    assert [row["clip_id"] for batch in batches for row in batch.to_pylist()] == ["a"]
    assert contents(lake, "clips", at=old) == expected(clips(["a"]))
    time.sleep(1.5 * keep.total_seconds())
    tidy(lake, "clips", keep_versions_for=keep)
    with pytest.raises(ValueError, match="was not found"):
        lake.dataset("clips", at=old)


@IN_A_FOLDER
def test_what_compaction_rewrites_follows_what_is_new_and_fragments_stay_few(lake):
    def rows() -> dict[int, int]:
        return {fragment.fragment_id: fragment.physical_rows for fragment in lake.dataset("clips").get_fragments()}

    chance = random.Random(0)
    rewritten = 0
    for night in range(32):
        new = clips([f"{night}/{number}" for number in range(100)])
        lake.upsert("clips", new.with_columns(boundary=pl.Series([chance.randbytes(200).hex() for _ in range(100)])))
        before = rows()
        compact(lake.dataset("clips"), small_bytes=10_000)
        rewritten += sum(number for fragment, number in rows().items() if fragment not in before)
    assert sum(rows().values()) == 3200
    assert len(rows()) <= 6  # each is more than twice as large as the next
    assert rewritten < 5 * 3200  # 16 times, if the whole table were rewritten each night


@IN_A_FOLDER
def test_a_large_fragment_is_rewritten_for_its_deleted_rows_alone(lake):
    def fragments() -> dict[int, tuple[int, int]]:
        found = lake.dataset("clips").get_fragments()
        return {fragment.fragment_id: (fragment.physical_rows, fragment.num_deletions) for fragment in found}

    for rows in (9000, 100):
        lake.upsert("clips", clips([f"{rows}/{number}" for number in range(rows)]))
    lake.delete("clips", ["9000/0"])
    compact(lake.dataset("clips"), small_bytes=1)
    assert fragments() == {0: (9000, 1), 1: (100, 0)}, "one deleted row is not worth it"
    compact(lake.dataset("clips"), small_bytes=1, every_deletion=True)
    assert fragments() == {1: (100, 0), 2: (8999, 0)}, "what has no deleted row stays as it is"


@IN_A_FOLDER
def test_maintenance_brings_back_an_index_that_is_missing(lake):
    lake.dataset("clips").drop_index("clip_id_idx")
    lake.optimize()
    assert ("clip_id", "BTreeIndexDetails") in indexes(lake, "clips")


def test_maintenance_with_nothing_new_writes_no_version(tmp_path, new_lake):
    lake = new_lake(tmp_path / "lake")
    embed_clips(lake, vectors(600, seed=1), "model 1")
    index_vectors(lake.dataset("clip_embeddings"), TABLES["clip_embeddings"], from_rows=500)
    lake.upsert("clips", clips(["a", "b", "c"]))
    embed_clips(lake, vectors(700, seed=1), "model 1")
    lake.delete("clips", ["b"])
    lake.optimize()
    before = {table: lake.version(table) for table in TABLES}
    lake.optimize()
    assert {table: lake.version(table) for table in TABLES} == before


@IN_A_FOLDER
def test_many_small_commits_leave_few_fragments_and_few_that_an_index_lacks(lake):
    for commit in range(3 * FRAGMENTS_PER_TIDY):
        lake.upsert("clips", pl.concat([clips(["same"], provenance=str(commit)), clips([f"new{commit}"])]))
    dataset = lake.dataset("clips")
    for index in dataset.describe_indices():
        assert len(fragments_without(dataset, index)) < FRAGMENTS_PER_TIDY
        assert len(index.segments) <= 3
    assert len(dataset.get_fragments()) < FRAGMENTS_PER_TIDY + 3
    assert contents(lake, "clips") == expected(
        clips(["same"], provenance=str(commit)), clips([f"new{number}" for number in range(commit + 1)])
    )


@IN_A_FOLDER
def test_writers_at_once_tidy_beside_one_another_and_lose_nothing(lake, writers):
    commits = FRAGMENTS_PER_TIDY // 2
    at_once(writers, _upsert_new_rows, [(lake, f"w{writer}", commits) for writer in range(4)])
    dataset = lake.dataset("clips")
    assert len(dataset.get_fragments()) < 2 * FRAGMENTS_PER_TIDY
    keys = [f"w{writer}/{commit}" for writer in range(4) for commit in range(commits)]
    assert contents(lake, "clips") == expected(clips(keys))


def _upsert_new_rows(lake: Lake, prefix: str, commits: int) -> None:
    for commit in range(commits):
        lake.upsert("clips", clips([f"{prefix}/{commit}"]))


@IN_A_FOLDER
def test_a_writer_leaves_large_fragments_and_segments_to_the_night(lake):
    for number in range(3):
        lake.upsert("clips", clips([f"{number}/{row}" for row in range(100)]))
        index_new_rows(lake.dataset("clips"), TABLES["clips"], small_rows=0, max_rows=99)
        compact(lake.dataset("clips"), small_bytes=0, max_bytes=1)
    assert segments(lake, "clips") == [100, 100, 100]
    assert len(lake.dataset("clips").get_fragments()) == 3
    tidy(lake, "clips")
    assert segments(lake, "clips") == [300]
    assert len(lake.dataset("clips").get_fragments()) == 1


def segments(lake: Lake, table: str) -> list[int]:
    dataset = lake.dataset(table)
    return next(
        rows_of_segments(dataset, index)
        for index in dataset.describe_indices()
        if index.field_names == [TABLES[table].key]
    )


def test_segments_stay_few_and_rows_are_rewritten_a_few_times():
    sizes: list[int] = []
    rewritten = 0
    for _ in range(1000):
        merged = segments_to_merge(sizes, 1)
        kept = sizes[: len(sizes) - merged]
        rewritten += sum(sizes[len(kept) :]) + 1
        sizes = [*kept, sum(sizes[len(kept) :]) + 1]
        assert len(sizes) <= 10
    assert sum(sizes) == 1000
    assert rewritten < 20 * 1000  # 500 times, if all were rewritten each time


def test_a_segment_is_merged_if_it_is_small_or_no_larger_than_twice_what_is_newer_but_never_if_it_is_large():
    assert segments_to_merge([100, 12, 4], 2) == 2
    assert segments_to_merge([100, 13, 4], 2) == 1
    assert segments_to_merge([100, 13, 4], 2, small_rows=13) == 2
    assert segments_to_merge([100, 13, 4], 2, small_rows=100, max_rows=13) == 2
    assert segments_to_merge([100, 13, 4], 2, small_rows=100) == 3
