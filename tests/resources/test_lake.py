"""The lake on a folder and on a bucket: what a write does to a table, also beside other writers, and what reads see."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from resources.lake import Change, Conformed, Lake
from resources.maintenance import Maintenance, index_kinds, index_vectors, maintain
from resources.schema import PINNED, TABLES, VECTOR, VECTOR_SIZE

WRITERS = 4
AT_ONCE = timedelta(0)
IN_A_FOLDER = pytest.mark.parametrize("bare_lake", ["folder"], indirect=True)  # what no storage can change


# --- processes that write at once -------------------------------------------------------------------------------

_barrier = None


def _share(barrier) -> None:
    global _barrier
    _barrier = barrier


def _together(task: Callable, *arguments):
    """Within a writer: waits until every writer has come here, then does the task."""
    assert _barrier is not None
    _barrier.wait(timeout=120)
    return task(*arguments)


@pytest.fixture(scope="module")
def writers() -> Iterator[ProcessPoolExecutor]:
    """WRITERS spawned processes: Lance is not fork-safe."""
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(WRITERS, mp_context=spawn, initializer=_share, initargs=(spawn.Barrier(WRITERS),))
    with pool:
        yield pool


def at_once(writers: ProcessPoolExecutor, task: Callable, arguments: list[tuple]) -> list:
    """The results of `task`, run by every writer at the same moment, each with its own arguments."""
    assert len(arguments) == WRITERS
    return [future.result() for future in [writers.submit(_together, task, *each) for each in arguments]]


# --- small tables -----------------------------------------------------------------------------------------------


def clips(keys: list[str], *, provenance: str = "p1", batch: str = "b1", boundary: str = "cut") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "clip_id": keys,
            "video_id": ["v"] * len(keys),
            "boundary": [boundary] * len(keys),
            "ingest_batch": [batch] * len(keys),
            "provenance": [provenance] * len(keys),
        },
        schema_overrides={"clip_id": pl.String},
    )


def captions(texts: dict[str, str], *, provenance: str = "p1") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "clip_id": list(texts),
            "video_id": ["v"] * len(texts),
            "caption": list(texts.values()),
            "model": ["m"] * len(texts),
            "provenance": [provenance] * len(texts),
        }
    )


def contents(lake: Lake, table: str, *, at: str | int | None = None) -> dict[str, dict]:
    """Key -> the row's columns that are not null."""
    rows = lake.polars(table, at=at).to_dicts()
    keyed = {row[TABLES[table].key]: {name: value for name, value in row.items() if value is not None} for row in rows}
    assert len(keyed) == len(rows), "a key is in the table twice"
    return keyed


def tidy(lake: Lake, table: str, *, keep_versions_for: timedelta = timedelta(days=7)) -> Maintenance:
    """What `Lake.optimize` does to one table."""
    return maintain(partial(lake.dataset, table), TABLES[table], keep_versions_for=keep_versions_for)


def expected(*frames: pl.DataFrame, key: str = "clip_id") -> dict[str, dict]:
    return {row[key]: row for frame in frames for row in frame.to_dicts()}


# --- creating ---------------------------------------------------------------------------------------------------


def _indexes(lake: Lake, table: str) -> list[tuple[str, str]]:
    kinds = lake.dataset(table).describe_indices()
    return sorted((name, index.type_url.split(".")[-1]) for index in kinds for name in index.field_names)


def test_four_processes_create_the_same_tables_at_once(bare_lake, writers):
    at_once(writers, Lake.create_tables, [(bare_lake,)] * WRITERS)
    of_kind = {"BTREE": "BTreeIndexDetails", "BITMAP": "BitmapIndexDetails", "INVERTED": "InvertedIndexDetails"}
    for name, table in TABLES.items():
        assert bare_lake.dataset(name).schema.equals(table.arrow, check_metadata=True)
        assert bare_lake.dataset(name).count_rows() == 0
        assert _indexes(bare_lake, name) == sorted((c, of_kind[kind]) for c, kind in index_kinds(table).items())


def test_creating_again_leaves_a_filled_table_as_it_is(lake):
    lake.upsert("clips", clips(["a"]))
    before = lake.version("clips")
    lake.create_tables()
    assert lake.version("clips") == before
    assert contents(lake, "clips") == expected(clips(["a"]))


