"""What is kept of where batches stand is what the tables say, whatever was done to them; and little is read for it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from cutting_stage import BATCH, OTHER_BATCH, clips_stage, set_clock_back, units, videos
from pydantic import PrivateAttr

from resources.incremental import batch_states
from resources.incremental.batch_states import COUNTED, disagreements, forget_batch_states, read_batch_states
from resources.incremental.stage import Stage
from resources.incremental.state import count_by_partition
from resources.lake.schema import ATTEMPTS, CLIPS, FRAMES
from resources.lake.store import Lake

BATCHES = tuple(f"2026-01-01-{number:04}" for number in range(1, 13))


def kept(lake: Lake, stage: Stage) -> dict[str, dict[str, int]]:
    """The numbers of each partition that has any, as they are told."""
    rows = read_batch_states(lake, [stage]).rows.to_pylist()
    numbers = {row["partition"]: {name: row[name] for name in COUNTED} for row in rows}
    assert len(numbers) == len(rows), "a partition is there twice"
    return {partition: number for partition, number in numbers.items() if any(number.values())}


def counted(lake: Lake, stage: Stage) -> dict[str, dict[str, int]]:
    """The same, counted anew from the tables."""
    rows = count_by_partition(lake, stage, ("", "~"))
    return {row["partition"]: {name: row[name] for name in COUNTED} for row in rows}


@pytest.fixture
def recounted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The partitions, or ranges of them, that are counted during the test."""
    asked = []

    def noted(lake: Lake, stage: Stage, partitions: Any) -> list[dict[str, Any]]:
        asked.append(partitions)
        return count_by_partition(lake, stage, partitions)

    monkeypatch.setattr(batch_states, "count_by_partition", noted)
    return asked


def test_a_row_that_two_processes_have_just_written_counts_once(lake, cutting):
    videos(lake, {"a": "1 red"}, BATCHES[0])
    before = kept(lake, cutting.stage)
    rows = lake.dataset("batch_states").to_table()
    lake.dataset("batch_states").insert(rows)
    assert lake.dataset("batch_states").count_rows() == 2 * len(rows)
    assert kept(lake, cutting.stage) == before != {}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_whatever_is_done_to_the_tables_what_is_told_is_what_they_say(lake, cutting, seed):
    chance = random.Random(seed)
    for step in range(20):
        batch = chance.choice(BATCHES)
        names = [f"{batch[-2:]}{letter}" for letter in "abcd"]
        match chance.choice(["videos", "videos", "run", "run", "by hand", "compact", "old versions", "version"]):
            case "videos":
                contents = {name: f"{chance.randint(1, 3)} {chance.choice(['red', 'blue'])}" for name in names}
                videos(lake, {name: contents[name] for name in chance.sample(names, 3)}, batch)
            case "run":
                cutting.faults = {name: ValueError("torn") for name in chance.sample(names, 1)}
                cutting.skips = {name: "not wanted" for name in chance.sample(names, 1)}
                cutting.run(f"run {step}", batch)
            case "by hand":
                table = chance.choice([CLIPS, FRAMES, ATTEMPTS])
                keys = lake.polars(table.name)[table.key].to_list()
                lake.delete(table.name, chance.sample(keys, min(2, len(keys))))
            case "compact":
                for table in ("clips", "frames", "raw_videos"):
                    lake.dataset(table).optimize.compact_files(target_rows_per_fragment=1_000_000)
            case "old versions":
                for table in ("clips", "raw_videos"):
                    lake.dataset(table).cleanup_old_versions(older_than=timedelta(0))
            case "version":
                cutting.cut = chance.choice(["cut/1", "cut/2"])
        if chance.random() < 0.7:
            assert kept(lake, cutting.stage) == counted(lake, cutting.stage)
    assert kept(lake, cutting.stage) == counted(lake, cutting.stage)


def test_nothing_is_counted_where_nothing_changed_and_of_many_batches_the_changed_one_alone(lake, cutting, recounted):
    for batch in BATCHES:
        videos(lake, {f"{batch}a": "1 red"}, batch)
        cutting.run("r1", batch)
    assert read_batch_states(lake, [cutting.stage]).counts() == {"clips": units(done=len(BATCHES))}
    assert recounted == [(BATCHES[0], BATCHES[-1])], "many are counted in one go"
    recounted.clear()
    version = lake.version("batch_states")
    assert read_batch_states(lake, [cutting.stage]).counts() == {"clips": units(done=len(BATCHES))}
    assert (recounted, lake.version("batch_states")) == ([], version)
    videos(lake, {f"{BATCHES[3]}b": "1 blue"}, BATCHES[3])
    assert read_batch_states(lake, [cutting.stage]).pending_partitions() == [BATCHES[3]]
    assert recounted == [BATCHES[3]]
    recounted.clear()
    cutting.cut = "cut/2"
    assert read_batch_states(lake, [cutting.stage]).pending_partitions() == list(BATCHES)
    assert recounted == [(BATCHES[0], BATCHES[-1])]


@pytest.mark.slow
def test_ranges_are_as_large_as_the_limit_of_rows_allows(lake, cutting, recounted, monkeypatch):
    monkeypatch.setattr(batch_states, "MAX_ROWS", 9)  # three batches of a video, a clip and a frame each
    for batch in BATCHES:
        videos(lake, {f"{batch}a": "1 red"}, batch)
        cutting.run("r1", batch)
    assert kept(lake, cutting.stage) == counted(lake, cutting.stage)
    assert recounted == [(BATCHES[first], BATCHES[first + 2]) for first in range(0, 12, 3)]


