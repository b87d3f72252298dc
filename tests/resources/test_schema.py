"""The declarations themselves: their page is up to date, and every column says what it is."""

from pathlib import Path

from resources.schema import MADE_BY, TABLES, render_markdown

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tables.md"


def test_the_page_of_tables_is_what_the_schemas_render_to():
    assert PAGE.read_text(encoding="utf-8") == render_markdown(), "run `internvid docs`"


def test_every_column_of_every_table_has_a_meaning():
    assert [(t.name, c.name) for t in TABLES.values() for c in t.columns if not c.meaning.strip()] == []


def test_every_table_that_a_step_fills_ends_with_what_made_its_rows():
    filled = [table for table in TABLES.values() if table.unit]
    assert [table.columns[-len(MADE_BY) :] for table in filled] == [MADE_BY] * len(filled)


def test_a_row_is_known_by_a_column_that_is_never_null_and_marked_as_the_key():
    for table in TABLES.values():
        marked = [field.name for field in table.arrow if field.metadata]
        assert marked == [table.key]
        assert not table.arrow.field(table.key).nullable
