"""How many ingest batches a collection has."""

from __future__ import annotations

from collections import Counter
from datetime import date

import polars as pl
import pytest
from lake_copies import IN_A_FOLDER

from resources.catalog.batching import MAX_HOURS_PER_BATCH, VIDEOS_PER_BATCH, IngestBatcher, count_batches
from resources.catalog.files import new_batcher
from resources.lake.store import Lake

DAY = date(2026, 1, 2)
HOUR = 3600.0


def hours_by_batch(batcher: IngestBatcher, videos: int, hours: float) -> Counter[str]:
    filled: Counter[str] = Counter()
    for _ in range(videos):
        filled[batcher.key_for(hours * HOUR)] += hours
    return filled


def test_batches_of_a_small_collection_have_two_hours():
    assert hours_by_batch(IngestBatcher([], DAY), 40, 0.5) == {f"2026-01-02-{n:04d}": 2.0 for n in range(1, 11)}


def test_batches_grow_with_the_collection_until_they_are_full_and_seven_million_videos_have_less_than_15_000():
    hours = list(hours_by_batch(IngestBatcher([], DAY), 688_000, 1.0).values())
    assert hours[:50] == [2.0] * 50
    assert hours[:-1] == sorted(hours[:-1])
    assert hours[-2] == MAX_HOURS_PER_BATCH
    assert sum(hours) == 688_000
    assert len(hours) < 15_000


def test_hours_that_are_asked_for_stay_and_very_short_videos_are_counted():
    assert set(hours_by_batch(IngestBatcher([], DAY, 5.0, registered_hours=1e6), 20, 1.0).values()) == {5.0}
    batcher = IngestBatcher([], DAY, registered_hours=1e6)
    assert len(hours_by_batch(batcher, VIDEOS_PER_BATCH + 1, 1 / HOUR)) == 2


@IN_A_FOLDER
@pytest.mark.parametrize(("registered_hours", "hours"), [(10.0, 2.0), (1_000.0, 20.0), (100_000.0, 60.0)])
def test_what_the_lake_holds_decides_the_size_of_the_next_batch(lake: Lake, registered_hours: float, hours: float):
    source = {
        "source_id": ["a"],
        "uri": ["file:///a.mp4"],
        "estimated_seconds": [registered_hours * HOUR],
        "ingest_batch": ["2026-01-02-0003"],
    }
    lake.upsert("sources", pl.DataFrame(source))
    filled = hours_by_batch(new_batcher(lake), 80, 1.0)
    assert max(filled.values()) == hours
    assert "2026-01-02-0003" not in filled


def test_batches_are_counted_as_the_batcher_would_make_them() -> None:
    for videos, seconds, per_batch in ((0, 60.0, None), (10, 3600.0, None), (7, 5000.0, 3.0), (12_000, 5.0, None)):
        batcher = IngestBatcher([], date(2026, 1, 1), per_batch)
        made = {batcher.key_for(seconds) for _ in range(videos)}
        assert count_batches(videos, videos * seconds, hours_per_batch=per_batch) == len(made)
