"""Several processes on one lake: nothing is lost, nothing is there twice, and the rows are those of one process."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.cli.session import RunSummary, Session
from orchestration.due import pending_batches
from orchestration.settings import Settings
from resources.catalog.files import register

pytestmark = pytest.mark.slow(minutes=2)

TABLES = ("sources", "raw_videos", "clips", "frames", "frame_captions", "clip_captions", "attempts")
VIDEOS_FOLDER = 2

_barrier: Any = None


def _share(barrier: Any) -> None:
    global _barrier
    _barrier = barrier


def _materialise(root: str, batch: str) -> dict[str, str]:
    """In a process of its own: runs the job on the batch when all others are ready; returns what went wrong."""
    session = Session(Settings(lake=root))
    session.instance = dg.DagsterInstance.ephemeral()
    assert session.stages
    assert session._definitions
    summary = RunSummary()
    _barrier.wait(timeout=200)
    session.instance.add_dynamic_partitions("ingest_batch", [batch])
    session.run("ingest", summary, partition=batch)
    return summary.failed_runs


def _register(session: Session, folder: Path) -> None:
    a_synthetic_video = 4 / 3600  # hours: every video of 3 s a batch of its own
    found = register(session.lake, session.media, [str(folder)], run_id="test", hours_per_batch=a_synthetic_video)
    assert found.new == VIDEOS_FOLDER + 1


def test_processes_on_different_batches_and_on_the_same_one_make_what_one_process_makes(
    place: Path,
    open_session: Callable[[], Session],
    synthetic_video: Callable[..., Path],
    whole_tables: Callable[..., Any],
):
    folder = place / "synthetic_videos"
    folder.mkdir(parents=True)
    for number in range(VIDEOS_FOLDER):
        synthetic_video(folder, f"{number}.mp4", number)
    (folder / "broken.mp4").write_text("no video")
    alone, together = open_session(), Session(Settings(lake=str(place / "together")))
    for session in (alone, together):
        _register(session, folder)
    batches = sorted(set(together.lake.polars("sources")["ingest_batch"]))
    assert len(batches) == VIDEOS_FOLDER

    # The last batch twice: two processes compute the same rows and commit them at about the same moment.
    asked = [*batches, batches[-1]]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(asked), spawn, initializer=_share, initargs=(spawn.Barrier(len(asked)),)) as pool:
        done = [pool.submit(_materialise, together.lake.root, batch) for batch in asked]
        assert [future.result() for future in done] == [{}] * len(asked)

    assert pending_batches(together.lake, together.stages, together.resources) == []
    summary = RunSummary()
    alone.run_pending_batches(summary)
    assert summary.failed_runs == {}
    expected = whole_tables(alone.lake, *TABLES)
    assert {table: len(rows) for table, rows in expected.items()} == {
        "sources": 3,
        "raw_videos": 2,
        "clips": 4,
        "frames": 10,
        "frame_captions": 10,
        "clip_captions": 4,
        "attempts": 1 + 2,  # the broken video; the videos in which nothing is said
    }
    found = whole_tables(together.lake, *TABLES)
    # The broken file lies in the batch that ran twice: it was tried once or, by both, twice.
    for tables in (expected, found):
        for attempt in tables["attempts"].values():
            assert attempt.pop("tries") in ((1, 2) if attempt["outcome"] == "failed" else (0,))
    assert found == expected
