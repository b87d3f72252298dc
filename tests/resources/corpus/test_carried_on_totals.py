"""Totals that are carried on from one publication to the next are those that the whole lake gives."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from changing_lake import ChangingLake
from lake_copies import IN_A_FOLDER

from resources.corpus.statistics import build_mart
from resources.lake.schema import TABLES
from resources.lake.statements import statement, statements_in
from resources.lake.store import Lake, tables_in
from resources.lake.totals import names_of_totals, totals_header, totals_sql

pytestmark = IN_A_FOLDER


@pytest.fixture
def publish(tmp_path: Path) -> Callable[..., tuple[Path, list[str]]]:
    """publish(lake, earlier): pins the lake and builds its mart; returns the file, and what was logged."""
    numbers = iter(range(1_000))

    def built(lake: Lake, earlier: Path | None = None) -> tuple[Path, list[str]]:
        number, lines = next(numbers), []
        lake.tag(f"snapshot-{number}")
        build_mart(lake, f"snapshot-{number}", tmp_path / f"{number}.duckdb", earlier=earlier, log=lines.append)
        return tmp_path / f"{number}.duckdb", lines

    return built


def contents(mart: Path) -> dict[str, list]:
    """Returns the rows of every statistic, and of all totals that are sums, without order."""
    names = [f"main.{file.stem}" for file in statements_in("statistics")]
    names += [f"totals.{name}" for name in names_of_totals() if totals_header(name).ranked is None]
    with duckdb.connect(str(mart), read_only=True) as connection:
        tables = {name: connection.table(name).to_arrow_table().to_pylist() for name in names}
    return {
        name: sorted(
            (
                tuple(pytest.approx(value) if isinstance(value, float) else value for value in row.values())
                for row in rows
            ),
            key=repr,
        )
        if name.startswith("totals.")
        else [
            {column: pytest.approx(value) if isinstance(value, float) else value for column, value in row.items()}
            for row in rows
        ]
        for name, rows in tables.items()
    }


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_after_random_changes_every_table_is_that_of_the_whole_lake(lake, publish, seed):
    changing = ChangingLake(lake, seed)
    changing.add_batch()
    changing.add_batch()
    mart, _ = publish(lake)
    for step in range(2):
        changing.change()
        if step == 1:
            lake.optimize()
        mart, lines = publish(lake, mart)
        assert lines == [], "carried on"
        assert contents(mart) == contents(publish(lake)[0])


@pytest.mark.slow
def test_a_statistic_run_by_itself_gives_what_the_file_has(lake, publish):
    changing = ChangingLake(lake, 7)
    changing.add_batch()
    mart, _ = publish(lake)
    changing.add_batch()
    mart, _ = publish(lake, mart)
    for file in statements_in("statistics"):
        with duckdb.connect(str(mart), read_only=True) as connection:
            published = connection.table(file.stem).to_arrow_table()
        assert lake.query(statement(f"statistics/{file.stem}")).to_pylist() == published.to_pylist()


def test_totals_that_cannot_be_carried_on_are_computed_from_the_whole_lake_and_that_is_logged(lake, publish, tmp_path):
    changing = ChangingLake(lake, 1)
    changing.add_batch()
    first, lines = publish(lake)
    assert lines == [
        f"{', '.join(names_of_totals())}: computed from the whole lake, because there are none of an earlier snapshot"
    ]
    changing.add_batch()
    whole = contents(publish(lake)[0])

    damaged, of_an_older_program, missing = (tmp_path / f"{name}.duckdb" for name in ("damaged", "older", "missing"))
    damaged.write_bytes(first.read_bytes()[:9_000])
    with duckdb.connect(str(of_an_older_program)) as mart:
        mart.execute("create table table_1 as select 1 as videos")
    for earlier in (damaged, of_an_older_program, missing):
        mart, lines = publish(lake, earlier)
        assert len(lines) == 1
        assert contents(mart) == whole

    with duckdb.connect(str(first)) as mart:
        digests = "regexp_replace(statement_digests, '(\"clip_totals\": \")', '\\1other')"
        mart.execute(f"update totals.made_from set statement_digests = {digests}")
    mart, lines = publish(lake, first)
    assert lines == [
        "clip_totals: computed from the whole lake, because another version of this software computed the earlier ones"
    ]
    assert contents(mart) == whole


def test_totals_of_versions_that_were_removed_are_computed_from_the_whole_lake(lake, publish):
    changing = ChangingLake(lake, 3)
    changing.add_batch()
    first, _ = publish(lake)
    changing.add_batch()
    clips = lake.dataset("clips")
    for tag in clips.tags.list():
        clips.tags.delete(tag)
    clips.cleanup_old_versions(timedelta(0), delete_unverified=True)
    mart, lines = publish(lake, first)
    reading_clips = [name for name in names_of_totals() if "clips" in tables_in(totals_sql(name))]
    assert lines == [
        f"{', '.join(reading_clips)}: computed from the whole lake, because the earlier version of clips was removed"
    ]
    assert contents(mart) == contents(publish(lake)[0])


@pytest.mark.parametrize("seed", range(3))
def test_a_ranking_carried_on_is_that_of_all_rows_or_says_that_it_cannot_be(lake, seed):
    """Rankings of which three rows are kept, over rows that come and go in five batches."""
    chance = random.Random(seed)
    rows: dict[str, dict[str, Any]] = {}
    schema = pa.schema(
        [
            pa.field("ingest_batch", pa.string()),
            pa.field("ranked_within", pa.list_(pa.string())),
            pa.field("ranked_by", pa.struct([pa.field("size", pa.int64()), pa.field("name", pa.string())])),
        ]
    )

    def first_rows(connection: duckdb.DuckDBPyConnection, chosen: list[dict[str, Any]], kept: int = 3) -> pa.Table:
        connection.register("rows", pa.Table.from_pylist(chosen, schema=schema))
        return connection.sql(statement("corpus/ranking"), params={"kept": kept}).to_arrow_table()

    def ranked(table: pa.Table, limit: int) -> dict[str, list[str]]:
        rankings: dict[str, list[str]] = {}
        for row in sorted(table.to_pylist(), key=lambda row: (row["ranked_by"]["size"], row["ranked_by"]["name"])):
            rankings.setdefault(row["ranked_within"][0], []).append((row["ranked_by"]["name"], row["ranked_rows"]))
        return {within: names[:limit] for within, names in rankings.items()}

    exhausted = 0
    with lake.connect([]) as connection:
        last = first_rows(connection, [])
        for number in range(25):
            batch = f"batch {chance.randrange(5)}"
            before = [row for row in rows.values() if row["ingest_batch"] == batch]
            for _ in range(chance.randint(1, 3)):
                if before and chance.random() < 0.6:
                    rows.pop(chance.choice(before)["ranked_by"]["name"], None)
                else:
                    name = f"{number}.{chance.random()}"
                    size = {"size": chance.randrange(9), "name": name}
                    rows[name] = {"ingest_batch": batch, "ranked_within": [chance.choice("ab")], "ranked_by": size}
            after = [row for row in rows.values() if row["ingest_batch"] == batch]
            for view, table in (
                ("last", last),
                ("gone", first_rows(connection, before)),
                ("came", first_rows(connection, after)),
            ):
                connection.register(view, table)
            candidates = f"create or replace temp table candidates as {statement('corpus/ranking_candidates')}"
            connection.execute(candidates, {"partitions": [batch]})
            if connection.execute(statement("corpus/exhausted_rankings"), {"needed": 2}).fetchall():
                exhausted += 1
                last = first_rows(connection, list(rows.values()))
            else:
                last = connection.sql(statement("corpus/ranking_carried_on"), params={"kept": 3}).to_arrow_table()
            assert ranked(last, 2) == ranked(first_rows(connection, list(rows.values())), 2)
    assert exhausted < 12, "mostly carried on"


@pytest.mark.parametrize("name", names_of_totals())
def test_totals_keep_to_the_rules_by_which_they_are_carried_on(lake, name):
    tables = [TABLES[table] for table in tables_in(totals_sql(name))]
    assert tables
    assert all(table.partition in ("ingest_batch", "partition") and table.pinned for table in tables)
    with lake.connect([name]) as connection:
        relation = connection.table(name)
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    if totals_header(name).ranked:
        assert {"ingest_batch", "ranked_within", "ranked_by"} <= types.keys()
        return
    sums = {column: type for column, type in types.items() if column.startswith("total_")}
    assert "total_rows" in sums
    assert set(sums.values()) <= {"BIGINT", "HUGEINT"}, "whole numbers"
