"""What differs between two snapshots is named, row by row and with the reason; and what only moved is not."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest
from command import cells, internvid, refused, succeeded
from lake_copies import IN_A_FOLDER

from resources.corpus.snapshot_diff import SnapshotGone, differences
from resources.corpus.snapshots import name_snapshot, remove_unused_snapshots, snapshot_named, take_snapshot
from resources.lake.schema import TABLES
from resources.lake.store import Lake

pytestmark = IN_A_FOLDER


def write(lake: Lake, table: str, *rows: dict[str, object]) -> None:
    whole = [dict.fromkeys(TABLES[table].column_names) | {"run_id": "r", "ingest_batch": "b"} | row for row in rows]
    lake.upsert(table, pa.Table.from_pylist(whole, schema=TABLES[table].arrow))


def video(lake: Lake, name: str, *, caption: str = "a dog", version: str = "1", inputs: str = "p") -> None:
    write(lake, "raw_videos", {"video_id": name, "digest": name, "provenance": name, "version": "probe"})
    made = {"clip_id": f"{name}_0", "video_id": name}
    write(lake, "clips", made | {"digest": name, "provenance": name, "version": "cut"})
    captioned = made | {"caption": caption, "digest": caption, "model": "m", "version": version, "provenance": inputs}
    write(lake, "clip_captions", captioned)


def snapshot(lake: Lake) -> str:
    return take_snapshot(lake, run_id="test")[0]


def told(lake: Lake, before: str, after: str | None = None) -> set[tuple[str, str, int, str]]:
    return {(row.table, row.kind, row.rows, row.reason) for row in differences(lake, before, after)}


def test_each_row_that_differs_is_counted_under_its_reason(lake):
    for name in ("same", "other caption", "other version", "other input", "gone", "no caption"):
        video(lake, name)
    before = snapshot(lake)
    video(lake, "other caption", caption="a cat", inputs="q")
    video(lake, "other version", caption="a cat", version="2", inputs="q")
    video(lake, "other input", inputs="q")
    video(lake, "new")
    for table in ("raw_videos", "clips", "clip_captions"):
        lake.delete(table, ["gone" if table == "raw_videos" else "gone_0"])
    lake.delete("clip_captions", ["no caption_0"])
    lake.optimize()
    expected = {
        ("raw_videos", "added", 1, "of a new video"),
        ("raw_videos", "removed", 1, "its video is gone"),
        ("clips", "added", 1, "of a new video"),
        ("clips", "removed", 1, "its video is gone"),
        ("clip_captions", "added", 1, "of a new video"),
        ("clip_captions", "removed", 1, "its video is gone"),
        ("clip_captions", "removed", 1, "its video is there"),
        ("clip_captions", "changed", 1, "other content by the same version: its input changed"),
        ("clip_captions", "changed", 1, "other content by m 2, before by m 1"),
        ("clip_captions", "changed", 1, "the same content of another input"),
    }
    assert told(lake, before) == expected, "the lake as it is"
    assert told(lake, before, snapshot(lake)) == expected
    examples = {row.reason: row.examples for row in differences(lake, before, None) if row.table == "clip_captions"}
    assert examples["its video is there"] == ("no caption_0",)


def test_rows_that_only_moved_or_were_written_again_do_not_differ(lake):
    for number in range(5):
        video(lake, str(number))
    before = snapshot(lake)
    video(lake, "3")
    lake.optimize()
    assert told(lake, before) == set()


def test_a_named_snapshot_is_kept_and_stands_for_its_name_and_another_may_take_the_name(lake):
    names = []
    for name in "abc":
        video(lake, name)
        names.append(snapshot(lake))
    name_snapshot(lake, names[0], "paper")
    assert snapshot_named(lake, "paper") == snapshot_named(lake, names[0]) == names[0]
    assert snapshot_named(lake, "nothing") is None
    assert remove_unused_snapshots(lake, older_than=timedelta(0)) == [names[1]]
    name_snapshot(lake, names[2], "paper")
    assert snapshot_named(lake, "paper") == names[2]
    assert remove_unused_snapshots(lake, older_than=timedelta(0)) == [names[0]]


def test_a_snapshot_that_was_removed_cannot_be_compared(lake):
    with pytest.raises(SnapshotGone, match="no snapshot 'x'"):
        told(lake, "x")


def test_the_commands_say_it(lake):
    video(lake, "a")
    first = snapshot(lake)
    video(lake, "b")
    snapshot(lake)
    assert "is before" in succeeded(internvid("snapshot", "tag", "before", first, lake=lake.root))
    rows = cells(succeeded(internvid("snapshot", "diff", "before", lake=lake.root)))
    assert ["clips", "added", "1", "of a new video", "b_0"] in rows
    assert "nothing differs" in succeeded(internvid("snapshot", "diff", first, "before", lake=lake.root))
    listed = succeeded(internvid("snapshot", "list", "--format", "csv", lake=lake.root)).splitlines()
    assert [line.split(",")[1] for line in listed] == ["label", "", "before"]
    assert "no snapshot 'nothing'" in refused(internvid("snapshot", "diff", "nothing", lake=lake.root))
    counted = internvid("sql", "select count(*) from clips", "--at", "before", "--format", "csv", lake=lake.root)
    assert succeeded(counted).split()[-1] == "1"
    assert "no name any more" in succeeded(internvid("snapshot", "tag", "before", "--remove", lake=lake.root))
