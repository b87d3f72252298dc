"""The one function that does incremental work, on real tables: what it computes, keeps, removes and holds back."""

import errno
import os
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from cutting_stage import (
    BATCH,
    OTHER_BATCH,
    Cutting,
    attempts,
    clip_row,
    clips,
    clips_stage,
    counts,
    failed,
    frame_row,
    frames,
    pass_time,
    release,
    rows,
    set_clock_back,
    units,
    videos,
)
from pydantic import PrivateAttr

from internvid.web.errors import BelowAvailable, RemovedVideo
from resources.incremental.batch_states import read_batch_states
from resources.incremental.commits import BYTES_PER_COMMIT, Report
from resources.incremental.faults import ModelUnavailable, SystemFault, TooManyFailures
from resources.incremental.retries import FailurePolicy
from resources.incremental.runner import process_pending
from resources.incremental.stage import (
    Done,
    Failed,
    Outcome,
    Output,
    Rows,
    Skipped,
    Stage,
    Unit,
    one_by_one,
    together_or_one_by_one,
)
from resources.lake.schema import CHECKPOINTS, CLIP_CAPTIONS, CLIPS, FRAMES, SUBSETS
from resources.lake.store import Lake

# --- what is computed -------------------------------------------------------------------------------------------


def test_every_unit_is_computed_and_its_rows_say_what_made_them(lake, cutting):
    videos(lake, {"a": "2 red", "b": "1 blue", "c": "1 green"})
    report = cutting.run()
    assert rows(report) == ({"clips": 4, "frames": 4}, {}, {})
    assert (report.processed, report.units) == (3, units(done=3))
    assert cutting.given == ["a", "b", "c"]
    made = lake.polars("clips").sort("clip_id")
    assert made.select("clip_id", "video_id", "boundary", "unit_rows", "version", "run_id", "ingest_batch").rows() == [
        ("a_0", "a", "red by cut/1", 2, "cut/1", "r1", BATCH),
        ("a_1", "a", "red by cut/1", 2, "cut/1", "r1", BATCH),
        ("b_0", "b", "blue by cut/1", 1, "cut/1", "r1", BATCH),
        ("c_0", "c", "green by cut/1", 1, "cut/1", "r1", BATCH),
    ]
    assert made["provenance"].n_unique() == 3
    assert made["digest"].n_unique() == 4
    assert set(lake.polars("frames")["version"]) == {"frames/1"}


def test_nothing_is_computed_and_no_table_moves_while_nothing_changed(lake, cutting):
    videos(lake, {"a": "2 red", "b": "1 blue"})
    cutting.run()
    versions = {table: lake.version(table) for table in ("clips", "frames", "attempts")}
    cutting.given.clear()
    report = cutting.run("r2")
    assert (rows(report), report.processed) == (({}, {}, {}), 0)
    assert cutting.given == []
    assert {table: lake.version(table) for table in versions} == versions


def test_a_changed_input_recomputes_that_unit_only(lake, cutting):
    videos(lake, {"a": "2 red", "b": "1 blue"})
    cutting.run("r1")
    cutting.given.clear()
    videos(lake, {"a": "3 pink", "b": "1 blue"})
    report = cutting.run("r2")
    assert cutting.given == ["a"]
    assert rows(report) == ({"clips": 1, "frames": 1}, {"clips": 2, "frames": 2}, {})
    assert clips(lake) == {
        "a_0": ("pink by cut/1", "r2"),
        "a_1": ("pink by cut/1", "r2"),
        "a_2": ("pink by cut/1", "r2"),
        "b_0": ("blue by cut/1", "r1"),
    }


def test_fewer_rows_than_before_remove_what_is_too_many(lake, cutting):
    videos(lake, {"a": "3 red"})
    cutting.run("r1")
    videos(lake, {"a": "1 rose"})
    report = cutting.run("r2")
    assert rows(report) == ({}, {"clips": 1, "frames": 1}, {"clips": 2, "frames": 2})
    assert clips(lake) == {"a_0": ("rose by cut/1", "r2")}


def test_a_changed_version_recomputes_every_unit(lake, cutting):
    videos(lake, {"a": "2 red", "b": "1 blue"})
    cutting.run("r1")
    cutting.given.clear()
    cutting.cut = "cut/2"
    report = cutting.run("r2")
    assert cutting.given == ["a", "b"]
    assert rows(report) == ({}, {"clips": 3, "frames": 3}, {})
    assert clips(lake) == {
        "a_0": ("red by cut/2", "r2"),
        "a_1": ("red by cut/2", "r2"),
        "b_0": ("blue by cut/2", "r2"),
    }


