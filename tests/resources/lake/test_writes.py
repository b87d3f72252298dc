"""Writing to the lake, on a folder and on a bucket: what a write does to a table, also beside other writers."""

from __future__ import annotations

import polars as pl
import pytest
from lake_copies import IN_A_FOLDER
from lake_rows import WRITERS, at_once, clips, contents, expected, tidy

from resources.lake.schema import TABLES
from resources.lake.store import Lake
from resources.lake.writes import Change, Conformed, until_committed

TABLES_IN_BUCKET = ("clips", "raw_videos", "corpus_snapshot")


def test_an_upsert_replaces_rows_of_other_provenance_and_leaves_equal_ones_alone(lake):
    first = lake.upsert("clips", clips(["a", "b", "c"], boundary="cut"))
    assert first == Change(added=3, changed=0, version=lake.version("clips"))
    rows = pl.concat([clips(["a"], boundary="fade"), clips(["b", "d"], provenance="p2", boundary="fade")])
    second = lake.upsert("clips", rows)
    assert second == Change(added=1, changed=1, version=lake.version("clips"))
    assert contents(lake, "clips") == expected(
        clips(["a", "c"], boundary="cut"), clips(["b", "d"], provenance="p2", boundary="fade")
    )


@IN_A_FOLDER
def test_a_row_without_provenance_is_replaced_by_one_that_has_it(lake):
    lake.upsert("clips", clips(["a"]).drop("provenance"))
    assert lake.upsert("clips", clips(["a"])).changed == 1
    assert contents(lake, "clips") == expected(clips(["a"]))


def test_a_row_whose_input_moved_to_another_batch_moves_with_it(lake):
    for table, key, unit in (("clips", "clip_id", "video_id"), ("raw_videos", "video_id", "source_id")):
        row = pl.DataFrame({key: ["a"], unit: ["u"], "ingest_batch": ["b1"], "provenance": ["p1"]})
        moved = row.with_columns(ingest_batch=pl.lit("b2"))
        lake.upsert(table, row)
        assert lake.upsert(table, moved).changed == 1
        assert contents(lake, table) == expected(moved, key=key)


def test_of_two_sources_of_the_same_video_the_first_keeps_it(lake):
    first = pl.DataFrame({"video_id": ["a"], "source_id": ["first"], "ingest_batch": ["b1"], "provenance": ["p1"]})
    second = pl.DataFrame({"video_id": ["a", "b"], "source_id": ["second"] * 2, "provenance": ["p2"] * 2})
    second = second.with_columns(ingest_batch=pl.Series(["b1", "b2"]))
    lake.upsert("raw_videos", first)
    assert lake.upsert("raw_videos", second) == Change(added=1, changed=0, version=lake.version("raw_videos"))
    assert contents(lake, "raw_videos") == expected(first, second[1:], key="video_id")
    changed = first.with_columns(provenance=pl.lit("p3"))
    assert lake.upsert("raw_videos", changed).changed == 1
    assert contents(lake, "raw_videos") == expected(changed, second[1:], key="video_id")


def test_a_table_that_no_stage_fills_takes_every_row_given(lake):
    row = {"snapshot_table": "v1/clips", "snapshot": "v1", "row_count": 1}
    lake.upsert("corpus_snapshot", pl.DataFrame([row]))
    lake.upsert("corpus_snapshot", pl.DataFrame([row | {"row_count": 2}]))
    assert contents(lake, "corpus_snapshot") == {"v1/clips": row | {"row_count": 2}}


@IN_A_FOLDER
@pytest.mark.parametrize("form", ["frame", "table", "reader"])
def test_rows_are_cast_to_the_table_whatever_their_form(lake, form):
    frame = pl.DataFrame({"flags": [["still"], []], "clip_index": [0, 1], "clip_id": ["a", "b"]})
    rows = {"frame": frame, "table": frame.to_arrow(), "reader": frame.to_arrow().to_reader(max_chunksize=1)}[form]
    assert lake.upsert("clips", rows).added == 2
    assert contents(lake, "clips") == expected(frame)
    assert lake.dataset("clips").schema.equals(TABLES["clips"].arrow)