def test_a_batch_is_counted_again_when_the_time_for_another_try_has_come(lake, cutting, recounted):
    videos(lake, {"a": "1 red"})
    cutting.faults["a"] = ConnectionResetError("torn")
    cutting.run()
    assert read_batch_states(lake, [cutting.stage]).counts() == {"clips": units(failed=1)}
    (row,) = read_batch_states(lake, [cutting.stage]).rows.to_pylist()
    assert row["next_try_at"] is not None
    recounted.clear()
    # The clock is not ours to move: the time that both tables name is.
    past = row["next_try_at"] - timedelta(days=2)
    of_batch = lake.polars("batch_states").filter(partition=BATCH)
    lake.upsert("batch_states", of_batch.with_columns(pl.lit(past).alias("next_try_at")))
    read_batch_states(lake, [cutting.stage])
    assert recounted == [BATCH]


def test_a_batch_is_counted_again_after_the_clock_was_set_back(lake, cutting, recounted):
    videos(lake, {"a": "1 red"})
    cutting.faults["a"] = ConnectionResetError("torn")
    cutting.run()
    set_clock_back(lake, "attempts", days=365)
    read_batch_states(lake, [cutting.stage])
    # What a clock counted that was ahead, too: by it, the try was not due.
    states = lake.polars("batch_states").filter(partition=BATCH).with_columns(failed=1, pending=0)
    later = pl.lit(datetime.now(UTC) + timedelta(days=365))
    lake.upsert("batch_states", states.with_columns(written_at=later, next_try_at=later))
    recounted.clear()
    assert read_batch_states(lake, [cutting.stage]).pending_partitions() == [BATCH]
    assert recounted == [BATCH]


class ChangingLake(Lake):
    """A lake to which another process adds a video once the tables of the units are opened."""

    _videos: list[str] = PrivateAttr(default_factory=lambda: ["b"])

    def connect(self, tables: Any = None, **options: Any) -> Any:
        connection = super().connect(tables, **options)
        if "raw_videos" in (tables or ()) and self._videos:
            videos(self, {"a": "2 red", self._videos.pop(): "1 blue"})
        return connection


def test_what_is_written_while_batches_are_counted_is_counted_the_next_time(lake, cutting):
    videos(lake, {"a": "1 red"})
    read_batch_states(lake, [cutting.stage])
    videos(lake, {"a": "2 red"})
    other = ChangingLake(root=lake.root)
    assert read_batch_states(other, [cutting.stage]).counts() == {"clips": units(pending=1)}
    assert read_batch_states(lake, [cutting.stage]).counts() == {"clips": units(pending=2)}


def test_an_attempt_that_is_removed_by_hand_makes_its_input_pending(lake, cutting):
    videos(lake, {"a": "1 red"})
    cutting.faults["a"] = ValueError("torn")
    cutting.run()
    assert read_batch_states(lake, [cutting.stage]).counts() == {"clips": units(failed=1)}
    lake.delete("attempts", lake.polars("attempts")["attempt_id"].to_list())
    assert read_batch_states(lake, [cutting.stage]).counts() == {"clips": units(pending=1)}


def test_stages_that_are_asked_for_together_are_told_apart(lake, cutting):
    other = Stage("more_clips", "clips", cutting.stage.outputs, chunk_size=2)
    videos(lake, {"a": "1 red"})
    cutting.faults["a"] = ValueError("torn")
    cutting.run()
    assert read_batch_states(lake, [cutting.stage, other]).counts() == {
        "clips": units(failed=1),
        "more_clips": units(pending=1),
    }
    assert read_batch_states(lake, [other]).counts() == {"more_clips": units(pending=1)}


def test_two_configurations_that_take_turns_are_both_told_right(lake, cutting):
    videos(lake, {"a": "1 red"})
    cutting.run()
    for _ in range(2):
        assert read_batch_states(lake, [clips_stage("cut/1")]).counts() == {"clips": units(done=1)}
        assert read_batch_states(lake, [clips_stage("cut/2")]).counts() == {"clips": units(pending=1)}


def test_a_count_that_does_not_agree_is_found_and_counted_right_once_forgotten(lake, cutting):
    for batch in (BATCH, OTHER_BATCH):
        videos(lake, {f"{batch}a": "1 red"}, batch)
        cutting.run("r1", batch)
    read_batch_states(lake, [cutting.stage])
    assert [disagreements(lake, [cutting.stage], part=part, parts=3) for part in range(3)] == [[], [], []]
    wrong = lake.polars("batch_states").filter(partition=BATCH).with_columns(pl.lit(7).alias("done"))
    lake.upsert("batch_states", wrong)
    found = [row for part in range(3) for row in disagreements(lake, [cutting.stage], part=part, parts=3)]
    numbers = dict.fromkeys(COUNTED, 0)
    assert found == [
        {"stage": "clips", "partition": BATCH, "kept": numbers | {"done": 7}, "counted": numbers | {"done": 1}}
    ]
    forget_batch_states(lake)
    assert read_batch_states(lake, [cutting.stage]).counts() == {"clips": units(done=2)}