def test_the_version_of_a_later_output_leaves_the_rows_of_earlier_ones_alone(lake, cutting):
    videos(lake, {"a": "2 red"})
    cutting.run("r1")
    cutting.frame = "frames/2"
    report = cutting.run("r2")
    assert rows(report) == ({}, {"frames": 2}, {})
    assert clips(lake) == {"a_0": ("red by cut/1", "r1"), "a_1": ("red by cut/1", "r1")}
    assert frames(lake) == {
        "a_0_f": (b"red by cut/1 and frames/2", "r2"),
        "a_1_f": (b"red by cut/1 and frames/2", "r2"),
    }


def test_a_vanished_parent_removes_its_rows_and_its_attempt(lake, cutting):
    videos(lake, {"a": "2 red", "b": "1 blue", "c": "1 green"})
    cutting.faults["c"] = ValueError("no")
    cutting.run("r1")
    assert [row["key"] for row in attempts(lake)] == ["c"]
    videos(lake, {"b": "1 blue"})
    report = cutting.run("r2")
    assert rows(report) == ({}, {}, {"clips": 2, "frames": 2})
    assert clips(lake) == {"b_0": ("blue by cut/1", "r1")}
    assert attempts(lake) == []


def test_a_row_removed_by_hand_makes_its_unit_pending_and_only_that_row_is_written(lake, cutting):
    videos(lake, {"a": "3 red", "b": "1 blue"})
    cutting.run("r1")
    cutting.given.clear()
    lake.delete("frames", ["a_1_f"])
    assert counts(lake, cutting.stage, partition=BATCH) == units(done=1, pending=1)
    report = cutting.run("r2")
    assert cutting.given == ["a"]
    assert rows(report) == ({"frames": 1}, {}, {})
    assert {key: run for key, (_, run) in frames(lake).items()} == {
        "a_0_f": "r1",
        "a_1_f": "r2",
        "a_2_f": "r1",
        "b_0_f": "r1",
    }


def pending_partitions(lake: Lake, stage: Stage) -> list[str]:
    return read_batch_states(lake, [stage]).pending_partitions()


def test_other_batches_are_left_alone(lake, cutting):
    videos(lake, {"a": "1 red"})
    videos(lake, {"b": "1 blue"}, OTHER_BATCH)
    assert pending_partitions(lake, cutting.stage) == [BATCH, OTHER_BATCH]
    cutting.run("r1", BATCH)
    assert cutting.given == ["a"]
    assert pending_partitions(lake, cutting.stage) == [OTHER_BATCH]
    cutting.run("r2", OTHER_BATCH)
    assert pending_partitions(lake, cutting.stage) == []
    videos(lake, {}, BATCH)
    assert pending_partitions(lake, cutting.stage) == [BATCH], "rows to remove are work, too"
    cutting.run("r3", BATCH)
    assert clips(lake) == {"b_0": ("blue by cut/1", "r2")}


# --- what fails -------------------------------------------------------------------------------------------------


def test_a_failing_unit_becomes_one_attempt_with_its_original_error_and_the_others_go_on(lake, cutting):
    videos(lake, {"a": "1 red", "b": "1 blue", "c": "1 green"})
    cutting.faults["b"] = ValueError("moov atom not found: 'b' [0x7f]")
    report = cutting.run()
    assert set(clips(lake)) == {"a_0", "c_0"}
    assert attempts(lake) == [failed("b", cutting.faults["b"])]
    assert lake.polars("attempts")["label"].to_list() == ["/videos/b.mp4"]
    assert report.units == units(done=2, failed=1)


def test_an_error_without_text_is_told_by_its_class(lake, cutting):
    videos(lake, {"a": "1 red"})
    cutting.faults["a"] = MemoryError()
    cutting.run()
    assert attempts(lake) == [failed("a", cutting.faults["a"]) | {"message": "MemoryError()"}]


def test_a_failed_unit_is_held_back_until_its_input_changes(lake, cutting):
    videos(lake, {"a": "1 red"})
    cutting.faults["a"] = ValueError("no")
    cutting.run("r1")
    cutting.given.clear()
    cutting.run("r2")
    assert cutting.given == []
    videos(lake, {"a": "1 pink"})
    cutting.run("r3")
    assert cutting.given == ["a"]
    assert attempts(lake) == [failed("a", cutting.faults["a"], run_id="r3")], "another input: its first try"


def test_a_failed_unit_is_held_back_until_the_version_changes(lake, cutting):
    videos(lake, {"a": "1 red"})
    cutting.faults["a"] = ValueError("no")
    cutting.run("r1")
    cutting.given.clear()
    cutting.faults.clear()
    cutting.run("r2")
    assert cutting.given == []
    cutting.frame = "frames/2"
    cutting.run("r3")
    assert cutting.given == ["a"]
    assert attempts(lake) == []
    assert clips(lake) == {"a_0": ("red by cut/1", "r3")}


def test_a_released_unit_is_tried_again_and_its_tries_count_up(lake, cutting):
    videos(lake, {"a": "1 red"})
    for tries, run_id in enumerate(["r1", "r2", "r3"], start=1):
        cutting.faults["a"] = ValueError(f"no, said for the {tries}. time")
        cutting.run(run_id)
        assert attempts(lake) == [failed("a", cutting.faults["a"], tries=tries, run_id=run_id)]
        release(lake)
        assert counts(lake, cutting.stage, partition=BATCH) == units(pending=1)
    assert cutting.given == ["a", "a", "a"]