def _create_and_fill(lake: Lake, key: str) -> None:
    lake.create_tables()
    lake.upsert("clips", clips([key]))


def test_a_process_that_creates_late_does_not_wipe_out_what_others_wrote(bare_lake, writers):
    keys = ["a", "b", "c", "d"]
    for attempt in range(4):
        lake = Lake(root=f"{bare_lake.root}/{attempt}", storage_options=bare_lake.storage_options)
        at_once(writers, _create_and_fill, [(lake, key) for key in keys])
        assert contents(lake, "clips") == expected(clips(keys))


def test_a_lake_goes_to_another_process_by_pickle(lake, writers):
    copy = pickle.loads(pickle.dumps(lake))
    assert copy.uri("clips") == lake.uri("clips")
    assert writers.submit(Lake.upsert, copy, "clips", clips(["a"])).result().added == 1
    assert contents(lake, "clips") == expected(clips(["a"]))


# --- writing ----------------------------------------------------------------------------------------------------


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


def test_a_table_that_no_step_fills_takes_every_row_given(lake):
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
    with pytest.raises(KeyError, match="no table 'films'; there are sources, feeds"):
        lake.upsert("films", clips(["a"]))


def test_insert_new_leaves_rows_that_are_there(lake):
    lake.insert_new("clips", clips(["a"]))
    change = lake.insert_new("clips", clips(["a", "b"], provenance="p2"))
    assert change == Change(added=1, changed=0, version=lake.version("clips"))
    assert contents(lake, "clips") == expected(clips(["a"]), clips(["b"], provenance="p2"))


ODD_KEYS = ["it's", "''", '"', "a\\", "a\nb", "%_", "", "猫/é", "x' OR 'a' = 'a", "--", "\0"]


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


# --- writing at once --------------------------------------------------------------------------------------------


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


# --- maintenance ------------------------------------------------------------------------------------------------


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
def test_maintenance_brings_back_an_index_that_is_missing(lake):
    lake.dataset("clips").drop_index("clip_id_idx")
    lake.optimize()
    assert ("clip_id", "BTreeIndexDetails") in _indexes(lake, "clips")


# --- versions and tags ------------------------------------------------------------------------------------------


def test_a_tag_pins_every_table_of_data_as_it_was(lake):
    lake.upsert("clips", clips(["a"]))
    versions = lake.tag("corpus-v1")
    assert versions == {table.name: lake.version(table.name) for table in PINNED}
    lake.upsert("clips", clips(["a", "b"], provenance="p2"))
    assert contents(lake, "clips", at="corpus-v1") == expected(clips(["a"]))
    count = "select count(*) as n from clips"
    assert lake.query(count, at="corpus-v1").to_pylist() == [{"n": 1}]
    assert lake.query(count, at=versions).to_pylist() == [{"n": 1}]
    assert lake.query(count).to_pylist() == [{"n": 2}]


def test_a_tag_never_moves(lake):
    versions = lake.tag("corpus-v1")
    assert lake.tag("corpus-v1", versions) == versions
    lake.upsert("clips", clips(["a"]))
    with pytest.raises(ValueError, match="tag corpus-v1 pins clips at version"):
        lake.tag("corpus-v1")
    assert lake.tag("corpus-v0", versions) == versions
    assert lake.tags() == ["corpus-v0", "corpus-v1"]
    assert contents(lake, "clips", at="corpus-v0") == {}


def test_a_tag_that_was_interrupted_is_completed_and_until_then_not_listed(lake):
    versions = {table.name: lake.version(table.name) for table in PINNED}
    lake.dataset("clips").tags.create("corpus-v1", versions["clips"])
    assert lake.tags() == []
    assert lake.tag("corpus-v1", versions) == versions
    assert lake.tags() == ["corpus-v1"]


@IN_A_FOLDER
def test_a_version_that_is_not_there_is_not_tagged_in_any_table(lake):
    with pytest.raises(ValueError, match="was not found"):
        lake.tag("corpus-v1", {"attempts": 999})
    assert all(lake.dataset(table).tags.list() == {} for table in TABLES)


