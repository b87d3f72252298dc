"""The one function that does incremental work, on real tables: what it computes, keeps, removes, holds back and says.

The step under test makes clips and frames of videos, as the real one does, but by a rule: a video whose content is
"3 red" has three red clips, each with one frame.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pyarrow as pa
import pytest

from resources.lake import Lake
from resources.refresh import (
    BYTES_PER_COMMIT,
    Compute,
    Done,
    Outcome,
    Output,
    Report,
    Rows,
    Skipped,
    Step,
    Unit,
    _row_digests,
    batch_counts_spec,
    counts,
    one_by_one,
    pending_batches,
    refresh,
    together_or_one_by_one,
    work_off,
)
from resources.schema import CHECKPOINTS, CLIP_CAPTIONS, CLIPS, FRAMES, RAW_VIDEOS, SUBSETS

BATCH = "2026-01-01-0001"
OTHER_BATCH = "2026-01-01-0002"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(root=str(tmp_path / "lake"))
    lake.create_tables()
    return lake


# --- a step by a rule -------------------------------------------------------------------------------------------


def clips_step(cut: str = "cut/1", frame: str = "frames/1") -> Step:
    return Step("clips", "clips_units", (Output(CLIPS, {"": cut}), Output(FRAMES, {"": frame})), chunk=2)


def videos(lake: Lake, contents: Mapping[str, str], batch: str = BATCH) -> None:
    """Makes these the batch's videos: video_id -> content, which stands in sha256, as what clips rest on."""
    there = lake.polars("raw_videos", only={"ingest_batch": batch})["video_id"].to_list()
    lake.delete("raw_videos", [video_id for video_id in there if video_id not in contents])
    rows = [
        {
            "video_id": video_id,
            "source_id": video_id,
            "path": f"/films/{video_id}.mp4",
            "sha256": content,
            "ingest_batch": batch,
            "provenance": content,
        }
        for video_id, content in contents.items()
    ]
    lake.upsert("raw_videos", pa.Table.from_pylist(rows, schema=RAW_VIDEOS.arrow))


@dataclass
class Cutting:
    """Makes the rows of a video by the rule, and notes which it was asked for."""

    lake: Lake
    cut: str = "cut/1"
    frame: str = "frames/1"
    faults: dict[str, Exception] = field(default_factory=dict)
    skips: dict[str, str] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)

    @property
    def step(self) -> Step:
        return clips_step(self.cut, self.frame)

    def __call__(self, units: list[Unit]) -> Iterator[Outcome]:
        self.given += [unit.key for unit in units]
        return one_by_one(units, self.outcome)

    def outcome(self, unit: Unit) -> Outcome:
        if unit.key in self.faults:
            raise self.faults[unit.key]
        if unit.key in self.skips:
            return Skipped(unit, "Unwanted", self.skips[unit.key])
        content = self.lake.fetch("raw_videos", [unit.key], ["sha256"])["sha256"][0].as_py()
        clips = [_clip(key, unit.key, text) for key, text in self.clips_of(unit.key, content).items()]
        frames = [_frame(key, unit.key, jpeg) for key, jpeg in self.frames_of(unit.key, content).items()]
        return Done(unit, (Rows.of(clips, CLIPS), Rows.of(frames, FRAMES)))

    def clips_of(self, video_id: str, content: str) -> dict[str, str]:
        number, colour = content.split()
        return {f"{video_id}_{index}": f"{colour} by {self.cut}" for index in range(int(number))}

    def frames_of(self, video_id: str, content: str) -> dict[str, bytes]:
        return {
            f"{key}_f": f"{text} and {self.frame}".encode() for key, text in self.clips_of(video_id, content).items()
        }

    def run(self, run_id: str = "r1", batch: str = BATCH) -> Report:
        return work_off(self.lake, self.step, self, partition=batch, run_id=run_id)


def _clip(clip_id: str, video_id: str, boundary: str) -> dict[str, Any]:
    return dict.fromkeys(CLIPS.content.names) | {"clip_id": clip_id, "video_id": video_id, "boundary": boundary}


def _frame(frame_id: str, video_id: str, jpeg: bytes) -> dict[str, Any]:
    clip_id = frame_id.removesuffix("_f")
    return dict.fromkeys(FRAMES.content.names) | {
        "frame_id": frame_id,
        "clip_id": clip_id,
        "video_id": video_id,
        "jpeg": jpeg,
    }


@pytest.fixture
def cutting(lake: Lake) -> Cutting:
    return Cutting(lake)


