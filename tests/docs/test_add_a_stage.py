"""docs/add-a-stage.md: the code on the page is taken from it and run on rendered videos."""

import re
from pathlib import Path

import pytest

from orchestration.cli.session import Session
from orchestration.settings import Settings
from resources.lake.schema import TABLES

PAGE = Path(__file__).parents[2] / "docs" / "add-a-stage.md"
MAX_CODE_LINES = 40


@pytest.fixture
def stages_folder(tmp_path: Path) -> Path:
    """A folder with the page's stage, as a user would write it."""
    folder = tmp_path / "stages"
    folder.mkdir()
    (python,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)
    (sql,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), flags=re.S)
    (folder / "clip_colours.py").write_text(python)
    (folder / "clip_colours.sql").write_text(sql)
    return folder


def test_a_stage_is_added_by_one_declaration_one_function_and_one_sql_file(
    tmp_path, stages_folder, synthetic_video, monkeypatch
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    synthetic_video(videos, "video.mp4")
    settings = Settings(lake=str(tmp_path / "lake"), stages=str(stages_folder), first_model="")
    session = Session(settings)
    try:
        _ingest(session, videos)

        colours = session.lake.polars("clip_colours")
        clips = session.lake.polars("clips")
        assert sorted(colours["clip_id"]) == sorted(clips["clip_id"])
        assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours["colour"])
        assert session.counts()["clip_colours"]["done"] == len(clips)
        snapshot = session.lake.query("select table_name from corpus_snapshot")["table_name"].to_pylist()
        assert "clip_colours" in snapshot

        again = session.bring_up_to_date()
        assert again.rows == {}, "a second run has nothing to do"
    finally:
        TABLES.pop("clip_colours", None)


def test_the_page_adds_its_stage_in_fewer_than_forty_lines() -> None:
    (python,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)
    assert len([line for line in python.splitlines() if line.strip()]) < MAX_CODE_LINES


def _ingest(session: Session, videos: Path) -> None:
    from resources.catalog.locations import register_all

    register_all(session.lake, session.media, [str(videos)], 2.0, on_items=lambda number: None)
    summary = session.bring_up_to_date()
    assert summary.is_well, summary