@IN_A_FOLDER
def test_a_tag_that_is_not_there_is_an_error(lake):
    with pytest.raises(ValueError, match="tag nope does not exist"):
        lake.query("select 1 from clips", at="nope")


# --- reading ----------------------------------------------------------------------------------------------------


def test_fetch_returns_rows_in_the_order_of_the_keys(lake):
    lake.upsert("clips", clips(["a", "b", "c"]).with_columns(clip_index=pl.Series([0, 1, 2])))
    found = lake.fetch("clips", ["c", "a", "c"], ["clip_index"])
    assert found.to_pylist() == [{"clip_index": 2}, {"clip_index": 0}, {"clip_index": 2}]
    assert lake.fetch("clips", ["b"]).equals(lake.dataset("clips").to_table(filter="clip_id = 'b'"))
    assert lake.fetch("clips", []).num_rows == 0


@IN_A_FOLDER
def test_fetch_names_the_keys_that_are_missing(lake):
    lake.upsert("clips", clips(["a"]))
    with pytest.raises(KeyError, match="clips has no row with clip_id 'x', 'y'"):
        lake.fetch("clips", ["x", "a", "y"])


def test_a_connection_at_a_batch_sees_that_batch_alone(lake):
    lake.upsert("clips", pl.concat([clips(["a", "b"]), clips(["c"], batch="it's")]))
    lake.upsert("clip_captions", captions({"c": "a cat"}).with_columns(ingest_batch=pl.lit("it's")))
    lake.upsert("corpus_snapshot", pl.DataFrame({"snapshot_table": ["v1/clips"]}))
    everything = """
        select
            (from clips select list(clip_id order by clip_id)) as clips,
            (from clip_captions select count(*)) as captions,
            (from corpus_snapshot select count(*)) as snapshots
    """
    at = {
        batch: lake.query(everything, only={"ingest_batch": batch} if batch else None).to_pylist()
        for batch in (None, "b1", "it's", "none")
    }
    assert at == {
        None: [{"clips": ["a", "b", "c"], "captions": 1, "snapshots": 1}],
        "b1": [{"clips": ["a", "b"], "captions": 0, "snapshots": 1}],
        "it's": [{"clips": ["c"], "captions": 1, "snapshots": 1}],
        "none": [{"clips": None, "captions": 0, "snapshots": 1}],
    }
    assert lake.polars("clips", columns=["clip_id"], only={"ingest_batch": "it's"}).to_dicts() == [{"clip_id": "c"}]


@IN_A_FOLDER
def test_the_batch_and_the_choice_of_columns_reach_the_scan_of_lance(lake):
    lake.upsert("frames", pl.DataFrame({"frame_id": ["f"], "jpeg": [b"x"], "ingest_batch": ["b1"]}))
    with lake.connect(["frames"], only={"ingest_batch": "b1"}) as connection:
        plan = connection.sql("explain analyze select frame_id from frames").fetchall()[0][1]
    scan = plan[plan.index("Table Scan") :]
    assert "\"ingest_batch\" = 'b1'" in scan
    assert "frame_id" in scan
    assert "jpeg" not in scan


def test_a_connection_stays_at_the_versions_it_was_opened_at(lake):
    lake.upsert("clips", clips(["a"]))
    with lake.connect(["clips"]) as connection:
        lake.upsert("clips", clips(["b"]))
        assert connection.sql("select clip_id from clips").fetchall() == [("a",)]


@IN_A_FOLDER
def test_a_query_takes_parameters_by_name_and_by_position(lake):
    lake.upsert("clips", clips(["a", "b'"]))
    by_name = lake.query("select clip_id from clips where clip_id = $key", {"key": "b'"})
    by_position = lake.query("select clip_id from clips where clip_id = ?", ["a"])
    assert (by_name.to_pylist(), by_position.to_pylist()) == ([{"clip_id": "b'"}], [{"clip_id": "a"}])


@IN_A_FOLDER
def test_times_come_back_in_utc(lake):
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    lake.upsert("clips", pl.DataFrame({"clip_id": ["a"], "written_at": [moment]}))
    assert lake.query("select written_at from clips").to_pylist() == [{"written_at": moment}]
    assert lake.query("select written_at::varchar as t from clips").to_pylist() == [{"t": "2026-03-01 12:00:00+00"}]