def clips(lake: Lake) -> dict[str, tuple[str, str]]:
    """clip_id -> (boundary, run that wrote it)."""
    rows = lake.polars("clips", columns=["clip_id", "boundary", "run_id"]).rows()
    assert len({key for key, *_ in rows}) == len(rows), "a clip is there twice"
    return {key: (boundary, run_id) for key, boundary, run_id in rows}


def frames(lake: Lake) -> dict[str, tuple[bytes, str]]:
    """frame_id -> (jpeg, run that wrote it)."""
    rows = lake.polars("frames", columns=["frame_id", "jpeg", "run_id"]).rows()
    assert len({key for key, *_ in rows}) == len(rows), "a frame is there twice"
    return {key: (jpeg, run_id) for key, jpeg, run_id in rows}


def attempts(lake: Lake) -> list[dict[str, Any]]:
    """What the table says, without times."""
    rows = lake.polars("attempts").sort("key").drop("written_at", "provenance", "attempt_id", "label").to_dicts()
    return [row | {"next_try_at": row["next_try_at"] is not None} for row in rows]


def failed(key: str, error: Exception, *, tries: int = 1, run_id: str = "r1", again: bool = False) -> dict[str, Any]:
    return {
        "stage": "clips",
        "key": key,
        "outcome": "failed",
        "error_class": type(error).__name__,
        "message": str(error),
        "related_key": None,
        "tries": tries,
        "next_try_at": again,
        "partition": BATCH,
        "run_id": run_id,
    }


