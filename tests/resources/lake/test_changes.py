"""What two versions of a table do not have in common is told by fragments, and by rows where only rows were deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from resources.lake import changes as module
from resources.lake.changes import changes
from resources.lake.schema import CLIP_CAPTIONS, TABLES
from resources.lake.store import Lake


@pytest.fixture
def lake(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Lake:
    """One fragment of 100 captions."""
    lake = new_lake(tmp_path / "lake")
    write(lake, range(100))
    return lake


def write(lake: Lake, numbers: range, caption: str = "a dog") -> None:
    schema = TABLES["clip_captions"].arrow
    rows = [
        dict.fromkeys(schema.names) | {"clip_id": f"clip{number:02}", "caption": caption, "provenance": caption}
        for number in numbers
    ]
    lake.upsert("clip_captions", pa.Table.from_pylist(rows, schema=schema))


def told(lake: Lake, since: int, now: int | None = None) -> tuple[list[str], list[str]]:
    """The rows that only one of the two versions may have."""
    differing = changes(lake, CLIP_CAPTIONS, since, lake.dataset("clip_captions", now))
    assert differing is not None
    rows = [fragments.rows(["clip_id", "caption"]) for fragments in differing]
    keys = [[] if reader is None else reader.read_all()["clip_id"].to_pylist() for reader in rows]
    return sorted(keys[0]), sorted(keys[1])


def test_of_a_fragment_in_which_rows_were_deleted_or_replaced_only_these_are_told(lake, monkeypatch):
    before = lake.version("clip_captions")
    assert told(lake, before) == ([], [])
    lake.delete("clip_captions", ["clip07", "clip99"])
    deleted = lake.version("clip_captions")
    assert told(lake, before) == (["clip07", "clip99"], [])
    write(lake, range(10, 13), "a cat")
    replaced = ["clip10", "clip11", "clip12"]
    assert told(lake, before) == (["clip07", *replaced, "clip99"], replaced)
    assert told(lake, deleted) == (replaced, replaced)
    assert told(lake, lake.version("clip_captions"), before) == (replaced, ["clip07", *replaced, "clip99"]), "backwards"
    monkeypatch.setattr(module, "MAX_ADDRESSES", 4)
    gone, new = told(lake, before)
    assert (len(gone), len(new)) == (100, 98), "of more than so many rows the fragments are read"
    assert {*gone} - {*new} == {"clip07", "clip99"}


def test_a_version_that_is_gone_cannot_be_told_from(lake):
    assert changes(lake, CLIP_CAPTIONS, 999, lake.dataset("clip_captions")) is None
