"""A snapshot that went with a forgotten video is compared all the same, and what is kept of it names nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from lake_copies import IN_A_FOLDER

from resources.corpus.removed_snapshots import (
    keep_differences,
    remove_expired,
    removed_snapshot_named,
    removed_snapshots,
    unname,
)
from resources.corpus.snapshot_diff import SnapshotGone, differences
from resources.corpus.snapshots import name_snapshot, remove_snapshots, remove_unused_snapshots, take_snapshot
from resources.lake.erasure import times_of_tags
from resources.lake.schema import TABLES, pinned_tables
from resources.lake.store import PIN, Lake

pytestmark = IN_A_FOLDER


def write(lake: Lake, table: str, *rows: dict[str, object]) -> None:
    whole = [dict.fromkeys(TABLES[table].column_names) | {"run_id": "r", "ingest_batch": "b"} | row for row in rows]
    lake.upsert(table, pa.Table.from_pylist(whole, schema=TABLES[table].arrow))


def id_of(name: str) -> str:
    """The id of a video whose file has the sha256 `name` and zeros."""
    return name.ljust(16, "0")


def video(lake: Lake, name: str, *, caption: str = "a dog", version: str = "1") -> None:
    video_id = id_of(name)
    write(lake, "raw_videos", {"video_id": video_id, "digest": name, "provenance": name, "version": "probe"})
    made = {"clip_id": f"{video_id}_0", "video_id": video_id}
    write(lake, "clips", made | {"digest": name, "provenance": name, "version": "cut"})
    captioned = made | {"caption": caption, "digest": caption, "model": "m", "version": version}
    write(lake, "clip_captions", captioned | {"provenance": version})


def snapshot(lake: Lake) -> str:
    return take_snapshot(lake, run_id="test")[0]


def pins(lake: Lake) -> set[str]:
    return {name for table in pinned_tables() for name in lake.dataset(table.name).tags.list() if name.startswith(PIN)}


def forget(lake: Lake, *names: str) -> list[str]:
    """Removes the videos, with every snapshot and pin, as `resources.corpus.forgetting` does."""
    tombstones = [
        {"tombstone_id": f"sha256:{name}", "kind": "sha256", "value": name.ljust(64, "0"), "state": "done"}
        for name in names
    ]
    lake.upsert("tombstones", pa.Table.from_pylist(tombstones))
    for name in names:
        lake.delete("raw_videos", [id_of(name)])
        for table in ("clips", "clip_captions"):
            lake.delete(table, [f"{id_of(name)}_0"])
    tags = sorted({tag for table in pinned_tables() for tag in times_of_tags(lake.dataset(table.name))})
    kept = keep_differences(lake, tags, run_id="test")
    remove_snapshots(lake, tags)
    return kept


def told(lake: Lake, before: str, after: str | None = None) -> set[tuple[str, str, int, str]]:
    return {(row.table, row.kind, row.rows, row.reason) for row in differences(lake, before, after)}


OF_A_VIDEO = ("raw_videos", "clips", "clip_captions")
BY_ANOTHER = ("clip_captions", "changed", 1, "other content by m 2, before by m 1")


def test_after_a_forgotten_video_and_another_captioner_exactly_these_rows_are_told(lake):
    for name in ("aa", "bb", "cc"):
        video(lake, name)
    before = snapshot(lake)
    assert forget(lake, "aa") == [before]
    gone = {(table, "removed", 1, "forgotten") for table in OF_A_VIDEO}
    assert told(lake, before) == gone
    video(lake, "bb", caption="a cat", version="2")
    assert told(lake, before) == gone | {BY_ANOTHER}
    later = snapshot(lake)
    video(lake, "cc", caption="a cow", version="2")
    assert told(lake, before, later) == gone | {BY_ANOTHER}
    examples = {(row.kind, row.table): row.examples for row in differences(lake, before, later)}
    assert examples["changed", "clip_captions"] == (f"{id_of('bb')}_0",)
    assert [key[:4] for key in examples["removed", "clips"]] == ["md5:"]


def test_what_had_changed_before_the_video_was_forgotten_is_told_with_its_names(lake):
    for name in ("aa", "bb"):
        video(lake, name)
    before = snapshot(lake)
    video(lake, "bb", caption="a cat", version="2")
    video(lake, "cc")
    forget(lake, "aa")
    new = {(table, "added", 1, "of a new video") for table in OF_A_VIDEO}
    gone = {(table, "removed", 1, "forgotten") for table in OF_A_VIDEO}
    assert told(lake, before) == gone | new | {BY_ANOTHER}
    examples = {(row.kind, row.table): row.examples for row in differences(lake, before, None)}
    assert examples["changed", "clip_captions"] == (f"{id_of('bb')}_0",)
    assert examples["added", "raw_videos"] == (id_of("cc"),)


def test_through_several_forgettings_the_steps_add_up_and_what_came_and_went_is_nothing(lake):
    for name in ("aa", "bb", "cc"):
        video(lake, name)
    first = snapshot(lake)
    video(lake, "bb", caption="a cat", version="2")
    name_snapshot(lake, first, "first")
    second = snapshot(lake)
    name_snapshot(lake, second, "second")
    assert forget(lake, "aa") == [second, first]
    video(lake, "dd")
    video(lake, "bb")
    forget(lake, "dd")
    video(lake, "cc", caption="a cow", version="2")
    gone = {(table, "removed", 1, "forgotten") for table in OF_A_VIDEO}
    assert told(lake, first) == gone | {BY_ANOTHER}, "bb is as it was, and dd came and went"
    back = ("clip_captions", "changed", 1, "other content by m 1, before by m 2")
    assert told(lake, second) == gone | {BY_ANOTHER, back}
    assert told(lake, first, second) == {BY_ANOTHER}, "both had the forgotten video"
    assert told(lake, second, first) == {back}
    third = snapshot(lake)
    assert told(lake, third, first) == {
        ("clip_captions", "changed", 1, "other content by m 1, before by m 2"),
        *((table, "added", 1, "of a new video") for table in OF_A_VIDEO),
    }


def test_what_is_kept_names_no_video_and_no_caption(lake):
    video(lake, "aa", caption="zqzqzq")
    video(lake, "bb", caption="zpzpzp")
    before = snapshot(lake)
    forget(lake, "aa", "bb")
    assert lake.dataset("snapshot_changes").count_rows() == 6
    for table in ("snapshot_changes", "removed_snapshots"):
        for file in Path(lake.uri(table)).rglob("*"):
            text = file.read_bytes() if file.is_file() else b""
            assert not [word for word in (id_of("aa"), id_of("bb"), "zqzqzq") if word.encode() in text]
    assert told(lake, before) == {(table, "removed", 2, "forgotten") for table in OF_A_VIDEO}


def test_kept_are_snapshots_with_a_name_or_use_and_the_newest_and_those_without_a_name_for_a_while(lake):
    snapshots = {}
    for name in ("aa", "bb", "cc", "dd"):
        video(lake, name)
        snapshots[name] = snapshot(lake)
    name_snapshot(lake, snapshots["aa"], "paper")
    write(lake, "subset_snapshots", {"subset": "all", "snapshot": snapshots["bb"]})
    assert set(forget(lake, "aa")) == {snapshots["aa"], snapshots["bb"], snapshots["dd"]}
    assert {row["snapshot"] for row in removed_snapshots(lake)} == {snapshots["aa"], snapshots["bb"], snapshots["dd"]}
    with pytest.raises(SnapshotGone, match="no snapshot"):
        told(lake, snapshots["cc"])
    assert removed_snapshot_named(lake, "paper") == removed_snapshot_named(lake, snapshots["aa"]) == snapshots["aa"]
    remove_unused_snapshots(lake)
    assert told(lake, snapshots["bb"]), "not yet"
    remove_expired(lake, older_than=timedelta(0))
    assert [row["label"] for row in removed_snapshots(lake)] == ["paper"]
    assert told(lake, snapshots["aa"])
    assert len(pins(lake)) == 1
    unname(lake, snapshots["aa"])
    remove_expired(lake, older_than=timedelta(0))
    assert (removed_snapshots(lake), pins(lake), lake.dataset("snapshot_changes").count_rows()) == ([], set(), 0)


def test_pins_are_no_snapshots_and_none_is_made_where_nothing_is_kept(lake):
    video(lake, "aa")
    first = snapshot(lake)
    video(lake, "bb")
    second = snapshot(lake)
    assert keep_differences(lake, [first], run_id="test") == [], "nobody asks for it"
    assert pins(lake) == set()
    assert keep_differences(lake, [first, second], run_id="test") == [second]
    assert (len(pins(lake)), lake.tags()) == (1, sorted([first, second]))
    assert keep_differences(lake, [first, second], run_id="test") == [], "it is done already"
    assert len(pins(lake)) == 1