def rows(report: Report) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Rows added, changed, removed, by table, where there are any."""
    added, changed, removed = (
        {table: number for table, number in of_kind.items() if number}
        for of_kind in (report.added, report.changed, report.removed)
    )
    return added, changed, removed


def units(*, done: int = 0, failed: int = 0, skipped: int = 0, waiting: int = 0, pending: int = 0) -> dict[str, int]:
    by_state = {"done": done, "failed": failed, "skipped": skipped, "waiting": waiting, "pending": pending}
    return {"total": sum(by_state.values()), **by_state}


def release(lake: Lake) -> None:
    """As `internvid retry` does."""
    failures = lake.polars("attempts").filter(pl.col("outcome") == "failed")
    lake.upsert("attempts", failures.with_columns(next_try_at=pl.lit(datetime.now(UTC))))


def pass_time(lake: Lake, minutes: float) -> None:
    """Lets the next try of every failure come nearer."""
    rows = lake.polars("attempts")
    lake.upsert("attempts", rows.with_columns(next_try_at=pl.col("next_try_at") - timedelta(minutes=minutes)))


# --- what is computed -------------------------------------------------------------------------------------------


def test_every_unit_is_computed_and_its_rows_say_what_made_them(lake, cutting):
    videos(lake, {"a": "2 red", "b": "1 blue", "c": "1 green"})
    report = cutting.run()
    assert rows(report) == ({"clips": 4, "frames": 4}, {}, {})
    assert (report.worked_on, report.units) == (3, units(done=3))
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
    assert (rows(report), report.worked_on) == (({}, {}, {}), 0)
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
    assert counts(lake, cutting.step, partition=BATCH) == units(done=1, pending=1)
    report = cutting.run("r2")
    assert cutting.given == ["a"]
    assert rows(report) == ({"frames": 1}, {}, {})
    assert {key: run for key, (_, run) in frames(lake).items()} == {
        "a_0_f": "r1",
        "a_1_f": "r2",
        "a_2_f": "r1",
        "b_0_f": "r1",
    }


def test_other_batches_are_left_alone(lake, cutting):
    videos(lake, {"a": "1 red"})
    videos(lake, {"b": "1 blue"}, OTHER_BATCH)
    assert pending_batches(lake, cutting.step) == [BATCH, OTHER_BATCH]
    cutting.run("r1", BATCH)
    assert cutting.given == ["a"]
    assert pending_batches(lake, cutting.step) == [OTHER_BATCH]
    cutting.run("r2", OTHER_BATCH)
    assert pending_batches(lake, cutting.step) == []
    videos(lake, {}, BATCH)
    assert pending_batches(lake, cutting.step) == [BATCH], "rows to remove are work, too"
    cutting.run("r3", BATCH)
    assert clips(lake) == {"b_0": ("blue by cut/1", "r2")}


# --- what fails -------------------------------------------------------------------------------------------------


def test_a_failing_unit_becomes_one_attempt_with_its_original_error_and_the_others_go_on(lake, cutting):
    videos(lake, {"a": "1 red", "b": "1 blue", "c": "1 green"})
    cutting.faults["b"] = ValueError("moov atom not found: 'b' [0x7f]")
    report = cutting.run()
    assert set(clips(lake)) == {"a_0", "c_0"}
    assert attempts(lake) == [failed("b", cutting.faults["b"])]
    assert lake.polars("attempts")["label"].to_list() == ["/films/b.mp4"]
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
        assert counts(lake, cutting.step, partition=BATCH) == units(pending=1)
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

    report = work_off(
        lake, cutting.step, lambda some: together_or_one_by_one(some, together), partition=BATCH, run_id="r1"
    )
    assert asked == [["a", "b"], ["a"], ["b"], ["c"]]
    assert set(clips(lake)) == {"a_0", "c_0"}
    assert attempts(lake) == [failed("b", ValueError("b is odd"))]
    assert report.units == units(done=2, failed=1)


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
    step = Step("clip_captions", "clip_captions_units", (Output(CLIP_CAPTIONS, {"": "s/1"}),), chunk=2)
    report = work_off(lake, step, lambda some: pytest.fail("computed"), partition=BATCH, run_id="r1")
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
        frame = _frame(f"{content}_f", unit.key, content.encode())
        return Done(unit, (Rows.of([_clip(content, unit.key, "")], CLIPS), Rows.of([frame], FRAMES)))

    return lambda some: one_by_one(some, outcome)


def owners(lake: Lake) -> dict[str, str]:
    return dict(lake.polars("clips", columns=["clip_id", "video_id"]).rows())


def duplicates(lake: Lake) -> list[tuple[str, str]]:
    return lake.polars("attempts").sort("key").select("key", "related_key").rows()


@pytest.mark.parametrize("batches", [(BATCH, BATCH), (BATCH, OTHER_BATCH)], ids=["one batch", "two batches"])
def test_of_two_units_that_make_the_same_row_the_first_keeps_it_and_the_second_is_decided_next(lake, batches):
    step, compute = clips_step(), shared_rows(lake)
    contents = {batch: {} for batch in batches}
    contents[batches[0]]["a"] = contents[batches[1]]["b"] = "red"
    for batch, of_batch in contents.items():
        videos(lake, of_batch, batch)
    for batch in contents:
        report = work_off(lake, step, compute, partition=batch, run_id="r1")
        assert report.units["pending"] == 0
    assert owners(lake) == {"red": "a"}
    assert duplicates(lake) == [("b", "red")]
    assert lake.polars("attempts").select("outcome", "error_class", "message", "tries").rows() == [
        ("skipped", "Duplicate", "the same as a", 0)
    ]
    assert counts(lake, step) == units(done=1, skipped=1)


def test_a_duplicate_takes_over_within_the_run_in_which_its_original_goes(lake):
    step, compute = clips_step(), shared_rows(lake)
    videos(lake, {"a": "red", "b": "red"})
    work_off(lake, step, compute, partition=BATCH, run_id="r1")
    videos(lake, {"a": "blue", "b": "red"})
    report = work_off(lake, step, compute, partition=BATCH, run_id="r2")
    assert owners(lake) == {"blue": "a", "red": "b"}
    assert duplicates(lake) == []
    assert report.units == units(done=2)


def test_a_duplicate_in_another_batch_is_pending_once_its_original_is_gone(lake):
    step, compute = clips_step(), shared_rows(lake)
    videos(lake, {"a": "red"}, BATCH)
    videos(lake, {"b": "red"}, OTHER_BATCH)
    for batch in (BATCH, OTHER_BATCH):
        work_off(lake, step, compute, partition=batch, run_id="r1")
    videos(lake, {"a": "blue"}, BATCH)
    work_off(lake, step, compute, partition=BATCH, run_id="r2")
    assert pending_batches(lake, step) == [OTHER_BATCH]
    work_off(lake, step, compute, partition=OTHER_BATCH, run_id="r3")
    assert owners(lake) == {"blue": "a", "red": "b"}
    assert counts(lake, step) == units(done=2)


def test_two_units_that_swap_their_contents_swap_their_rows(lake):
    step, compute = clips_step(), shared_rows(lake)
    videos(lake, {"a": "red", "b": "blue"})
    work_off(lake, step, compute, partition=BATCH, run_id="r1")
    videos(lake, {"a": "blue", "b": "red"})
    report = work_off(lake, step, compute, partition=BATCH, run_id="r2")
    assert owners(lake) == {"blue": "a", "red": "b"}
    assert report.units == units(done=2)


# --- what a compute may not do, and what a death leaves -----------------------------------------------------------


def test_a_compute_that_answers_for_too_few_units_is_an_error(lake, cutting):
    videos(lake, {"a": "1 red", "b": "1 blue"})
    with pytest.raises(RuntimeError, match="clips: 2 inputs were given, 1 outcomes came back"):
        work_off(lake, cutting.step, lambda some: list(cutting(some))[:1], partition=BATCH, run_id="r1")


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
                row = _frame(f"a_{index}_f", unit.key, bytes([index]) * slice_bytes)
                yield from Rows.of([row], FRAMES).batches

        def outcome(unit: Unit) -> Outcome:
            if unit.key == "b":
                return cutting.outcome(unit)
            clip = Rows.of([_clip("a_0", unit.key, "long")], CLIPS)
            return Done(unit, (clip, Rows(slices, batches(unit))))

        return lambda some: one_by_one(some, outcome)

    with pytest.raises(Death):
        work_off(lake, cutting.step, long_video(dies_after=4), partition=BATCH, run_id="r1")
    assert (set(clips(lake)), set(frames(lake))) == ({"a_0"}, {"a_0_f", "a_1_f", "a_2_f"})
    assert counts(lake, cutting.step, partition=BATCH) == units(pending=2)

    report = work_off(lake, cutting.step, long_video(dies_after=99), partition=BATCH, run_id="r2")
    assert rows(report) == ({"clips": 1, "frames": 3}, {}, {})
    assert report.units == units(done=2)
    assert {key: (jpeg[:1], len(jpeg), run) for key, (jpeg, run) in frames(lake).items() if key[0] == "a"} == {
        f"a_{index}_f": (bytes([index]), slice_bytes, "r1" if index < 3 else "r2") for index in range(slices)
    }


def test_a_death_between_the_commits_of_two_outputs_leaves_the_unit_pending(lake, cutting):
    videos(lake, {"a": "2 red"})
    cutting.run("r1")
    lake.delete("frames", ["a_0_f", "a_1_f"])  # as if the process had died after the commit of clips
    assert counts(lake, cutting.step, partition=BATCH) == units(pending=1)
    report = cutting.run("r2")
    assert rows(report) == ({"frames": 2}, {}, {})
    assert clips(lake) == {"a_0": ("red by cut/1", "r1"), "a_1": ("red by cut/1", "r1")}


# --- what Dagster is told ---------------------------------------------------------------------------------------


def materialize(lake: Lake, step: Step, compute: Compute) -> dict[str, dict[str, Any]]:
    """Runs the step as an asset; returns the metadata of each table, with its data version and its check's verdict."""

    @dg.multi_asset(
        specs=[dg.AssetSpec("clips"), dg.AssetSpec("frames")],
        partitions_def=dg.StaticPartitionsDefinition([BATCH]),
        check_specs=[batch_counts_spec("clips"), batch_counts_spec("frames")],
    )
    def clips_and_frames(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        yield from refresh(context, lake, step, compute)

    result = dg.materialize([clips_and_frames], partition_key=BATCH, instance=dg.DagsterInstance.ephemeral())
    checks = {check.asset_key.to_user_string(): check.passed for check in result.get_asset_check_evaluations()}
    told = {}
    for event in result.get_asset_materialization_events():
        name = event.materialization.asset_key.to_user_string()
        metadata = {key: value.value for key, value in event.materialization.metadata.items()}
        assert event.materialization.tags is not None
        version = event.materialization.tags["dagster/data_version"]
        told[name] = metadata | {"data_version": version, "check": checks[name]}
    return told


def numbers(told: dict[str, Any]) -> dict[str, Any]:
    names = ("rows_added", "rows_changed", "rows_removed", "rows_unchanged", "dagster/partition_row_count")
    return {name.split("/")[-1].removeprefix("rows_"): told[name] for name in names}


def test_a_run_tells_exactly_how_many_rows_were_added_changed_removed_and_left(lake, cutting):
    videos(lake, {"a": "3 red", "b": "2 blue", "c": "1 green"})
    videos(lake, {"elsewhere": "4 red"}, OTHER_BATCH)
    cutting.run("r0", OTHER_BATCH)
    first = materialize(lake, cutting.step, cutting)
    assert numbers(first["clips"]) == dict(added=6, changed=0, removed=0, unchanged=0, partition_row_count=6)
    videos(lake, {"a": "3 red", "b": "1 pink", "d": "2 white"})
    second = materialize(lake, cutting.step, cutting)
    for table in ("clips", "frames"):
        assert numbers(second[table]) == dict(added=2, changed=1, removed=2, unchanged=3, partition_row_count=6)
        assert second[table]["dagster/row_count"] == 10
        assert {name: second[table][f"units_{name}"] for name in units()} == units(done=3)
        assert second[table]["units_worked_on"] == 2
        assert second[table]["check"] is True
    assert (second["clips"]["step_version"], second["frames"]["step_version"]) == ("cut/1", "frames/1")


def test_the_data_version_is_equal_exactly_for_equal_content(lake, cutting):
    videos(lake, {"a": "2 red", "b": "1 blue"})
    first = materialize(lake, cutting.step, cutting)
    assert first["clips"]["data_version"] != first["frames"]["data_version"]

    def versions() -> list[str]:
        told = materialize(lake, cutting.step, cutting)
        return [told[table]["data_version"] for table in ("clips", "frames")]

    same = [first[table]["data_version"] for table in ("clips", "frames")]
    assert versions() == same
    lake.delete("clips", ["a_0"])
    assert versions() == same, "made again with the same content"
    videos(lake, {"a": "2 pink", "b": "1 blue"})
    assert all(now != before for now, before in zip(versions(), same, strict=True))
    videos(lake, {"a": "2 red", "b": "1 blue"})
    assert versions() == same, "and back"
    cutting.frame = "frames/2"
    clips_version, frames_version = versions()
    assert clips_version == same[0]
    assert frames_version != same[1]


def test_a_unit_left_pending_fails_the_check(lake, cutting):
    videos(lake, {"a": "1 red", "b": "1 blue"})

    whole = cutting.outcome

    def outcome(unit: Unit) -> Outcome:
        """Says of "b" that it has one frame more than it gives."""
        done = whole(unit)
        assert isinstance(done, Done)
        of_clips, of_frames = done.rows
        return Done(unit, (of_clips, Rows(of_frames.count + (unit.key == "b"), of_frames.batches)))

    told = materialize(lake, cutting.step, lambda some: one_by_one(some, outcome))
    for table in ("clips", "frames"):
        assert told[table]["check"] is False
        assert {name: told[table][f"units_{name}"] for name in units()} == units(done=1, pending=1)


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
        for rows, recipes in ((self.clips, self.clip_recipe), (self.frames, self.frame_recipe)):
            for key in [key for key in rows if key.split("_")[0] not in contents]:
                del rows[key], recipes[key]
        self.tries = {video_id: tries for video_id, tries in self.tries.items() if video_id in contents}

    @staticmethod
    def _replace(rows: dict, recipes: dict, video_id: str, wanted: dict, recipe: tuple, run_id: str) -> None:
        for key in [key for key in rows if key.split("_")[0] == video_id and key not in wanted]:
            del rows[key], recipes[key]
        for key, value in wanted.items():
            if recipes.get(key) != recipe:
                rows[key], recipes[key] = (value, run_id), recipe


@pytest.mark.parametrize("seed", range(2))
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
                ["film", "film", "film", "gone", "fault", "fault", "healed", "cut", "frame", "row", "retry"]
            ):
                case "film":
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
        assert report.units == counts(lake, cutting.step, partition=BATCH) == counts(lake, cutting.step)