def test_success_deletes_the_attempt(lake, cutting):
    videos(lake, {"a": "1 red"})
    cutting.faults["a"] = ValueError("no")
    cutting.run("r1")
    release(lake)
    cutting.faults.clear()
    report = cutting.run("r2")
    assert attempts(lake) == []
    assert clips(lake) == {"a_0": ("red by cut/1", "r2")}
    assert report.units == units(done=1)


def test_a_transient_error_is_tried_again_by_itself_when_its_time_has_come_four_times_in_all(lake, cutting):
    videos(lake, {"a": "1 red"})
    cutting.faults["a"] = ConnectionResetError("reset by peer")
    waits = []
    for tries, minutes in enumerate([5, 20, 80, None], start=1):
        cutting.run(f"r{tries}")
        is_last = minutes is None
        assert attempts(lake) == [failed("a", cutting.faults["a"], tries=tries, run_id=f"r{tries}", again=not is_last)]
        if is_last:
            break
        row = lake.polars("attempts").row(0, named=True)
        waits.append((row["next_try_at"] - row["written_at"]) / timedelta(minutes=1))
        pass_time(lake, minutes - 0.5)
        given = len(cutting.given)
        cutting.run("too early")
        assert len(cutting.given) == given
        pass_time(lake, 0.5)
    assert waits == [5, 20, 80]
    cutting.given.clear()
    cutting.run("r9")
    assert cutting.given == [], "after the last try it waits for `internvid retry`"


def test_after_the_clock_was_set_back_nothing_waits_for_a_time_that_it_named(lake, cutting):
    videos(lake, {"a": "1 red", "b": "1 blue", "c": "1 green"})
    cutting.faults = {"a": ConnectionResetError("reset by peer"), "c": ValueError("torn")}
    cutting.improvable["b"] = BelowAvailable("360 of 720")
    cutting.run("r1")
    set_clock_back(lake, "attempts", days=365)
    cutting.given.clear()
    cutting.run("r2")
    assert cutting.given == ["a", "b"], "an error for good stays one"
    assert {row["key"]: row["tries"] for row in attempts(lake)} == {"a": 2, "b": 2, "c": 1}
    cutting.given.clear()
    cutting.run("too early")
    assert cutting.given == [], "from now on this clock counts"


def test_a_unit_that_could_be_better_is_done_and_tried_again_when_its_time_has_come(lake, cutting):
    videos(lake, {"a": "1 red", "b": "1 blue"})
    cutting.improvable["a"] = BelowAvailable("360 of 720")
    report = cutting.run("r1")
    assert report.units["done"] == 2
    expected = failed("a", cutting.improvable["a"], tries=1, run_id="r1", again=True)
    assert attempts(lake) == [expected | {"outcome": "improvable"}]
    cutting.given.clear()
    cutting.run("too early")
    assert cutting.given == []
    assert len(attempts(lake)) == 1

    pass_time(lake, 24 * 60 + 1)
    cutting.run("r2")
    assert cutting.given == ["a"]
    assert [(row["outcome"], row["tries"]) for row in attempts(lake)] == [("improvable", 2)]

    pass_time(lake, 2 * 24 * 60 + 1)
    cutting.improvable.clear()
    report = cutting.run("r3")
    assert attempts(lake) == []
    assert report.units["done"] == 2
    cutting.given.clear()
    cutting.run("r4")
    assert cutting.given == []


def test_rows_of_a_unit_whose_new_try_fails_stay_until_a_later_try_succeeds(lake, cutting):
    videos(lake, {"a": "2 red"})
    cutting.run("r1")
    videos(lake, {"a": "1 pink"})
    cutting.faults["a"] = ValueError("no")
    report = cutting.run("r2")
    assert rows(report) == ({}, {}, {})
    assert clips(lake) == {"a_0": ("red by cut/1", "r1"), "a_1": ("red by cut/1", "r1")}
    assert report.units == units(failed=1)
    release(lake)
    cutting.faults.clear()
    cutting.run("r3")
    assert clips(lake) == {"a_0": ("pink by cut/1", "r3")}
    assert set(frames(lake)) == {"a_0_f"}


def test_an_input_that_changes_back_is_done_again_without_work(lake, cutting):
    videos(lake, {"a": "2 red"})
    cutting.run("r1")
    videos(lake, {"a": "1 pink"})
    cutting.faults["a"] = ValueError("no")
    cutting.run("r2")
    videos(lake, {"a": "2 red"})
    cutting.given.clear()
    cutting.run("r3")
    assert cutting.given == []
    assert attempts(lake) == []