@IN_A_FOLDER
def test_sql_sees_no_python_variable(lake):
    passwords = pl.DataFrame({"password": ["secret"]})
    with lake.connect(["clips"]) as connection, pytest.raises(duckdb.CatalogException, match="passwords"):
        connection.sql("select * from passwords")
    assert len(passwords) == 1


@IN_A_FOLDER
@pytest.mark.parametrize(
    "sql",
    [
        "copy clips to '{path}'",
        "copy (select 1) to '{path}' (format parquet)",
        "export database '{path}'",
        "attach '{path}'",
        "from '/etc/hostname'",
        "from read_csv('/etc/hostname')",
        "from read_text('/etc/hostname')",
        "from glob('/etc/*')",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "insert into clips (clip_id) values ('z')",
        "update clips set clip_id = 'z'",
        "delete from clips",
    ],
)
def test_sql_of_users_reads_tables_and_nothing_else(lake, tmp_path, sql):
    lake.upsert("clips", clips(["a"]))
    with lake.connect(["clips"], untrusted=True) as connection:
        with pytest.raises(duckdb.Error):
            connection.execute(sql.format(path=tmp_path / "stolen"))
        assert connection.execute("select clip_id from clips").fetchall() == [("a",)]
    assert not (tmp_path / "stolen").exists()


# --- the schema -------------------------------------------------------------------------------------------------

VALUES = {
    pa.string(): "it's",
    pa.int32(): -7,
    pa.int64(): 2**40,
    pa.float32(): 0.5,
    pa.float64(): 0.1,
    pa.bool_(): True,
    pa.binary(): b"\x00\xff",
    pa.timestamp("us", tz="UTC"): datetime(2026, 3, 1, 12, tzinfo=UTC),
    pa.list_(pa.string()): ["it's", "b"],
    VECTOR: [0.5] * VECTOR_SIZE,
}


@IN_A_FOLDER
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_column_has_a_type_that_duckdb_filters_through_lance(lake, table):
    row = {column.name: VALUES[column.type] for column in table.columns}
    lake.upsert(table.name, pa.Table.from_pylist([row], schema=table.arrow))
    assert contents(lake, table.name) == {"it's": row}
    with lake.connect([table.name]) as connection:
        rows = connection.table(table.name)
        for column in (column for column in table.columns if column.type != VECTOR):
            name = duckdb.ColumnExpression(column.name)
            assert rows.filter(name == duckdb.ConstantExpression(row[column.name])).count("*").fetchall() == [(1,)]
            assert rows.filter(name.isnull()).count("*").fetchall() == [(0,)]


# --- search -----------------------------------------------------------------------------------------------------


def _found(lake: Lake, text: str) -> list[str]:
    return lake.search(text)["clip_id"].to_pylist()


def test_search_finds_captions_by_their_words_best_first(lake):
    lake.upsert(
        "clip_captions", captions({"a": "A dog runs over a meadow", "b": "A dog and another dog", "c": "A cat sleeps"})
    )
    found = lake.search("dogs", limit=2)
    assert found.drop_columns("score").to_pylist() == [
        {"clip_id": "b", "video_id": "v", "caption": "A dog and another dog", "model": "m"},
        {"clip_id": "a", "video_id": "v", "caption": "A dog runs over a meadow", "model": "m"},
    ]
    scores = found["score"].to_pylist()
    assert scores[0] > scores[1] > 0
    assert len(lake.search("dogs", limit=1)) == 1


def test_search_sees_new_changed_and_deleted_rows_before_any_maintenance(lake):
    lake.upsert("clip_captions", captions({"a": "a dog", "b": "a cat", "c": "a cat"}))
    lake.optimize()
    lake.upsert("clip_captions", captions({"a": "a horse", "d": "a cat"}, provenance="p2"))
    lake.delete("clip_captions", ["b"])
    before = {text: sorted(_found(lake, text)) for text in ("dog", "horse", "cat")}
    lake.optimize()
    after = {text: sorted(_found(lake, text)) for text in ("dog", "horse", "cat")}
    assert before == after == {"dog": [], "horse": ["a"], "cat": ["c", "d"]}


