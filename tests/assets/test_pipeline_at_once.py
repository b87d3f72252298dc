"""Several processes on one lake: nothing is lost, nothing is there twice, and the rows are those of one process."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg

from assets.sources import register
from orchestration.house import House, Work
from resources.refresh import pending_batches

TABLES = ("sources", "raw_videos", "clips", "frames", "frame_captions", "clip_captions", "attempts")
FILMS = 4

_barrier: Any = None


def _share(barrier: Any) -> None:
    global _barrier
    _barrier = barrier


def _materialise(root: str, batch: str) -> dict[str, str]:
    """In a process of its own: runs the job on the batch when all others are ready; returns what went wrong."""
    house = House(root)
    house.instance = dg.DagsterInstance.ephemeral()
    assert house.steps
    assert house._definitions
    work = Work()
    _barrier.wait(timeout=200)
    house.instance.add_dynamic_partitions("ingest_batch", [batch])
    house._run("ingest", work, batch)
    return work.failed_batches


def _register(house: House, folder: Path) -> None:
    a_film = 4 / 3600  # hours: every film of 3 s a batch of its own
    found = register(house.lake, house.media, [str(folder)], run_id="test", hours_per_batch=a_film)
    assert found.new == FILMS + 1


def test_processes_on_different_batches_and_on_the_same_one_make_what_one_process_makes(
    place: Path, open_house: Callable[[], House], film: Callable[..., Path], whole_tables: Callable[..., Any]
):
    folder = place / "films"
    folder.mkdir(parents=True)
    for number in range(FILMS):
        film(folder, f"{number}.mp4", number)
    (folder / "broken.mp4").write_text("no film")
    alone, together = open_house(), House(str(place / "together"))
    for house in (alone, together):
        _register(house, folder)
    batches = sorted(set(together.lake.polars("sources")["ingest_batch"]))
    assert len(batches) == FILMS

    # The last batch twice: two processes compute the same rows and commit them at about the same moment.
    asked = [*batches, batches[-1]]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(asked), spawn, initializer=_share, initargs=(spawn.Barrier(len(asked)),)) as pool:
        done = [pool.submit(_materialise, together.lake.root, batch) for batch in asked]
        assert [future.result() for future in done] == [{}] * len(asked)

    for step in together.steps:
        assert pending_batches(together.lake, step) == [], step.name
    work = Work()
    alone.run_pending_batches(work)
    assert work.failed_batches == {}
    expected = whole_tables(alone.lake, *TABLES)
    assert {table: len(rows) for table, rows in expected.items()} == {
        "sources": 5,
        "raw_videos": 4,
        "clips": 8,
        "frames": 20,
        "frame_captions": 20,
        "clip_captions": 8,
        "attempts": 1 + 4 + 8,  # the broken film; films and clips in which nothing is said
    }
    found = whole_tables(together.lake, *TABLES)
    # The broken file lies in the batch that ran twice: it was tried once or, by both, twice.
    for tables in (expected, found):
        for attempt in tables["attempts"].values():
            assert attempt.pop("tries") in ((1, 2) if attempt["outcome"] == "failed" else (0,))
    assert found == expected
