"""The search for copies in a lake: what it reads for one new video, what it keeps, and what is gone with a video."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pytest

from internvid.video.copies import compare
from internvid.video.copy_keys import stored_keys
from internvid.video.fingerprint import CROPS, WORDS, Fingerprint
from resources.corpus import copy_keys
from resources.corpus.duplicates import MARK, Compared, compare_new_videos
from resources.lake.erasure import remove_older_versions, rewrite_without_deleted
from resources.lake.maintenance import index_kinds
from resources.lake.schema import COPY_KEYS, FINGERPRINTS, RAW_VIDEOS, TABLES
from resources.lake.store import Lake


@pytest.fixture
def lake(new_lake: Callable[[Path], Lake], tmp_path: Path) -> Lake:
    return new_lake(tmp_path / "lake")


def picture(seed: int, frames: int = 4) -> Fingerprint:
    hashes = np.random.default_rng(seed).integers(0, 2**63, (frames, len(CROPS), WORDS), np.uint64)
    return Fingerprint(np.arange(frames, dtype=np.float32), hashes)


def add(lake: Lake, videos: dict[str, Fingerprint], packets: str | None = None) -> None:
    """Writes rows as the stages do: raw_videos and fingerprints, in the batch of the first letter."""
    made_by = {"digest": "d", "provenance": "p", "unit_rows": 1, "version": "v", "run_id": "r"}
    made_by |= {"written_at": datetime.now(UTC)}
    raw, hashed = [], []
    for video_id, fingerprint in videos.items():
        of_batch = made_by | {"ingest_batch": f"2026-01-01-{video_id[:1]}", "video_id": video_id}
        raw.append(of_batch | {"source_id": video_id, "packets_digest": packets, "duration_seconds": 4.0})
        raw[-1] |= {"display_width": 64, "display_height": 48, "size_bytes": 100}
        digest = fingerprint.hashes_bytes.hex()[:64]
        content = {"seconds": fingerprint.seconds_bytes, "hashes": fingerprint.hashes_bytes}
        hashed.append(of_batch | content | {"frames": len(fingerprint), "digest": digest, "provenance": digest})
    for table, rows in ((RAW_VIDEOS, raw), (FINGERPRINTS, hashed)):
        lake.upsert(table.name, pa.Table.from_pylist(rows, schema=table.arrow))


def search(lake: Lake) -> Compared:
    return compare_new_videos(lake, run_id="test")


def pairs(lake: Lake) -> set[str]:
    return set(lake.polars("duplicates")["pair_id"])


def keys_of(lake: Lake) -> dict[str, set[int]]:
    rows = lake.polars("copy_keys")
    return {name: set(keys["copy_key"]) for (name,), keys in rows.group_by(rows["copy_key_id"].str.head(4))}


def strangers(count: int) -> dict[str, Fingerprint]:
    return {f"{number:04x}": picture(number) for number in range(count)}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[str] | None, int]]:
    """Collects (table, columns of the filter, rows) of every scan of Lance; None: without a filter."""
    seen: list[tuple[str, set[str] | None, int]] = []
    made = lance.LanceDataset.scanner

    def noted(self: lance.LanceDataset, *given: Any, **options: Any) -> Any:
        scanner = made(self, *given, **options)
        table = Path(self.uri).stem
        condition = options.get("filter")
        columns = None if condition is None else {name for name in self.schema.names if name in str(condition)}
        if options.get("fragments") is None:
            seen.append((table, columns, scanner.count_rows()))
        else:
            seen.append((table, {"fragments"}, sum(fragment.count_rows() for fragment in options["fragments"])))
        return scanner

    monkeypatch.setattr(lance.LanceDataset, "scanner", noted)
    return seen


def test_one_new_video_is_looked_up_by_indexes_and_reads_as_many_rows_in_a_lake_ten_times_as_large(
    new_lake: Callable[[Path], Lake], tmp_path: Path, reads: list[tuple[str, set[str] | None, int]]
):
    rows = {}
    for count in (20, 200):
        lake = new_lake(tmp_path / str(count))
        add(lake, strangers(count))
        search(lake)
        add(lake, {"ffff": picture(7)})
        reads.clear()
        result = search(lake)
        scans = list(reads)
        assert (result.videos, result.added, pairs(lake)) == (1, 1, {"0007/ffff"})
        for table, columns, _ in scans:
            by_index = {*index_kinds(TABLES[table]), "fragments"}
            assert columns, f"{table} is read as a whole"
            assert not columns.isdisjoint(by_index), (table, columns)
        rows[count] = sum(number for _, _, number in scans)
    assert rows[200] < rows[20] + 5  # a key in common by chance


def test_blocks_of_videos_end_in_the_pairs_that_comparing_each_with_each_finds(lake: Lake, monkeypatch):
    videos = strangers(8)
    of_others = {
        f"a{number:03x}": Fingerprint(v.seconds, v.hashes ^ np.uint64(5)) for number, v in enumerate(videos.values())
    }
    videos |= of_others
    expected = {
        f"{left}/{right}" for left, right in combinations(sorted(videos), 2) if compare(videos[left], videos[right])
    }
    assert len(expected) == 8
    add(lake, videos)
    monkeypatch.setattr("resources.corpus.duplicates.VIDEOS_PER_BLOCK", 7)
    monkeypatch.setattr("resources.corpus.duplicates.PAIRS_PER_READ", 3)
    monkeypatch.setattr(copy_keys, "MAX_KEYS_BY_INDEX", 10)  # the table is scanned
    monkeypatch.setattr(copy_keys, "NEW_ROWS_TO_INDEX", 100)
    assert search(lake).videos == 16
    assert pairs(lake) == expected
    assert {name: set(stored_keys(video).keys.tolist()) for name, video in videos.items()} == keys_of(lake)


def test_a_changed_fingerprint_leaves_no_key_of_the_former_one_and_finds_its_new_copies(lake: Lake):
    add(lake, {"0001": picture(1), "0002": picture(2), "0003": picture(1)})
    search(lake)
    assert pairs(lake) == {"0001/0003"}
    add(lake, {"0003": picture(2)})
    assert search(lake).videos == 1
    assert pairs(lake) == {"0002/0003"}
    assert keys_of(lake)["0003"] == set(stored_keys(picture(2)).keys.tolist())


def test_what_is_kept_of_a_video_goes_with_its_fingerprint_and_leaves_no_byte(lake: Lake):
    add(lake, {"0001": picture(1), "0002": picture(2), "0003": picture(1)})
    search(lake)
    lake.delete("fingerprints", ["0003"])
    assert search(lake).removed == 1
    assert pairs(lake) == set()
    assert set(keys_of(lake)) == {"0001", "0002"}
    key = min(stored_keys(picture(1)).keys.tolist())
    folder = Path(lake.uri("copy_keys"))
    holding = f"0003/{key:08x}".encode()
    rewrite_without_deleted(partial(lake.dataset, "copy_keys"), COPY_KEYS)
    remove_older_versions(partial(lake.dataset, "copy_keys"), also_unfinished=True)
    assert not [path for path in folder.rglob("*") if path.is_file() and holding in path.read_bytes()]


def test_a_search_that_was_killed_or_whose_record_was_deleted_ends_in_the_same_rows(lake: Lake):
    add(lake, strangers(6) | {"aaaa": picture(3)})
    search(lake)
    whole = keys_of(lake)
    lake.delete("comparisons", ["aaaa", "0001"])
    assert search(lake).videos == 2
    lake.delete("batch_states", [MARK])  # as `status --recount` does
    assert search(lake) == Compared()
    (mark,) = lake.dataset("batch_states").to_table().to_pylist()
    lake.upsert("batch_states", pa.Table.from_pylist([mark | {"stage_version": "former"}]))
    assert search(lake).videos == 7
    assert (pairs(lake), keys_of(lake)) == ({"0003/aaaa"}, whole)
    assert search(lake) == Compared()


def test_videos_with_the_same_packets_are_paired_when_the_second_comes(lake: Lake):
    add(lake, {"0001": picture(1)}, packets="same")
    search(lake)
    add(lake, {"0002": picture(2)}, packets="same")
    add(lake, {"0003": picture(3)}, packets="other")
    search(lake)
    assert pairs(lake) == {"0001/0002"}
    add(lake, {"0002": picture(2)}, packets="changed")
    row = lake.dataset("raw_videos").to_table(filter="video_id = '0002'").to_pylist()[0]
    lake.delete("raw_videos", ["0002"])
    lake.upsert("raw_videos", pa.Table.from_pylist([row | {"packets_digest": "other"}], schema=RAW_VIDEOS.arrow))
    search(lake)
    assert pairs(lake) == {"0002/0003"}


def test_a_key_that_very_many_videos_hold_takes_no_further_ones(lake: Lake, monkeypatch):
    monkeypatch.setattr("internvid.video.copies.VIDEOS_PER_KEY", 5)
    add(lake, {f"{number:04x}": picture(1, frames=1) for number in range(8)})
    search(lake)
    add(lake, {"ffff": picture(1, frames=1)})
    search(lake)
    counts = lake.query("select copy_key, count(*) as videos from copy_keys group by copy_key")["videos"]
    assert set(counts.to_pylist()) == {5}
    of_the_last = {pair for pair in pairs(lake) if pair.endswith("/ffff")}
    assert len(of_the_last) == 5


def test_a_pass_over_the_keys_finds_the_rows_that_the_index_finds_after_others_were_deleted(lake: Lake, monkeypatch):
    add(lake, strangers(12))
    search(lake)
    lake.delete("fingerprints", ["0002", "0007"])
    search(lake)
    wanted = np.unique(np.concatenate([stored_keys(picture(number)).keys for number in (1, 2, 7, 8)]))
    monkeypatch.setattr(copy_keys, "ROWS_PER_SCAN_BATCH", 50)
    monkeypatch.setattr(copy_keys, "ROWS_PER_TAKE", 90)
    by_index = pa.concat_tables(copy_keys._with_keys(lake, wanted))
    monkeypatch.setattr(copy_keys, "MAX_KEYS_BY_INDEX", 10)
    in_one_pass = list(copy_keys._with_keys(lake, wanted))
    assert len(in_one_pass) > 1
    assert {key[:4] for key in by_index["copy_key_id"].to_pylist()} >= {"0001", "0008"}
    assert pa.concat_tables(in_one_pass).sort_by("copy_key_id") == by_index.sort_by("copy_key_id")
