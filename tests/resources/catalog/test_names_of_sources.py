"""Sources are found by their names as before in a large lake, where indexes answer, and only what was found is read."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from resources.catalog.names_of_sources import COLUMNS, ID_LENGTH, named_sources
from resources.incremental.provenance import digest
from resources.lake import maintenance
from resources.lake.schema import TABLES
from resources.lake.statements import statement
from resources.lake.store import Lake

VIDEOS = 50


def _row(number: int) -> dict[str, Any]:
    sha256 = f"{number:064x}"[::-1]
    uri = f"https://www.youtube.com/watch?v={number:011d}"
    return {
        "source_id": digest(uri)[:ID_LENGTH],
        "uri": uri,
        "site": "youtube.com",
        "site_key": f"{number:011d}",
        "channel": f"Channel {number // 5}",
        "channel_id": f"UC{number // 5}",
        "channel_url": f"https://www.youtube.com/channel/UC{number // 5}",
        "page_url": f"https://example.org/pages/{number}",
        "sha256": sha256,
        "video_id": sha256[:ID_LENGTH],
        "path": f"/media/{number}.mp4",
        "ingest_batch": "2026-01-02-0001",
    }


@pytest.fixture(scope="module", params=["small", "large"])
def lake(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Lake:
    lake = Lake(root=str(tmp_path_factory.mktemp("names") / "lake"))
    lake.create_tables()
    for table in COLUMNS:
        schema = TABLES[table].arrow
        rows = [
            {name: value for name, value in _row(number).items() if name in schema.names} for number in range(VIDEOS)
        ]
        lake.upsert(table, pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema=schema))
    if request.param == "large":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(maintenance, "MIN_ROWS_TO_INDEX_NAMES", VIDEOS)
            lake.optimize()
    return lake


@pytest.mark.parametrize(
    "name", ["source_id", "uri", "site_key", "channel", "channel_url", "page_url", "sha256", "path"]
)
def test_a_word_finds_what_the_statement_finds_in_the_whole_lake(lake: Lake, name: str):
    word = _row(7)[name]
    asked = {"word": word, "url": word if word.startswith("https:") else None}
    in_all = lake.query(statement("forgetting/matches"), asked).to_pylist()
    found = named_sources(lake, "forgetting/matches", asked, names=[text for text in asked.values() if text])
    assert found == in_all
    assert len(found) == (5 if name.startswith("channel") else 1)


def test_no_column_is_scanned_in_a_large_lake(lake: Lake):
    indexed = {table: {index.field_names[0] for index in lake.dataset(table).describe_indices()} for table in COLUMNS}
    missing = {(table, column) for table, columns in COLUMNS.items() for column in columns} - {
        (table, column) for table, columns in indexed.items() for column in columns
    }
    is_large = "path" in indexed["raw_videos"]
    assert not missing if is_large else missing
    plan = lake.dataset("downloads").scanner(filter="page_url = 'https://example.org/pages/7'").explain_plan()
    assert ("ScalarIndexQuery" in plan) == is_large
