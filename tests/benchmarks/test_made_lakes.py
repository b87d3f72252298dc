"""The lakes that benchmarks measure: of the product's schema, and complete as the product's own stages see them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.generators import appended_rows, made_lake
from orchestration.cli.session import Session
from orchestration.due import pending_batches
from orchestration.settings import Settings


def test_a_made_lake_leaves_nothing_to_do_and_takes_a_further_video(tmp_path: Path):
    session = Session(Settings(lake=str(tmp_path / "lake")))
    lake = session.lake
    made_lake.make(session, videos=4, videos_per_batch=2, shape=made_lake.Shape(clips=3, frames=2))
    assert pending_batches(lake, session.stages, session.resources) == []
    rows = {"raw_videos": 4, "clips": 12, "frames": 24, "fingerprints": 4, "clip_captions": 12}
    assert {table: lake.dataset(table).count_rows() for table in rows} == rows
    made_lake.register(lake, "2026-02-01-0001", range(4, 5))
    assert pending_batches(lake, session.stages, session.resources) == ["2026-02-01-0001"]


def test_rows_are_appended_with_the_columns_that_are_given_and_null_in_the_others(tmp_path: Path):
    lake = Session(Settings(lake=str(tmp_path / "lake"))).lake
    clips = f"select 'c' || clip as clip_id, 'v' || video as video_id, ingest_batch from ({appended_rows.CLIP})"
    appended_rows.append(lake, {"clips": clips}, 0, 3)
    appended_rows.append(lake, {"clips": clips}, 3, 4)
    stored = lake.query("select count(distinct clip_id) as clips, count(start_seconds) as starts from clips")
    assert stored.to_pylist() == [{"clips": 4 * appended_rows.CLIPS_PER_VIDEO, "starts": 0}]
