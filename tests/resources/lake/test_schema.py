"""The declarations themselves: their page is up to date, and every column says what it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from resources.lake.schema import CLIPS, COSTS, MADE_BY, TABLES, Table, declare, key, pinned_tables, render_markdown
from resources.lake.store import Lake

PAGE = Path(__file__).resolve().parents[3] / "docs" / "tables.md"


def test_the_page_of_tables_is_what_the_schemas_render_to():
    assert PAGE.read_text(encoding="utf-8") == render_markdown(), "run `internvid docs`"


def test_every_column_of_every_table_has_a_meaning():
    assert [(t.name, c.name) for t in TABLES.values() for c in t.columns if not c.meaning.strip()] == []


def test_every_table_that_a_stage_fills_ends_with_what_made_its_rows():
    filled = [table for table in TABLES.values() if table.unit]
    assert [table.columns[-len(MADE_BY) :] for table in filled] == [MADE_BY] * len(filled)


def test_a_row_is_known_by_a_column_that_is_never_null_and_marked_as_the_key():
    for table in TABLES.values():
        marked = [field.name for field in table.arrow if field.metadata]
        assert marked == [table.key]
        assert not table.arrow.field(table.key).nullable


def test_every_origin_of_a_column_is_a_column_of_the_lake():
    columns = {f"{table.name}.{name}" for table in TABLES.values() for name in table.column_names}
    origins = {origin for table in TABLES.values() for column in table.columns for origin in column.derived_from}
    assert origins - columns == set()
    assert {"raw_videos.path", "frames.jpeg", "speech.text", "clip_captions.caption"} <= origins


def test_the_column_that_names_a_parent_is_there_and_the_parent_is_a_table():
    with_parent = {table.name: table.parent for table in TABLES.values() if table.parent is not None}
    for name, (column, parent) in with_parent.items():
        assert column in TABLES[name].column_names
        assert TABLES[parent].key == column, "the column holds keys of the parent"
    assert with_parent["frame_captions"] == ("frame_id", "frames")
    assert with_parent["clips"] == ("video_id", "raw_videos")


@pytest.fixture
def own_table():
    """A declaration of a user's own, taken back after the test."""
    table = Table("own_marks", "a mark that a user gave to a clip", key="mark_id", columns=(key("mark_id", "clip_id"),))
    yield table
    TABLES.pop("own_marks", None)


def test_a_declared_table_is_one_of_the_lake_pinned_and_on_the_page(own_table, tmp_path):
    declare(own_table)
    declare(replace(own_table))  # the same declaration again
    assert list(TABLES.values())[-1] == own_table
    assert pinned_tables()[-1] == own_table
    assert "## own_marks" in render_markdown()
    lake = Lake(root=str(tmp_path))
    lake.create_tables()
    lake.upsert("own_marks", lake.dataset("own_marks").schema.empty_table())
    assert lake.query("select count(*) as marks from own_marks").to_pylist() == [{"marks": 0}]
    assert "own_marks" in lake.tag("with-marks")


def test_a_declared_table_takes_no_name_that_another_declaration_has(own_table):
    declare(own_table)
    with pytest.raises(ValueError, match="choose another name"):
        declare(replace(own_table, row_is="something else"))
    with pytest.raises(ValueError, match="the lake has another table 'clips'"):
        declare(replace(own_table, name=CLIPS.name))


def test_bookkeeping_and_what_is_made_from_snapshots_is_not_pinned():
    assert COSTS not in pinned_tables()
    assert {table.name for table in TABLES.values() if not table.pinned} == {
        *(
            "feeds",
            "feed_polls",
            "source_checks",
            "comparisons",
            "copy_keys",
            "exports",
            "tombstones",
            "costs",
            "batch_states",
        ),
        *("corpus_snapshot", "subsets", "subset_snapshots", "interleaved", "checkpoints", "evaluations"),
        *("chat_checkpoints", "chat_answers", "generation_checkpoints", "generated_videos"),
        *("removed_snapshots", "snapshot_changes"),
    }