# --- tables that keep history, units that are declared, vectors -------------------------------------------------------


def train_step(recipe: str) -> Step:
    """Makes one row of checkpoints a run: its unit is declared, and rests on the rows of a subset."""
    declared = pa.table({"model": ["tiny|all"], "subset": ["all"]})
    return Step("checkpoints", "checkpoints_units", (Output(CHECKPOINTS, {"": recipe}),), chunk=1, declared=declared)


def trained(lake: Lake, recipe: str) -> Report:
    def compute(units: list[Unit]) -> Iterator[Outcome]:
        for unit in units:
            row = dict.fromkeys(CHECKPOINTS.content.names) | {"checkpoint_id": unit.provenances[0][:8], "subset": "all"}
            yield Done(unit, (Rows.of([row], CHECKPOINTS),))

    return work_off(lake, train_step(recipe), compute, partition="tiny|all", run_id=recipe)


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
    assert trained(lake, "recipe 1").worked_on == 0
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
    step = Step("checkpoints", "checkpoints_units", train_step("recipe 1").outputs, chunk=1, declared=other)
    work_off(lake, step, lambda units: [], partition="tiny|div", run_id="r")
    assert sorted(lake.polars("attempts")["partition"]) == ["tiny|all", "tiny|div"]


def test_rows_that_differ_in_their_vector_alone_have_different_digests():
    schema = pa.schema([("clip_id", pa.string()), ("vector", pa.list_(pa.float32(), 2))])
    rows = [{"clip_id": "a", "vector": vector} for vector in ([0.0, 1.0], [0.0, 1.0], [1.0, 0.0])]
    first, same, other = _row_digests(pa.RecordBatch.from_pylist(rows, schema=schema))
    assert first == same != other