def test_a_failing_unit_of_a_chunk_computed_together_fails_alone(lake, cutting):
    videos(lake, {"a": "1 red", "b": "1 blue", "c": "1 green"})
    asked: list[list[str]] = []

    def together(some: list[Unit]) -> list[Outcome]:
        asked.append([unit.key for unit in some])
        if "b" in asked[-1]:
            raise ValueError("b is odd")
        return [cutting.outcome(unit) for unit in some]

    report = process_pending(
        lake, cutting.stage, lambda some: together_or_one_by_one(some, together), partition=BATCH, run_id="r1"
    )
    assert asked == [["a", "b"], ["a"], ["b"], ["c"]]
    assert set(clips(lake)) == {"a_0", "c_0"}
    assert attempts(lake) == [failed("b", ValueError("b is odd"))]
    assert report.units == units(done=2, failed=1)


# --- when the run stops --------------------------------------------------------------------------------------


def full_disk() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def raises(cutting: Cutting, units: list[Unit]) -> Iterator[Outcome]:
    """Lets an error rise, as it comes."""
    for unit in units:
        cutting.given.append(unit.key)
        yield cutting.outcome(unit)


def raises_one_by_one(cutting: Cutting, units: list[Unit]) -> Iterator[Outcome]:
    return cutting(units)


def returns_failed(cutting: Cutting, units: list[Unit]) -> Iterator[Outcome]:
    for unit in units:
        cutting.given.append(unit.key)
        error = cutting.faults.get(unit.key)
        yield cutting.outcome(unit) if error is None else Failed(unit, error)


@pytest.mark.parametrize("compute", [raises, raises_one_by_one, returns_failed])
def test_a_fault_of_the_system_ends_the_run_keeps_what_was_done_and_the_next_run_goes_on(lake, cutting, compute):
    videos(lake, {"a": "1 red", "b": "odd", "c": "1 green", "d": "1 white", "e": "1 blue"})
    cutting.faults = {"b": ValueError("b is odd"), "d": full_disk()}
    if compute is raises:
        videos(lake, {"a": "1 red", "c": "1 green", "d": "1 white", "e": "1 blue"})

    def run(run_id: str) -> Report:
        return process_pending(
            lake, cutting.stage, lambda chunk: compute(cutting, chunk), partition=BATCH, run_id=run_id
        )

    with pytest.raises(SystemFault, match=r"no room left on the disk of .* MiB free\. Make room"):
        run("r1")
    failed_before = 0 if compute is raises else 1
    assert set(clips(lake)) == {"a_0", "c_0"}
    assert "e" not in cutting.given
    assert counts(lake, cutting.stage) == units(done=2, failed=failed_before, pending=2)
    assert "d" not in [row["key"] for row in attempts(lake)], "the disk is full through no fault of the video"
    cutting.given.clear()
    del cutting.faults["d"]
    assert run("r2").units == units(done=4, failed=failed_before)
    assert cutting.given == ["d", "e"]


class FullLake(Lake):
    """A lake on a disk without room for this table."""

    table: str

    def upsert(self, table: str, rows: Any) -> Any:
        if table == self.table:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.uri(table))
        return super().upsert(table, rows)


@pytest.mark.parametrize("table", ["clips", "frames", "attempts"])
def test_a_run_whose_last_commit_fails_says_so_and_its_units_stay_pending(lake, cutting, table):
    videos(lake, {"a": "1 red", "b": "1 blue"})
    cutting.faults["b"] = ValueError("torn")
    full = FullLake(root=lake.root, table=table)
    with pytest.raises(SystemFault, match="no room left on the disk"):
        process_pending(full, cutting.stage, cutting, partition=BATCH, run_id="r1")
    is_done = table == "attempts"
    assert counts(lake, cutting.stage) == units(done=int(is_done), pending=2 - is_done)
    assert cutting.run("r2").units == units(done=1, failed=1)


def test_a_fault_of_a_chunk_computed_together_is_not_tried_one_by_one(lake, cutting):
    videos(lake, {"a": "1 red", "b": "1 blue"})
    asked: list[int] = []

    def together(chunk: list[Unit]) -> list[Outcome]:
        asked.append(len(chunk))
        raise ModelUnavailable("the model's files are missing")

    with pytest.raises(ModelUnavailable, match="files are missing"):
        process_pending(
            lake, cutting.stage, lambda chunk: together_or_one_by_one(chunk, together), partition=BATCH, run_id="r1"
        )
    assert asked == [2]
    assert counts(lake, cutting.stage) == units(pending=2)


def many_videos(lake: Lake, number: int) -> list[str]:
    names = [f"v{index:03}" for index in range(number)]
    videos(lake, dict.fromkeys(names, "1 red"))
    return names


