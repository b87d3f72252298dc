"""A lake knows which program can read it."""

import json
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from command import internvid_process, refused

from resources.incremental.faults import SystemFault, raising_faults
from resources.lake import format as lake_format
from resources.lake.format import FORMAT, MIGRATIONS, UnknownFormat, format_of
from resources.lake.schema import CLIP_CAPTIONS
from resources.lake.store import Lake


@pytest.fixture
def older(lake: Lake) -> Lake:
    """A lake as programs made it before formats had numbers, with a caption and an index over it."""
    row = dict.fromkeys(CLIP_CAPTIONS.column_names) | {"clip_id": "a", "caption": "to be", "ingest_batch": "1"}
    lake.upsert("clip_captions", pa.Table.from_pylist([row], schema=CLIP_CAPTIONS.arrow))
    lake.dataset("clip_captions").create_scalar_index("caption", "INVERTED")
    lake.file(lake_format.FILE).remove()
    return lake


def indexed(lake: Lake) -> set[str]:
    return {name for index in lake.dataset("clip_captions").describe_indices() for name in index.field_names}


def migrated(lake: Lake) -> list[str]:
    """What is told of migrations when the lake is opened."""
    lines: list[str] = []
    lake.create_tables(lines.append)
    return lines


def test_a_new_lake_has_the_newest_format_and_nothing_is_to_be_done(lake):
    assert (format_of(lake), migrated(lake)) == (FORMAT, [])
    assert json.loads(lake.file(lake_format.FILE).read_text())["written_by"].startswith("internvid-lakehouse ")


def test_an_older_lake_is_migrated_once_and_keeps_its_rows(older):
    assert format_of(older) == 1
    rows, before = older.polars("clip_captions"), indexed(older)
    (line,) = migrated(older)
    assert line.endswith(f"this one {MIGRATIONS[0].does}")
    assert len(MIGRATIONS) == 1
    assert (format_of(older), migrated(older)) == (FORMAT, [])
    assert before - indexed(older) == {"caption"}
    assert older.polars("clip_captions").equals(rows)
    version = older.version("clip_captions")
    older.create_tables()
    assert older.version("clip_captions") == version


def test_a_migration_that_was_killed_is_begun_again(older, monkeypatch):
    monkeypatch.setattr(lake_format, "_write", lambda lake, number: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        older.create_tables()
    monkeypatch.undo()
    assert format_of(older) == 1
    older.create_tables()
    assert (format_of(older), "caption" in indexed(older)) == (FORMAT, False)


def test_several_that_migrate_at_once_all_find_it_done(older):
    with ThreadPoolExecutor(4) as threads:
        list(
            threads.map(
                lambda _: Lake(root=older.root, storage_options=older.storage_options).create_tables(), range(4)
            )
        )
    assert (format_of(older), "caption" in indexed(older)) == (FORMAT, False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            json.dumps({"format": FORMAT + 1, "written_by": "internvid-lakehouse 9.1"}),
            "internvid-lakehouse 9.1, or a newer",
        ),
        ("", "does not say which format"),
        ('{"format": null}', "does not say which format"),
    ],
)
def test_a_lake_that_cannot_be_understood_is_refused_in_a_sentence_and_left_as_it_is(lake, text, says):
    lake.file(lake_format.FILE).write_text(text)
    with pytest.raises(UnknownFormat, match=says):
        lake.create_tables()
    with pytest.raises(SystemFault, match=says), raising_faults():
        lake.create_tables()
    if not lake.file("").is_local:
        return
    done = internvid_process("status", lake=lake.root)
    assert says in refused(done)
    assert done.returncode == 1
    assert lake.file(lake_format.FILE).read_text() == text