def test_no_rows_commit_nothing(lake):
    before = lake.version("clips")
    empty = clips([])
    for rows in (empty, empty.to_arrow(), empty.to_arrow().to_reader()):
        assert lake.upsert("clips", rows) == Change(0, 0, None)
    assert lake.delete("clips", []) == 0
    assert lake.delete("clips", ["not there"]) == 0
    assert lake.version("clips") == before


@IN_A_FOLDER
@pytest.mark.parametrize("write", [Lake.upsert, Lake.insert_new])
@pytest.mark.parametrize("as_reader", [False, True])
def test_a_key_given_twice_is_refused_and_nothing_is_written(lake, write, as_reader):
    rows = clips(["a", "b", "c", "b"]).to_arrow()
    with pytest.raises(ValueError, match="clips: clip_id given twice: 'b'"):
        write(lake, "clips", rows.to_reader(max_chunksize=1) if as_reader else rows)
    assert contents(lake, "clips") == {}


@IN_A_FOLDER
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pl.DataFrame({"clip_id": ["a"], "colour": ["red"], "size": [1]}), "clips has no column 'colour', 'size'"),
        (pl.DataFrame({"clip_id": ["a", None]}), "clips: 1 rows have no clip_id"),
        (pl.DataFrame({"video_id": ["v"]}), "clips: column clip_id is missing"),
        (pl.DataFrame({"clip_id": ["a"], "clip_index": ["first"]}), "clips: column clip_index"),
        (pl.DataFrame({"clip_id": ["a"], "clip_index": [2**40]}), "clips: column clip_index"),
    ],
)
def test_rows_that_do_not_fit_are_refused_in_words(lake, rows, message):
    with pytest.raises(ValueError, match=message):
        lake.upsert("clips", rows)
    assert contents(lake, "clips") == {}


@IN_A_FOLDER
def test_a_table_that_is_not_declared_is_named_in_the_error(lake):
    with pytest.raises(KeyError, match="no table 'videos'; there are sources, feeds"):
        lake.upsert("videos", clips(["a"]))


def test_insert_new_leaves_rows_that_are_there(lake):
    lake.insert_new("clips", clips(["a"]))
    change = lake.insert_new("clips", clips(["a", "b"], provenance="p2"))
    assert change == Change(added=1, changed=0, version=lake.version("clips"))
    assert contents(lake, "clips") == expected(clips(["a"]), clips(["b"], provenance="p2"))


ODD_KEYS = ["it's", "''", '"', "a\\", "a\nb", "%_", "", "猫/é", "x' OR 'a' = 'a", "--", "\0"]


@IN_A_FOLDER
def test_many_rows_in_one_piece_are_written_to_a_maintained_table(lake):
    lake.upsert("clips", clips(["first"]))
    lake.optimize()
    rows = clips([f"{number:06d}" for number in range(100_000)], provenance="p" * 200)
    assert lake.upsert("clips", rows.rechunk()).added == 100_000


def test_keys_may_hold_any_character(lake):
    lake.upsert("clips", clips([*ODD_KEYS, "plain", "other"], batch="it's"))
    assert lake.fetch("clips", ODD_KEYS, ["clip_id"])["clip_id"].to_pylist() == ODD_KEYS
    assert lake.delete("clips", [*ODD_KEYS, "absent", "other", "other"]) == len(ODD_KEYS) + 1
    assert contents(lake, "clips") == expected(clips(["plain"], batch="it's"))
    lake.replace_batch("clips", "it's", clips(["new"], batch="it's"))
    assert contents(lake, "clips") == expected(clips(["new"], batch="it's"))