def test_twenty_failures_of_one_class_end_the_run_and_the_rest_stays_pending(lake, cutting):
    names = many_videos(lake, 25)
    cutting.faults = {name: ValueError(f"no codec for {name}") for name in names}
    with pytest.raises(TooManyFailures) as raised:
        cutting.run("r1")
    assert str(raised.value) == (
        "clips: 20 of the first 20 inputs ended with ValueError (100%, limit 20%), so the other 5 were not tried and "
        "stay pending. The last: no codec for v019. Fix the cause and run again, or set "
        "INTERNVID_MAX_FAILURE_SHARE=1 to continue regardless"
    )
    assert counts(lake, cutting.stage) == units(failed=20, pending=5)
    cutting.given.clear()
    cutting.faults.clear()
    assert cutting.run("r2").units == units(done=5, failed=20)
    assert cutting.given == names[20:]


def test_nineteen_failures_do_not_end_the_run(lake, cutting):
    cutting.faults = {name: ValueError("no") for name in many_videos(lake, 19)}
    assert cutting.run().units == units(failed=19)


def test_failures_are_counted_by_their_class(lake, cutting):
    names = many_videos(lake, 24)
    cutting.faults = {name: (ValueError, KeyError)[index % 2]("no") for index, name in enumerate(names)}
    assert cutting.run().units == units(failed=24)


def test_many_failures_end_the_run_only_where_they_are_more_than_a_fifth(lake, cutting):
    names = many_videos(lake, 101)
    cutting.faults = {name: ValueError("no") for index, name in enumerate(names) if index % 5 == 4}
    assert cutting.run("r1").units == units(done=81, failed=20)
    videos(lake, dict.fromkeys(names, "1 blue"))
    cutting.faults[names[-1]] = ValueError("no")
    with pytest.raises(TooManyFailures, match="21 of the first 101 inputs"):
        cutting.run("r2")


def test_failures_that_are_facts_about_their_inputs_never_end_the_run(lake, cutting):
    cutting.faults = {name: RemovedVideo("This video has been removed") for name in many_videos(lake, 30)}
    assert cutting.run().units == units(failed=30)


def test_no_share_of_failures_ends_the_run_where_the_limit_is_one(lake, cutting):
    cutting.faults = {name: ValueError("no") for name in many_videos(lake, 30)}
    assert cutting.run(policy=FailurePolicy(max_failure_share=1)).units == units(failed=30)


# --- how often the state is read -------------------------------------------------------------------------------


class CountingLake(Lake):
    """Counts the reads of where the units of clips stand."""

    _reads: int = PrivateAttr(default=0)

    def connect(self, tables: Iterable[str] | None = None, **how: Any) -> duckdb.DuckDBPyConnection:
        tables = None if tables is None else list(tables)
        self._reads += tables is not None and {"raw_videos", "attempts"} <= set(tables)
        return super().connect(tables, **how)


def test_the_state_is_read_once_a_pass(tmp_path: Path):
    lake = CountingLake(root=str(tmp_path / "counting"))
    lake.create_tables()
    cutting = Cutting(lake)
    videos(lake, {"a": "1 red", "b": "1 blue"})
    cutting.run("r1")
    assert lake._reads == 2, "before the work, and to see that nothing is left"
    cutting.run("r2")
    assert lake._reads == 3, "nothing to do"
    videos(lake, {"a": "1 red"})
    cutting.run("r3")
    assert lake._reads == 5, "rows were removed, which may leave something to do"


# --- what is skipped --------------------------------------------------------------------------------------------


def test_a_skipped_unit_has_its_reason_recorded_and_rows_from_before_are_removed(lake, cutting):
    videos(lake, {"a": "2 red", "b": "1 blue"})
    cutting.run("r1")
    videos(lake, {"a": "2 grey", "b": "1 blue"})
    cutting.skips["a"] = "nobody wants it"
    report = cutting.run("r2")
    assert rows(report) == ({}, {}, {"clips": 2, "frames": 2})
    assert clips(lake) == {"b_0": ("blue by cut/1", "r1")}
    assert attempts(lake) == [
        failed("a", ValueError(), run_id="r2")
        | {"outcome": "skipped", "error_class": "Unwanted", "message": "nobody wants it", "tries": 0}
    ]
    assert report.units == units(done=1, skipped=1)
    cutting.given.clear()
    cutting.run("r3")
    assert cutting.given == []


def test_a_unit_that_its_statement_skips_is_recorded_without_being_computed(lake):
    made = dict.fromkeys(CLIPS.arrow.names) | {"ingest_batch": BATCH, "digest": "d", "video_id": "v"}
    rows = [made | {"clip_id": "c1", "provenance": "p1"}, made | {"clip_id": "c2", "provenance": "p2"}]
    lake.upsert("clips", pa.Table.from_pylist(rows, schema=CLIPS.arrow))
    stage = Stage("clip_captions", "clip_captions", (Output(CLIP_CAPTIONS, {"": "s/1"}),), chunk_size=2)
    report = process_pending(lake, stage, lambda some: pytest.fail("computed"), partition=BATCH, run_id="r1")
    assert report.units == units(skipped=2)
    said = lake.polars("attempts").sort("key").select("stage", "key", "outcome", "error_class", "message").rows()
    text = "none of its frames has a caption"
    assert said == [("clip_captions", key, "skipped", "NothingToDo", text) for key in ("c1", "c2")]


