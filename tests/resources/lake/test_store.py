"""The lake on a folder and on a bucket: creating it, what reads see, versions and tags."""

from __future__ import annotations

import pickle
import shutil
from datetime import UTC, datetime

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from lake_copies import IN_A_FOLDER
from lake_rows import at_once, captions, clips, contents, expected, indexes

from resources.lake.erasure import times_of_tags
from resources.lake.maintenance import index_kinds
from resources.lake.schema import TABLES, VECTOR, VECTOR_SIZE, pinned_tables
from resources.lake.store import Lake


def _create_and_fill(lake: Lake, key: str) -> None:
    lake.create_tables()
    lake.upsert("clips", clips([key]))


def test_processes_create_the_same_tables_at_once_and_the_late_ones_wipe_out_nothing(bare_lake, writers):
    keys = ["a", "b", "c", "d"]
    for attempt in range(1 if bare_lake.storage_options else 4):  # a bucket is slow enough for one to be late
        lake = Lake(root=f"{bare_lake.root}/{attempt}", storage_options=bare_lake.storage_options)
        at_once(writers, _create_and_fill, [(lake, key) for key in keys])
        assert contents(lake, "clips") == expected(clips(keys))
    of_kind = {"BTREE": "BTreeIndexDetails", "BITMAP": "BitmapIndexDetails", "INVERTED": "InvertedIndexDetails"}
    for name, table in TABLES.items():
        assert lake.dataset(name).schema.equals(table.arrow, check_metadata=True)
        assert lake.dataset(name).count_rows() == (len(keys) if name == "clips" else 0)
        assert indexes(lake, name) == sorted((c, of_kind[kind]) for c, kind in index_kinds(table).items())


def test_creating_again_leaves_a_filled_table_as_it_is(lake):
    lake.upsert("clips", clips(["a"]))
    before = lake.version("clips")
    lake.create_tables()
    assert lake.version("clips") == before
    assert contents(lake, "clips") == expected(clips(["a"]))


def test_a_lake_goes_to_another_process_by_pickle(lake, writers):
    copy = pickle.loads(pickle.dumps(lake))
    assert copy.uri("clips") == lake.uri("clips")
    assert writers.submit(Lake.upsert, copy, "clips", clips(["a"])).result().added == 1
    assert contents(lake, "clips") == expected(clips(["a"]))


def test_a_tag_pins_every_table_of_data_as_it_was(lake):
    lake.upsert("clips", clips(["a"]))
    versions = lake.tag("corpus-v1")
    assert versions == {table.name: lake.version(table.name) for table in pinned_tables()}
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
    versions = {table.name: lake.version(table.name) for table in pinned_tables()}
    lake.dataset("clips").tags.create("corpus-v1", versions["clips"])
    assert lake.tags() == []
    assert lake.tag("corpus-v1", versions) == versions
    assert lake.tags() == ["corpus-v1"]


@IN_A_FOLDER
def test_a_table_that_is_younger_than_a_snapshot_is_empty_in_it(lake):
    lake.upsert("clips", clips(["a"]))
    lake.tag("corpus-v1")
    shutil.rmtree(lake.uri("judgements"))  # as in a lake of a program that did not know it
    lake.create_tables()
    assert lake.tags() == ["corpus-v1"]
    row = {"judgement_id": ["a/1"], "clip_id": ["a"], "what": ["cut"], "verdict": ["bad"]}
    lake.upsert("judgements", pl.DataFrame(row))
    count = "select count(*) as n from judgements"
    assert lake.query(count, at="corpus-v1").to_pylist() == [{"n": 0}]
    assert lake.query(count).to_pylist() == [{"n": 1}]
    assert set(times_of_tags(lake.dataset("clips"))) == {"corpus-v1"}
    assert times_of_tags(lake.dataset("judgements")) == {}, "it can hold nothing of a video"


@IN_A_FOLDER
def test_a_version_that_is_not_there_is_not_tagged_in_any_table(lake):
    with pytest.raises(ValueError, match="was not found"):
        lake.tag("corpus-v1", {"attempts": 999})
    assert all(lake.dataset(table).tags.list() == {} for table in TABLES)


@IN_A_FOLDER
def test_a_tag_that_is_not_there_is_an_error(lake):
    with pytest.raises(ValueError, match="tag nope does not exist"):
        lake.query("select 1 from clips", at="nope")


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
def test_a_long_list_of_batches_is_planned_and_shows_each_row_once(lake):
    batches = [f"b{number}" for number in range(60)]
    lake.upsert("clips", pl.concat(clips([f"c{batch}"], batch=batch) for batch in batches))
    seen = {
        length: lake.query(
            "from clips select list(ingest_batch order by clip_id) as seen",
            only={"ingest_batch": [*batches[:length], batches[0], "none"]},
        )["seen"][0].as_py()
        for length in (1, 8, 9, 59)
    }
    assert {length: sorted(batches) for length, batches in seen.items()} == {
        length: sorted(batches[:length]) for length in seen
    }
    assert lake.query("from clips select clip_id", only={"ingest_batch": []}).num_rows == 0
    both = {"ingest_batch": batches[:20], "video_id": [*map(str, range(20)), "v"]}
    assert lake.query("from clips select clip_id", only=both).num_rows == 20


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
    pa.list_(pa.float32()): [0.5, 0.25],
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
