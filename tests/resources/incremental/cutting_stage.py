"""A stage that makes clips and frames of videos, as the real one does, but by a rule: a video whose content is "3 red"
has three red clips, each with one frame. And short forms of what the tables and reports hold.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa

from resources.incremental.commits import Report
from resources.incremental.retries import FailurePolicy
from resources.incremental.runner import process_pending
from resources.incremental.stage import Done, Outcome, Output, Rows, Skipped, Stage, Unit, one_by_one
from resources.incremental.state import STATES, count_by_partition
from resources.lake.schema import CLIPS, FRAMES, RAW_VIDEOS
from resources.lake.store import Lake

BATCH = "2026-01-01-0001"
OTHER_BATCH = "2026-01-01-0002"


def clips_stage(cut: str = "cut/1", frame: str = "frames/1") -> Stage:
    return Stage("clips", "clips", (Output(CLIPS, {"": cut}), Output(FRAMES, {"": frame})), chunk_size=2)


def videos(lake: Lake, contents: Mapping[str, str], batch: str = BATCH) -> None:
    """Makes these the batch's videos: video_id -> content, which stands in sha256, as what clips rest on."""
    there = lake.polars("raw_videos", only={"ingest_batch": batch})["video_id"].to_list()
    lake.delete("raw_videos", [video_id for video_id in there if video_id not in contents])
    rows = [
        {
            "video_id": video_id,
            "source_id": video_id,
            "path": f"/videos/{video_id}.mp4",
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
    improvable: dict[str, Exception] = field(default_factory=dict)
    skips: dict[str, str] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)

    @property
    def stage(self) -> Stage:
        return clips_stage(self.cut, self.frame)

    def __call__(self, units: list[Unit]) -> Iterator[Outcome]:
        self.given += [unit.key for unit in units]
        return one_by_one(units, self.outcome)

    def outcome(self, unit: Unit) -> Outcome:
        if unit.key in self.faults:
            raise self.faults[unit.key]
        if unit.key in self.skips:
            return Skipped(unit, "Unwanted", self.skips[unit.key])
        content = self.lake.fetch("raw_videos", [unit.key], ["sha256"])["sha256"][0].as_py()
        clips = [clip_row(key, unit.key, text) for key, text in self.clips_of(unit.key, content).items()]
        frames = [frame_row(key, unit.key, jpeg) for key, jpeg in self.frames_of(unit.key, content).items()]
        rows = Rows.of(clips, CLIPS), Rows.of(frames, FRAMES)
        return Done(unit, rows, improvable=self.improvable.get(unit.key))

    def clips_of(self, video_id: str, content: str) -> dict[str, str]:
        number, colour = content.split()
        return {f"{video_id}_{index}": f"{colour} by {self.cut}" for index in range(int(number))}

    def frames_of(self, video_id: str, content: str) -> dict[str, bytes]:
        return {
            f"{key}_f": f"{text} and {self.frame}".encode() for key, text in self.clips_of(video_id, content).items()
        }

    def run(self, run_id: str = "r1", batch: str = BATCH, policy: FailurePolicy | None = None) -> Report:
        return process_pending(self.lake, self.stage, self, partition=batch, run_id=run_id, policy=policy)


def clip_row(clip_id: str, video_id: str, boundary: str) -> dict[str, Any]:
    return dict.fromkeys(CLIPS.content.names) | {"clip_id": clip_id, "video_id": video_id, "boundary": boundary}


def frame_row(frame_id: str, video_id: str, jpeg: bytes) -> dict[str, Any]:
    clip_id = frame_id.removesuffix("_f")
    return dict.fromkeys(FRAMES.content.names) | {
        "frame_id": frame_id,
        "clip_id": clip_id,
        "video_id": video_id,
        "jpeg": jpeg,
    }


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


def counts(lake: Lake, stage: Stage, *, partition: str | None = None) -> dict[str, int]:
    """The number of the stage's units in each state, of one partition or of all, counted from the tables."""
    rows = count_by_partition(lake, stage, partition or ("", "~"))
    return units(**{state: sum(row[state] for row in rows) for state in STATES})


def units(*, done: int = 0, failed: int = 0, skipped: int = 0, waiting: int = 0, pending: int = 0) -> dict[str, int]:
    by_state = {"done": done, "failed": failed, "skipped": skipped, "waiting": waiting, "pending": pending}
    return {"total": sum(by_state.values()), **by_state}


def release(lake: Lake) -> None:
    """As `internvid retry` does."""
    failures = lake.polars("attempts").filter(pl.col("outcome") == "failed")
    lake.upsert("attempts", failures.with_columns(next_try_at=pl.lit(datetime.now(UTC))))


def set_clock_back(lake: Lake, table: str, days: int) -> None:
    """Makes the rows of the table those that a clock wrote which was so many days ahead."""
    rows = lake.polars(table)
    ahead = [pl.col(name) + timedelta(days=days) for name in ("written_at", "next_try_at")]
    lake.upsert(table, rows.with_columns(ahead))


def pass_time(lake: Lake, minutes: float) -> None:
    """Lets the next try of every failure come nearer."""
    rows = lake.polars("attempts")
    lake.upsert("attempts", rows.with_columns(next_try_at=pl.col("next_try_at") - timedelta(minutes=minutes)))