def test_a_batch_is_replaced_by_fewer_rows_and_by_none(lake):
    lake.upsert("clips", pl.concat([clips(["a", "b", "c"]), clips(["z"], batch="b2")]))
    change = lake.replace_batch("clips", "b1", clips(["b", "d"], provenance="p2"))
    assert change == Change(added=1, changed=1, removed=2, version=lake.version("clips"))
    assert contents(lake, "clips") == expected(clips(["b", "d"], provenance="p2"), clips(["z"], batch="b2"))
    assert lake.replace_batch("clips", "b1", clips([])).removed == 2
    assert contents(lake, "clips") == expected(clips(["z"], batch="b2"))


@IN_A_FOLDER
def test_a_batch_is_not_replaced_by_rows_of_another(lake):
    lake.upsert("clips", clips(["a"]))
    with pytest.raises(ValueError, match="clips: rows of batch 'b2' given for b1"):
        lake.replace_batch("clips", "b1", clips(["b"], batch="b2"))
    assert contents(lake, "clips") == expected(clips(["a"]))


@pytest.mark.parametrize("write", [Lake.upsert, Lake.insert_new])
def test_processes_that_insert_the_same_keys_at_once_leave_one_row_of_each(lake, writers, write):
    for attempt in range(3):
        keys = [f"{attempt}-{number}" for number in range(20)]
        changes = at_once(writers, write, [(lake, "clips", clips(keys))] * WRITERS)
        assert sum(change.added for change in changes) == len(keys)
        assert set(contents(lake, "clips")) >= set(keys)
        tidy(lake, "clips")  # the next attempt meets an index that covers rows
    assert len(contents(lake, "clips")) == 60


def test_a_key_that_is_in_the_table_twice_is_there_once_after_the_next_upsert(lake):
    rows = clips(["a", "b"])
    lake.upsert("clips", rows)
    lake.dataset("clips").insert(Conformed(rows[:1], TABLES["clips"]).source)
    assert lake.dataset("clips").count_rows() == 3
    lake.upsert("clips", rows)
    assert contents(lake, "clips") == expected(rows)


def test_a_video_that_sources_bring_at_once_stays_with_one_of_them_row_and_all(lake, writers):
    for attempt in range(3):
        sources = [f"s{number}" for number in range(WRITERS)]
        rows = [
            pl.DataFrame({"video_id": [f"v{attempt}"], "source_id": [source], "provenance": [f"by {source}"]})
            for source in sources
        ]
        changes = at_once(writers, Lake.upsert, [(lake, "raw_videos", row) for row in rows])
        assert sorted((change.added, change.changed) for change in changes) == [(0, 0), (0, 0), (0, 0), (1, 0)]
        winner = next(row for row, change in zip(rows, changes, strict=True) if change.added)
        assert contents(lake, "raw_videos")[f"v{attempt}"] == winner.to_dicts()[0]
        tidy(lake, "raw_videos")  # the next attempt meets an index that covers rows


@IN_A_FOLDER
def test_a_write_that_lost_every_race_is_done_again_on_the_newest_version(lake):
    given_up = [
        OSError("Too many concurrent writers. Attempted 9 times, but failed on retry_timeout of 30.000 seconds")
    ]

    def write() -> int:
        if given_up:
            lake.upsert("clips", clips(["b"]))  # of the process that was quicker
            raise given_up.pop()
        return lake.upsert("clips", clips(["a", "b"])).added

    assert until_committed(write) == 1
    with pytest.raises(OSError, match="no such file"):
        until_committed(lambda: (_ for _ in ()).throw(OSError("no such file")))


def _upsert_batches(lake: Lake, batch: str, commits: int) -> None:
    for commit in range(commits):
        lake.upsert("clips", clips([f"{batch}-{commit}-{number}" for number in range(20)], batch=batch))


def _batches(names: list[str], commits: int) -> dict[str, dict]:
    return expected(
        *(
            clips([f"{name}-{commit}-{number}" for number in range(20)], batch=name)
            for name in names
            for commit in range(commits)
        )
    )


def test_processes_that_write_different_batches_lose_nothing(lake, writers):
    names = ["w0", "w1", "w2", "w3"]
    at_once(writers, _upsert_batches, [(lake, name, 3) for name in names])
    assert contents(lake, "clips") == _batches(names, 3)
