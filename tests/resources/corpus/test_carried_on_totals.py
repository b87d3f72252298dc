"""Totals that are carried on from one publication to the next are those that the whole lake gives."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from lake_copies import IN_A_FOLDER

from resources.corpus.statistics import build_mart
from resources.lake.schema import TABLES
from resources.lake.statements import statement, statements_in
from resources.lake.store import Lake, tables_in
from resources.lake.totals import names_of_totals, totals_header, totals_sql

pytestmark = IN_A_FOLDER

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
WORDS = ("dog", "street", "kitchen", "wave", "car")
MAX_BATCHES = 5


class ChangingLake:
    """Changes a lake at random, by batches, as stages and people do: rows come, change and go."""

    def __init__(self, lake: Lake, seed: int):
        self.lake = lake
        self.random = random.Random(seed)
        self.writes = 0
        self.batches: list[str] = []
        self.models = {}

    def change(self) -> None:
        """One to four changes."""
        for _ in range(self.random.randint(1, 4)):
            changes = [self.add_batch, self.change_rows, self.delete_rows, self.forget_batch, self.rename_model]
            self.random.choice(changes if self.batches else changes[:1])()

    def add_batch(self) -> None:
        batch = f"2026-01-01-{self.writes:04d}"
        self.batches.append(batch)
        for number in range(self.random.randint(1, 4)):
            self._write_video(batch, f"{batch}-{number}")

    def change_rows(self) -> None:
        """The rows of a video are computed again: other numbers, the same keys, and some more or fewer."""
        batch = self.random.choice(self.batches)
        self._write_video(batch, f"{batch}-0")

    def delete_rows(self) -> None:
        table = self.random.choice(
            ["raw_videos", "clips", "clip_captions", "frame_captions", "clip_scores", "attempts"]
        )
        keys = self.lake.polars(table)[TABLES[table].key].sort().to_list()
        self.lake.delete(table, self.random.sample(keys, min(len(keys), 3)))

    def forget_batch(self) -> None:
        batch = self.batches.pop(self.random.randrange(len(self.batches)))
        for name, table in TABLES.items():
            if table.partition in ("ingest_batch", "partition"):
                self.lake.delete(name, self.lake.polars(name, only={table.partition: batch})[table.key].to_list())

    def rename_model(self) -> None:
        rows = self.lake.polars("clip_captions").to_arrow()
        named = pa.array([f"model {self.writes}"] * len(rows), pa.string())
        self._upsert("clip_captions", rows.set_column(rows.schema.names.index("model"), "model", named).to_pylist())

    def _write_video(self, batch: str, video: str) -> None:
        chance = self.random
        in_batch = {"ingest_batch": batch}
        clips = range(chance.randint(0, 4))
        self._upsert(
            "sources",
            [
                {
                    "source_id": video,
                    "uri": video,
                    "kind": chance.choice(["file", "web"]),
                    "found_by": chance.choice(["f", None]),
                }
                | in_batch
            ],
        )
        self._upsert(
            "raw_videos",
            [
                {"video_id": video, "source_id": video, "source": video, "video_codec": chance.choice(["h264", "vp9"])}
                | {
                    "width": chance.choice([1280, 640]),
                    "height": 720,
                    "duration_seconds": chance.choice([None, 61.5, 700.25]),
                }
                | in_batch
            ],
        )
        self._upsert(
            "clips",
            [
                {
                    "clip_id": f"{video}_{number}",
                    "video_id": video,
                    "start_seconds": 0.0,
                    "end_seconds": chance.uniform(1, 30),
                }
                | {
                    "boundary": chance.choice(["start", "cut"]),
                    "cut_score": chance.uniform(0, 50),
                    "motion": chance.random(),
                }
                | {
                    "stillness": chance.random(),
                    "moving_share": chance.random(),
                    "pan_x": 0.1,
                    "pan_y": 0.0,
                    "zoom": 0.0,
                }
                | {"flags": chance.choice([None, [], ["still"], ["still", "black"]])}
                | {"annotation_id": chance.choice([None, None, "a"])}
                | in_batch
                for number in clips
            ],
        )
        self._upsert(
            "frames",
            [
                {"frame_id": f"{video}_{number}", "clip_id": f"{video}_{number}", "video_id": video} | in_batch
                for number in clips
            ],
        )
        self._upsert(
            "frame_captions",
            [
                {
                    "frame_caption_id": f"{video}_{number}/{scale}",
                    "video_id": video,
                    "scale": scale,
                    "version": chance.choice("12"),
                }
                | {"model": chance.choice(["A", "B"])}
                | in_batch
                for number in clips
                for scale in ("coarse", "fine")
            ],
        )
        self._upsert(
            "clip_captions",
            [
                {"clip_id": f"{video}_{number}", "video_id": video, "model": "S", "word_count": chance.randint(5, 35)}
                | {"nouns": chance.sample(WORDS, 2), "verbs": chance.choice([None, [], ["run"]])}
                | in_batch
                for number in clips
            ],
        )
        self._upsert(
            "clip_scores",
            [
                {"score_id": f"{video}_{number}/s", "clip_id": f"{video}_{number}", "score": "s", "model": "M"}
                | {"value": chance.choice([None, chance.uniform(-1, 1)])}
                | in_batch
                for number in clips
            ],
        )
        self._upsert(
            "attempts",
            [
                {
                    "attempt_id": f"{stage}/{video}",
                    "stage": stage,
                    "key": video,
                    "outcome": chance.choice(["failed", "skipped"]),
                }
                | {
                    "error_class": chance.choice(["DecodeError", "ExactDuplicate"]),
                    "message": f"of write {self.writes}",
                }
                | {"tries": chance.randint(1, 5), "next_try_at": chance.choice([None, NOON]), "partition": batch}
                for stage in chance.sample(["clips", "raw_videos", "speech"], 2)
            ],
        )

    def _upsert(self, table: str, rows: list[dict[str, Any]]) -> None:
        self.writes += 1
        names = TABLES[table].column_names
        written = {"written_at": NOON + timedelta(minutes=self.writes), "provenance": str(self.writes), "unit_rows": 1}
        written |= {"digest": str(self.writes), "run_id": "run"}
        ours = {name: value for name, value in written.items() if name in names}
        full_rows = [dict.fromkeys(names) | row | ours for row in rows]
        if full_rows:
            self.lake.upsert(table, pa.Table.from_pylist(full_rows, schema=TABLES[table].arrow))


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


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
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
