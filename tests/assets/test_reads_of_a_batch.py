"""What the stages of a batch read: rows of their batch, or rows by key, so the cost is the same in a large lake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from orchestration.cli.session import RunSummary, Session
from resources.catalog.files import register


def test_no_stage_of_a_batch_reads_a_table_as_a_whole(
    open_session: Callable[[], Session],
    place: Path,
    synthetic_video: Callable[..., Path],
    reads: set[tuple[str, bool]],
) -> None:
    folder = place.parent / "videos"
    folder.mkdir(parents=True, exist_ok=True)
    synthetic_video(folder, "film.mp4", 1)
    (folder / "film.srt").write_text("1\n00:00:00,200 --> 00:00:01,000\nThe heron waits at the weir.\n")
    session = open_session()
    register(session.lake, session.media, [str(folder)], run_id="test")
    batch = session.lake.polars("sources")["ingest_batch"][0]

    session.instance.add_dynamic_partitions("ingest_batch", [batch])

    reads.clear()
    summary = RunSummary()
    session.run("ingest", summary, partition=batch)
    of_batch = {table for table, is_of_batch in reads if is_of_batch}
    as_a_whole = {table for table, is_of_batch in reads if not is_of_batch}
    assert as_a_whole == set()
    assert of_batch >= {output.name for stage in session.stages for output in stage.outputs}
    assert summary.failed_runs == {}
    assert session.lake.polars("clip_captions").filter(pl.col("caption") != "").height == 2