# --- two units, one row -----------------------------------------------------------------------------------------


def shared_rows(lake: Lake) -> Callable[[list[Unit]], Iterator[Outcome]]:
    """Rows are known by content, as stored files are: of two videos with one content the second is a duplicate."""

    def outcome(unit: Unit) -> Outcome:
        content = lake.fetch("raw_videos", [unit.key], ["sha256"])["sha256"][0].as_py()
        there = lake.polars("clips", columns=["clip_id", "video_id"]).filter(pl.col("clip_id") == content).rows()
        if there and there[0][1] != unit.key:
            return Skipped(unit, "Duplicate", f"the same as {there[0][1]}", related_key=content)
        frame = frame_row(f"{content}_f", unit.key, content.encode())
        return Done(unit, (Rows.of([clip_row(content, unit.key, "")], CLIPS), Rows.of([frame], FRAMES)))

    return lambda some: one_by_one(some, outcome)


def owners(lake: Lake) -> dict[str, str]:
    return dict(lake.polars("clips", columns=["clip_id", "video_id"]).rows())


def duplicates(lake: Lake) -> list[tuple[str, str]]:
    return lake.polars("attempts").sort("key").select("key", "related_key").rows()


@pytest.mark.parametrize("batches", [(BATCH, BATCH), (BATCH, OTHER_BATCH)], ids=["one batch", "two batches"])
def test_of_two_units_that_make_the_same_row_the_first_keeps_it_and_the_second_is_decided_next(lake, batches):
    stage, compute = clips_stage(), shared_rows(lake)
    contents = {batch: {} for batch in batches}
    contents[batches[0]]["a"] = contents[batches[1]]["b"] = "red"
    for batch, of_batch in contents.items():
        videos(lake, of_batch, batch)
    for batch in contents:
        report = process_pending(lake, stage, compute, partition=batch, run_id="r1")
        assert report.units["pending"] == 0
    assert owners(lake) == {"red": "a"}
    assert duplicates(lake) == [("b", "red")]
    assert lake.polars("attempts").select("outcome", "error_class", "message", "tries").rows() == [
        ("skipped", "Duplicate", "the same as a", 0)
    ]
    assert counts(lake, stage) == units(done=1, skipped=1)


def test_a_duplicate_takes_over_within_the_run_in_which_its_original_goes(lake):
    stage, compute = clips_stage(), shared_rows(lake)
    videos(lake, {"a": "red", "b": "red"})
    process_pending(lake, stage, compute, partition=BATCH, run_id="r1")
    videos(lake, {"a": "blue", "b": "red"})
    report = process_pending(lake, stage, compute, partition=BATCH, run_id="r2")
    assert owners(lake) == {"blue": "a", "red": "b"}
    assert duplicates(lake) == []
    assert report.units == units(done=2)


def test_a_duplicate_in_another_batch_is_pending_once_its_original_is_gone(lake):
    stage, compute = clips_stage(), shared_rows(lake)
    videos(lake, {"a": "red"}, BATCH)
    videos(lake, {"b": "red"}, OTHER_BATCH)
    for batch in (BATCH, OTHER_BATCH):
        process_pending(lake, stage, compute, partition=batch, run_id="r1")
    assert pending_partitions(lake, stage) == []
    videos(lake, {"a": "blue"}, BATCH)
    process_pending(lake, stage, compute, partition=BATCH, run_id="r2")
    assert pending_partitions(lake, stage) == [OTHER_BATCH]
    process_pending(lake, stage, compute, partition=OTHER_BATCH, run_id="r3")
    assert owners(lake) == {"blue": "a", "red": "b"}
    assert counts(lake, stage) == units(done=2)


def test_two_units_that_swap_their_contents_swap_their_rows(lake):
    stage, compute = clips_stage(), shared_rows(lake)
    videos(lake, {"a": "red", "b": "blue"})
    process_pending(lake, stage, compute, partition=BATCH, run_id="r1")
    videos(lake, {"a": "blue", "b": "red"})
    report = process_pending(lake, stage, compute, partition=BATCH, run_id="r2")
    assert owners(lake) == {"blue": "a", "red": "b"}
    assert report.units == units(done=2)


# --- what a compute may not do, and what a death leaves -----------------------------------------------------------


def test_a_compute_that_answers_for_too_few_units_is_an_error(lake, cutting):
    videos(lake, {"a": "1 red", "b": "1 blue"})
    with pytest.raises(RuntimeError, match="clips: its function returned 1 outcomes for 2 units"):
        process_pending(lake, cutting.stage, lambda some: list(cutting(some))[:1], partition=BATCH, run_id="r1")


def test_rows_with_unknown_or_missing_columns_are_an_error():
    with pytest.raises(ValueError, match="clips: unknown or missing columns: colour, video_id"):
        Rows.of([{name: None for name in CLIPS.content.names if name != "video_id"} | {"colour": "red"}], CLIPS)