@IN_A_FOLDER
def test_search_takes_any_text(lake):
    lake.upsert("clip_captions", captions({"a": "a dog", "b": ""}))
    for text in ('"dog', "'dog'", "dog AND", "(dog", "dog)", "dog:", "+dog -cat", "dog\\"):
        assert _found(lake, text) == ["a"]
    for text in ("", " ", "'", '"', "*", "\0", "猫", "the"):
        assert _found(lake, text) == []


@IN_A_FOLDER
def test_search_makes_its_index_where_there_is_none(lake):
    lake.dataset("clip_captions").drop_index("caption_idx")
    lake.upsert("clip_captions", captions({"a": "a dog"}))
    assert _found(lake, "dog") == ["a"]


# --- vectors ----------------------------------------------------------------------------------------------------


def vectors(count: int, seed: int, dimensions: int = 64) -> np.ndarray:
    """[count, VECTOR_SIZE] float32 of length one, of which only `dimensions` are used."""
    made = np.zeros((count, VECTOR_SIZE), np.float32)
    made[:, :dimensions] = np.random.default_rng(seed).normal(size=(count, dimensions))
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def embed_clips(lake: Lake, made: np.ndarray, provenance: str) -> None:
    ids = [f"c{number:04d}" for number in range(len(made))]
    rows = {
        "embedding_id": [f"{clip_id}/video" for clip_id in ids],
        "clip_id": ids,
        "kind": ["video"] * len(ids),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(made.ravel()), VECTOR_SIZE),
        "provenance": [provenance] * len(ids),
        "ingest_batch": ["b1"] * len(ids),
    }
    lake.upsert("clip_embeddings", pa.table(rows))
    lake.upsert("clip_captions", captions(dict.fromkeys(ids, "a clip")))


def nearest(lake: Lake, vector: np.ndarray) -> list[str]:
    return lake.search("zzz", vector=vector, limit=5)["clip_id"].to_pylist()


def by_hand(made: np.ndarray, vector: np.ndarray) -> list[str]:
    return [f"c{number:04d}" for number in np.argsort(-(made @ vector))[:5]]


def index_of(lake: Lake) -> dict[str, Any]:
    return lake.dataset("clip_embeddings").stats.index_stats("vector_idx")


def test_search_by_vector_finds_the_nearest_clips_without_an_index_and_with_one(tmp_path):
    lake = Lake(root=str(tmp_path / "lake"))
    lake.create_tables()
    made = vectors(600, seed=1)
    embed_clips(lake, made, "model 1")
    query = made[7] + 0.3 * made[8]
    expected = by_hand(made, query)
    assert nearest(lake, query) == expected

    index_vectors(lake.dataset("clip_embeddings"), TABLES["clip_embeddings"], from_rows=1000)
    assert "vector" not in {
        name for index in lake.dataset("clip_embeddings").describe_indices() for name in index.field_names
    }
    index_vectors(lake.dataset("clip_embeddings"), TABLES["clip_embeddings"], from_rows=500)
    assert index_of(lake)["num_indexed_rows"] == 600
    assert nearest(lake, query)[:2] == expected[:2]


def test_the_index_is_trained_anew_for_the_vectors_of_another_model(tmp_path):
    lake = Lake(root=str(tmp_path / "lake"))
    lake.create_tables()
    embed_clips(lake, vectors(600, seed=1), "model 1")
    index_vectors(lake.dataset("clip_embeddings"), TABLES["clip_embeddings"], from_rows=500)
    made = vectors(600, seed=2)
    embed_clips(lake, made, "model 2")
    assert nearest(lake, made[3])[0] == "c0003"
    version = lake.version("clip_embeddings")
    index_vectors(lake.dataset("clip_embeddings"), TABLES["clip_embeddings"], from_rows=500)
    assert lake.version("clip_embeddings") > version
    assert index_of(lake)["num_indexed_rows"] == 600
    index_vectors(lake.dataset("clip_embeddings"), TABLES["clip_embeddings"], from_rows=500)
    assert lake.version("clip_embeddings") == version + 1, "an index that serves is left alone"
    assert nearest(lake, made[3])[0] == "c0003"
