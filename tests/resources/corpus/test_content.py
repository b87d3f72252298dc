"""The digest of a table that is reckoned from an earlier one: it is that of the whole, and only what is new is read."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import lance
import pyarrow as pa
import pytest

from resources.corpus.content import content
from resources.lake.schema import CLIP_CAPTIONS, TABLES
from resources.lake.store import Lake


@pytest.fixture
def lake(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Lake:
    return new_lake(tmp_path / "lake")


def captions(numbers, provenance: str = "first") -> pa.Table:
    schema = TABLES["clip_captions"].arrow
    return pa.Table.from_pylist(
        [
            dict.fromkeys(schema.names)
            | {"clip_id": f"clip{number}", "caption": "a dog", "provenance": provenance}
            | {"ingest_batch": f"batch{number // 10}", "digest": "d", "unit_rows": 1}
            for number in numbers
        ],
        schema=schema,
    )


def compact(lake: Lake) -> None:
    lake.dataset("clip_captions").optimize.compact_files(target_rows_per_fragment=1_000_000)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_written_removed_and_compacted_the_digest_is_that_of_the_whole_table(lake, seed):
    chance = random.Random(seed)
    seen = [content(lake, CLIP_CAPTIONS)]
    for step in range(12):
        numbers = chance.sample(range(60), 8)
        match chance.choice(["write", "write", "remove", "compact"]):
            case "write":
                lake.upsert("clip_captions", captions(numbers, f"step {step}"))
            case "remove":
                lake.delete("clip_captions", [f"clip{number}" for number in numbers])
            case "compact":
                compact(lake)
        whole = content(lake, CLIP_CAPTIONS)
        assert whole.row_count == lake.dataset("clip_captions").count_rows()
        assert {content(lake, CLIP_CAPTIONS, since=earlier) for earlier in seen} == {whole}
        seen.append(whole)
    assert len({each.digest for each in seen}) > 3


def test_only_what_is_new_is_read(lake, monkeypatch):
    for first in range(0, 50, 10):
        lake.upsert("clip_captions", captions(range(first, first + 10)))
    before = content(lake, CLIP_CAPTIONS)
    read: list[int] = []
    scanner = lance.LanceDataset.scanner

    def noted(self, *arguments, fragments=None, **options):
        read.append(sum(fragment.count_rows() for fragment in fragments or self.get_fragments()))
        return scanner(self, *arguments, fragments=fragments, **options)

    monkeypatch.setattr(lance.LanceDataset, "scanner", noted)
    assert content(lake, CLIP_CAPTIONS, since=before) == before
    assert read == []
    lake.upsert("clip_captions", captions([100]))
    read.clear()  # an upsert reads as well
    content(lake, CLIP_CAPTIONS, since=before)
    assert read == [1]


def test_without_the_earlier_version_the_whole_is_read(lake):
    lake.upsert("clip_captions", captions(range(5)))
    before = content(lake, CLIP_CAPTIONS)
    lake.upsert("clip_captions", captions(range(5, 9)))
    lake.dataset("clip_captions").cleanup_old_versions(older_than=timedelta(0))
    after = content(lake, CLIP_CAPTIONS, since=before)
    assert after == content(lake, CLIP_CAPTIONS)
    assert after.row_count == 9