class Death(BaseException):
    """Stands for the end of the process."""


def test_a_unit_of_which_only_some_slices_were_committed_is_pending_and_then_whole(lake, cutting):
    videos(lake, {"a": "1 red", "b": "1 blue"})
    slices = 5
    slice_bytes = BYTES_PER_COMMIT // 3  # the fourth slice begins a second commit

    def long_video(dies_after: int) -> Callable[[list[Unit]], Iterator[Outcome]]:
        def batches(unit: Unit) -> Iterator[pa.RecordBatch]:
            for index in range(slices):
                if index == dies_after:
                    raise Death
                row = frame_row(f"a_{index}_f", unit.key, bytes([index]) * slice_bytes)
                yield from Rows.of([row], FRAMES).batches

        def outcome(unit: Unit) -> Outcome:
            if unit.key == "b":
                return cutting.outcome(unit)
            clip = Rows.of([clip_row("a_0", unit.key, "long")], CLIPS)
            return Done(unit, (clip, Rows(slices, batches(unit))))

        return lambda some: one_by_one(some, outcome)

    with pytest.raises(Death):
        process_pending(lake, cutting.stage, long_video(dies_after=4), partition=BATCH, run_id="r1")
    assert (set(clips(lake)), set(frames(lake))) == ({"a_0"}, {"a_0_f", "a_1_f", "a_2_f"})
    assert counts(lake, cutting.stage, partition=BATCH) == units(pending=2)

    report = process_pending(lake, cutting.stage, long_video(dies_after=99), partition=BATCH, run_id="r2")
    assert rows(report) == ({"clips": 1, "frames": 3}, {}, {})
    assert report.units == units(done=2)
    assert {key: (jpeg[:1], len(jpeg), run) for key, (jpeg, run) in frames(lake).items() if key[0] == "a"} == {
        f"a_{index}_f": (bytes([index]), slice_bytes, "r1" if index < 3 else "r2") for index in range(slices)
    }


def test_a_death_between_the_commits_of_two_outputs_leaves_the_unit_pending(lake, cutting):
    videos(lake, {"a": "2 red"})
    cutting.run("r1")
    lake.delete("frames", ["a_0_f", "a_1_f"])  # as if the process had died after the commit of clips
    assert counts(lake, cutting.stage, partition=BATCH) == units(pending=1)
    report = cutting.run("r2")
    assert rows(report) == ({"frames": 2}, {}, {})
    assert clips(lake) == {"a_0": ("red by cut/1", "r1"), "a_1": ("red by cut/1", "r1")}


# --- everything at once -----------------------------------------------------------------------------------------


@dataclass
class Expected:
    """What the tables have to hold, by the simplest rules: each row with its run, and what it was made from."""

    clips: dict[str, tuple[str, str]] = field(default_factory=dict)
    frames: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    clip_recipe: dict[str, tuple] = field(default_factory=dict)
    frame_recipe: dict[str, tuple] = field(default_factory=dict)
    tries: dict[str, tuple[tuple, int, str]] = field(default_factory=dict)

    def run(self, cutting: Cutting, contents: dict[str, str], released: set[str], run_id: str) -> None:
        for video_id, content in contents.items():
            recipe = (content, cutting.cut, cutting.frame)
            wanted_clips = cutting.clips_of(video_id, content)
            wanted_frames = cutting.frames_of(video_id, content)
            is_done = all(self.clip_recipe.get(key) == recipe[:2] for key in wanted_clips)
            is_done &= all(self.frame_recipe.get(key) == recipe for key in wanted_frames)
            of_recipe, tries, _ = self.tries.get(video_id, ((), 0, ""))
            is_held = of_recipe == recipe and video_id not in released
            if not is_done and is_held:
                continue
            if not is_done and video_id in cutting.faults:
                self.tries[video_id] = (recipe, tries + 1 if of_recipe == recipe else 1, run_id)
                continue
            self.tries.pop(video_id, None)
            self._replace(self.clips, self.clip_recipe, video_id, wanted_clips, recipe[:2], run_id)
            self._replace(self.frames, self.frame_recipe, video_id, wanted_frames, recipe, run_id)
        for content_of, recipes in ((self.clips, self.clip_recipe), (self.frames, self.frame_recipe)):
            for key in [key for key in content_of if key.split("_")[0] not in contents]:
                del content_of[key], recipes[key]
        self.tries = {video_id: tries for video_id, tries in self.tries.items() if video_id in contents}

    @staticmethod
    def _replace(rows: dict, recipes: dict, video_id: str, wanted: dict, recipe: tuple, run_id: str) -> None:
        for key in [key for key in rows if key.split("_")[0] == video_id and key not in wanted]:
            del rows[key], recipes[key]
        for key, value in wanted.items():
            if recipes.get(key) != recipe:
                rows[key], recipes[key] = (value, run_id), recipe


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_whatever_happens_in_whatever_order_the_tables_hold_what_they_should_and_counts_add_up(lake, cutting, seed):
    rng = random.Random(seed)
    contents: dict[str, str] = {}
    expected = Expected()
    names = [f"v{number}" for number in range(5)]
    for number in range(15):
        released: set[str] = set()
        for _ in range(rng.randint(1, 3)):
            name = rng.choice(names)
            match rng.choice(
                [
                    "synthetic_video",
                    "synthetic_video",
                    "synthetic_video",
                    "gone",
                    "fault",
                    "fault",
                    "healed",
                    "cut",
                    "frame",
                    "row",
                    "retry",
                ]
            ):
                case "synthetic_video":
                    contents[name] = f"{rng.randint(1, 3)} {rng.choice(['red', 'blue'])}"
                case "gone":
                    contents.pop(name, None)
                case "fault":
                    cutting.faults[name] = ValueError(f"fault {number}")
                case "healed":
                    cutting.faults.pop(name, None)
                case "cut":
                    cutting.cut = f"cut/{rng.randint(1, 2)}"
                case "frame":
                    cutting.frame = f"frames/{rng.randint(1, 2)}"
                case "row" if expected.clips:
                    key = rng.choice(sorted(expected.clips))
                    lake.delete("clips", [key])
                    del expected.clips[key], expected.clip_recipe[key]
                case "retry":
                    release(lake)
                    released = set(names)
        videos(lake, contents)
        report = cutting.run(f"r{number}")
        expected.run(cutting, contents, released, f"r{number}")
        assert clips(lake) == expected.clips
        assert frames(lake) == expected.frames
        tried = lake.polars("attempts").select("key", "tries", "run_id").rows()
        assert sorted(tried) == sorted((key, tries, run) for key, (_, tries, run) in expected.tries.items())
        failed_now = len(expected.tries)
        assert report.units == units(done=len(contents) - failed_now, failed=failed_now)
        assert report.units == counts(lake, cutting.stage, partition=BATCH) == counts(lake, cutting.stage)


# --- tables that keep history, units that are parameters --------------------------------------------------------------


def train_step(recipe: str) -> Stage:
    """Makes one row of checkpoints a run: its unit is parameters, and rests on the rows of a subset."""
    parameters = pa.table({"model": ["tiny|all"], "subset": ["all"]})
    return Stage(
        "checkpoints", "checkpoints", (Output(CHECKPOINTS, {"": recipe}),), chunk_size=1, parameters=parameters
    )


def trained(lake: Lake, recipe: str) -> Report:
    def compute(units: list[Unit]) -> Iterator[Outcome]:
        for unit in units:
            row = dict.fromkeys(CHECKPOINTS.content.names) | {"checkpoint_id": unit.provenances[0][:8], "subset": "all"}
            yield Done(unit, (Rows.of([row], CHECKPOINTS),))

    return process_pending(lake, train_step(recipe), compute, partition="tiny|all", run_id=recipe)


def subset_rows(lake: Lake, **content_of: str) -> None:
    rows = [
        dict.fromkeys(SUBSETS.column_names)
        | {"subset_clip_id": f"all/{clip}", "subset": "all", "clip_id": clip, "split": "train", "content": content}
        | {"provenance": content}
        for clip, content in content_of.items()
    ]
    lake.upsert("subsets", pa.Table.from_pylist(rows, schema=SUBSETS.arrow))


def test_a_table_that_keeps_history_keeps_the_rows_that_a_newer_one_supersedes(lake):
    subset_rows(lake, a="1", b="1")
    assert trained(lake, "recipe 1").added == {"checkpoints": 1}
    assert trained(lake, "recipe 1").processed == 0
    assert trained(lake, "recipe 2").added == {"checkpoints": 1}
    subset_rows(lake, b="2")
    report = trained(lake, "recipe 2")
    assert (report.added, report.removed, report.units["done"]) == ({"checkpoints": 1}, {}, 1)
    assert lake.polars("checkpoints")["model"].to_list() == ["tiny|all"] * 3


def test_a_declared_unit_without_input_is_skipped_with_its_reason(lake):
    assert trained(lake, "recipe 1").units == units(skipped=1)
    (attempt,) = lake.polars("attempts").to_dicts()
    assert (attempt["partition"], attempt["message"]) == (
        "tiny|all",
        "its subset has no clip: materialise it first",
    )


def test_attempts_of_other_partitions_are_left_alone(lake):
    trained(lake, "recipe 1")
    other = pa.table({"model": ["tiny|div"], "subset": ["div"]})
    stage = Stage("checkpoints", "checkpoints", train_step("recipe 1").outputs, chunk_size=1, parameters=other)
    process_pending(lake, stage, lambda units: [], partition="tiny|div", run_id="r")
    assert sorted(lake.polars("attempts")["partition"]) == ["tiny|all", "tiny|div"]
