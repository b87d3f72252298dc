"""The published export: its files are those that the whole lake gives, and only those that changed are written."""

from __future__ import annotations

import hashlib
import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from changing_lake import ChangingLake
from lake_copies import IN_A_FOLDER, linked_copy

from orchestration.due import PUBLISHED
from resources.corpus.exports.jsonl import export
from resources.corpus.published_export import (
    CHECKED_IN_TURN,
    INTERNVID_JSONL,
    ExportedFile,
    Manifest,
    Publication,
    group_of,
    publish_export,
    read_files,
    read_manifest,
)
from resources.lake.paths import StoragePath
from resources.lake.published_files import MANIFEST, modified, withdraw
from resources.lake.store import Lake

TABLES_IN_BUCKET = ("clip_captions", "clips", "raw_videos", "subsets")

_tags = itertools.count()


def add_clips(lake: Lake, ingest_batch: str, captions: dict[str, str]) -> None:
    """Adds one video to the batch, with a clip for each caption. captions: clip_id ("video_000") -> text."""
    ids = list(captions)
    of_stage = {"ingest_batch": ingest_batch, "provenance": f"{ingest_batch} {captions}"}
    video_id = ids[0].split("_")[0]
    video = {"video_id": video_id, "source_id": video_id, "source": f"https://youtu.be/{video_id:-<11}"}
    lake.upsert("raw_videos", pl.DataFrame([video | of_stage]))
    clips = [{"clip_id": clip_id, "video_id": video_id} | of_stage for clip_id in ids]
    times = [{"start_seconds": float(number), "end_seconds": number + 1.0} for number in range(len(ids))]
    lake.upsert("clips", pl.DataFrame([clip | time for clip, time in zip(clips, times, strict=True)]))
    lake.upsert("clip_captions", pl.DataFrame([clip | {"caption": captions[clip["clip_id"]]} for clip in clips]))


def pinned(lake: Lake) -> str:
    """Pins the tables that the export reads; returns the name."""
    tag = f"snapshot-{next(_tags)}"
    for table in TABLES_IN_BUCKET[:3]:
        lake.dataset(table).tags.create(tag, lake.version(table))
    return tag


def publish(lake: Lake) -> Publication:
    return publish_export(lake, pinned(lake))


def published(lake: Lake) -> tuple[Manifest, dict[str, bytes]]:
    """Reads the export as others do, by its manifest; there is no file that the manifest does not name."""
    folder = lake.file(INTERNVID_JSONL)
    manifest = read_manifest(folder)
    assert manifest is not None
    files = read_files(folder, manifest)
    there = {str(path).removeprefix(f"{folder}/") for path, _ in folder.files(with_subfolders=True)}
    assert there == {MANIFEST, *(file.file for file in files), *(group.list for group in manifest.groups.values())}
    contents = {}
    for file in files:
        with (folder / file.file).local() as path:
            content = Path(path).read_bytes()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert file.clips == len(content.splitlines())
        contents[file.ingest_batch] = content
    assert manifest.files == len(files)
    assert manifest.clips == sum(file.clips for file in files)
    assert manifest.bytes == sum(file.bytes for file in files)
    return manifest, contents


def files_of(lake: Lake) -> list[ExportedFile]:
    folder = lake.file(INTERNVID_JSONL)
    manifest = read_manifest(folder)
    assert manifest is not None
    return read_files(folder, manifest)


def captions_in(content: bytes) -> list[str]:
    return [json.loads(line)["Caption"] for line in content.decode().splitlines()]


def inodes(lake: Lake) -> dict[str, tuple[int, int]]:
    """Name -> what changes where a file is written again."""
    folder = Path(lake.root, INTERNVID_JSONL)
    files = {str(file.relative_to(folder)): file.stat() for file in folder.glob("*/*.jsonl")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in files.items()}


def test_each_batch_is_a_file_and_the_manifest_says_what_it_was_made_from(lake):
    add_clips(lake, "2026-01-01-0002", {"b_000": "a wave"})
    add_clips(lake, "2026-01-01-0001", {"c_000": "a dog", "c_001": "a cat"})
    add_clips(lake, "2026-01-01-0001", {"a_000": "a car"})
    publication = publish(lake)
    manifest, contents = published(lake)
    assert {batch: captions_in(content) for batch, content in contents.items()} == {
        "2026-01-01-0001": ["a car", "a dog", "a cat"],
        "2026-01-01-0002": ["a wave"],
    }
    assert list(contents) == ["2026-01-01-0001", "2026-01-01-0002"]
    assert publication == Publication(manifest, written=2, clips_written=4, kept=0, whole_because="there is none yet")
    tables = TABLES_IN_BUCKET[:3]
    assert manifest.table_versions == {table: lake.dataset(table, manifest.snapshot).version for table in tables}
    assert {file.snapshot for file in files_of(lake)} == {manifest.snapshot}
    assert modified(lake, PUBLISHED[INTERNVID_JSONL]) is not None


def test_only_the_files_of_changed_batches_are_written_and_those_of_gone_batches_removed(lake):
    for batch in "abcd":
        add_clips(lake, batch, {f"{batch}_000": f"as it was {batch}", f"{batch}_001": "the same"})
    publish(lake)
    earlier = {file.ingest_batch: file for file in files_of(lake)}
    add_clips(lake, "b", {"b_000": "other words", "b_001": "the same"})
    lake.delete("clip_captions", ["c_000", "c_001"])
    add_clips(lake, "e", {"e_000": "new"})
    publication = publish(lake)
    _, contents = published(lake)
    assert {batch: captions_in(content) for batch, content in contents.items()} == {
        "a": ["as it was a", "the same"],
        "b": ["other words", "the same"],
        "d": ["as it was d", "the same"],
        "e": ["new"],
    }
    assert (publication.written, publication.kept, publication.whole_because) == (2, 2, None)
    assert [file for file in files_of(lake) if file.ingest_batch in "ad"] == [earlier["a"], earlier["d"]]


@IN_A_FOLDER
def test_a_file_that_stays_is_not_touched_and_one_that_was_lost_or_cut_off_is_made_again(lake):
    for batch in "abc":
        add_clips(lake, batch, {f"{batch}_000": f"of {batch}"})
    publish(lake)
    before, (_, contents) = inodes(lake), published(lake)
    names = {file.ingest_batch: file.file for file in files_of(lake)}
    publish(lake)
    assert inodes(lake) == before
    Path(lake.root, INTERNVID_JSONL, names["a"]).unlink()
    Path(lake.root, INTERNVID_JSONL, names["b"]).write_text("{")
    Path(lake.root, INTERNVID_JSONL, "left over.jsonl").write_text("of a publishing that was killed")
    publication = publish(lake)
    assert (publication.written, publication.kept) == (2, 1)
    assert published(lake)[1] == contents
    assert inodes(lake)[names["c"]] == before[names["c"]]


@IN_A_FOLDER
def test_of_many_folders_only_those_with_changes_and_some_in_turn_are_looked_into(lake):
    batches = [f"batch {number}" for number in range(30)]
    for batch in batches:
        add_clips(lake, batch, {f"{batch.replace(' ', '')}_000": "as it was"})
    publish(lake)
    folders = {group_of(batch) for batch in batches}
    assert len(folders) > 2 * CHECKED_IN_TURN + 2
    names = {file.ingest_batch: file.file for file in files_of(lake)}
    for name in names.values():
        Path(lake.root, INTERNVID_JSONL, name).write_text("{")
    add_clips(lake, batches[0], {"batch0_000": "other words"})
    first = publish(lake)
    assert CHECKED_IN_TURN <= first.written <= len(batches) - CHECKED_IN_TURN
    written = first.written
    for _ in range(50):
        written += publish(lake).written
        if written == len(batches):
            break
    assert len(published(lake)[1]) == len(batches), "in the end all are made again"


@IN_A_FOLDER
def test_an_export_of_an_earlier_version_is_replaced_as_a_whole(lake):
    add_clips(lake, "a", {"a_000": "a dog"})
    folder = Path(lake.root, INTERNVID_JSONL)
    folder.mkdir()
    (folder / MANIFEST).write_text(json.dumps({"format": "x", "files": []}))
    (folder / "a-0123456789abcdef.jsonl").write_text("{}")
    publish(lake)
    assert captions_in(published(lake)[1]["a"]) == ["a dog"]


@IN_A_FOLDER
def test_after_random_changes_the_files_in_order_are_what_the_command_exports(lake, tmp_path):
    changing = ChangingLake(lake, seed=0)
    changing.add_batch()
    changing.add_batch()
    publish(lake)
    for step in range(2):
        changing.change()
        if step == 1:
            for table in TABLES_IN_BUCKET[:3]:
                lake.dataset(table).optimize.compact_files()
        assert publish(lake).whole_because is None
        _, contents = published(lake)
        export(lake, tmp_path / "whole.jsonl")
        assert b"".join(contents.values()) == (tmp_path / "whole.jsonl").read_bytes()


@IN_A_FOLDER
def test_what_cannot_be_told_makes_every_file_anew(lake):
    add_clips(lake, "a", {"a_000": "a dog"})
    publish(lake)
    _, contents = published(lake)
    manifest_file = Path(lake.root, INTERNVID_JSONL, MANIFEST)
    as_made = json.loads(manifest_file.read_text())
    reasons: dict[str, Any] = {}
    for changed in ({"format": "older"}, {"statement_digest": "older"}, {"table_versions": {}}, {"groups": "?"}):
        manifest_file.write_text(json.dumps(as_made | changed))
        reasons[next(iter(changed))] = publish(lake).whole_because
        assert published(lake)[1] == contents
    assert reasons == {
        "format": "another version of this software made the earlier one",
        "statement_digest": "another version of this software made the earlier one",
        "table_versions": "the earlier version of clip_captions was removed",
        "groups": "there is none yet",
    }
    (the_list,) = Path(lake.root, INTERNVID_JSONL).glob("*/files-*.json")
    the_list.unlink()
    assert publish(lake).whole_because == "a list of files was lost"
    assert published(lake)[1] == contents
    add_clips(lake, "b", {"b_000": "a cat"})
    clips = lake.dataset("clips")
    for tag in clips.tags.list():
        clips.tags.delete(tag)
    clips.cleanup_old_versions(timedelta(0), delete_unverified=True)
    assert publish(lake).whole_because == "the earlier version of clips was removed"
    assert set(published(lake)[1]) == {"a", "b"}


def test_a_batch_key_that_is_no_file_name_stays_inside_the_folder(lake):
    keys = ["../../up", "a/b", "a b", "Zürich", ".."]
    for number, key in enumerate(keys):
        add_clips(lake, key, {f"v{number}_000": key})
    publish(lake)
    assert {batch: captions_in(content) for batch, content in published(lake)[1].items()} == {
        key: [key] for key in keys
    }


@IN_A_FOLDER
def test_a_clip_is_in_one_file_while_its_video_moves_to_another_batch(lake):
    add_clips(lake, "a", {"a_000": "a dog", "a_001": "a cat"})
    publish(lake)
    add_clips(lake, "b", {"a_000": "a dog", "a_001": "a cat"})
    publish(lake)
    assert {batch: captions_in(content) for batch, content in published(lake)[1].items()} == {"b": ["a dog", "a cat"]}


@IN_A_FOLDER
def test_a_lake_without_clips_is_an_export_without_files(lake):
    assert publish(lake).manifest.files == 0
    assert published(lake)[1] == {}


def test_withdrawn_it_is_gone_with_its_manifest_and_made_again_as_a_whole(lake):
    add_clips(lake, "a", {"a_000": "a dog"})
    publish(lake)
    assert withdraw(lake, INTERNVID_JSONL)
    assert lake.file(INTERNVID_JSONL).files() == []
    assert not withdraw(lake, INTERNVID_JSONL)
    assert publish(lake).whole_because == "there is none yet"


# --- killed, and at once ----------------------------------------------------------------------------------------

# Publishes the tag in a process of its own, which kills itself as it is about to do the nth of its changes to files.
KILLED = """
import os, signal, sys
from resources.corpus.published_export import publish_export
from resources.lake.store import Lake

root, tag, changes_left = sys.argv[1], sys.argv[2], int(sys.argv[3])

def count(event, arguments):
    global changes_left
    changes = event in ("os.rename", "os.remove", "os.mkdir")
    if changes and root in str(arguments[0]) and ".lance" not in str(arguments[0]):
        changes_left -= 1
        if changes_left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
publish_export(Lake(root=root), tag)
"""


@IN_A_FOLDER
def test_two_that_publish_different_snapshots_at_once_leave_one_of_them_complete(lake):
    tags, expected = [], []
    for number in range(2):
        for batch in "ab":
            add_clips(lake, batch, {f"{batch}_000": f"of {batch}, state {number}"})
        tags.append(pinned(lake))
        publish_export(lake, tags[-1])
        expected.append(readable(lake))
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(partial(publish_export, lake), tags))
    assert readable(lake) in expected


@IN_A_FOLDER
def test_a_file_that_another_publishing_removed_meanwhile_is_made_again(lake):
    add_clips(lake, "a", {"a_000": "a dog"})
    publish(lake)
    add_clips(lake, "b", {"b_000": "a cat"})
    removed, manifest = [], str(Path(lake.root, INTERNVID_JSONL, MANIFEST))

    def remove_the_new_file(event: str, arguments: tuple[Any, ...]) -> None:
        """Does, as the manifest is replaced, what another process does that read the older manifest."""
        if event == "os.rename" and not removed and str(arguments[1]) == manifest:
            removed.extend(Path(lake.root, INTERNVID_JSONL).glob("*/b-*.jsonl"))
            for file in removed:
                file.unlink()

    sys.addaudithook(remove_the_new_file)  # it stays, and does nothing after this test
    publish(lake)
    assert len(removed) == 1
    assert {batch: captions_in(content) for batch, content in published(lake)[1].items()} == {
        "a": ["a dog"],
        "b": ["a cat"],
    }


@pytest.mark.slow
@IN_A_FOLDER
def test_killed_before_any_of_its_changes_it_leaves_the_old_export_or_the_new_one(lake, new_copy):
    for batch in "ab":
        add_clips(lake, batch, {f"{batch}_000": f"of {batch}"})
    publish(lake)
    old = published(lake)[1]
    add_clips(lake, "b", {"b_000": "other words"})
    add_clips(lake, "c", {"c_000": "new"})
    tag = pinned(lake)
    expected = new_copy(lake)
    publish_export(expected, tag)
    new = published(expected)[1]
    assert old != new
    seen = []
    for changes in itertools.count():
        copy = new_copy(lake)
        done = subprocess.run([sys.executable, "-c", KILLED, copy.root, tag, str(changes)], check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        contents = readable(copy)
        assert contents in (old, new)
        seen.append(contents == new)
        publish_export(copy, tag)
        assert published(copy)[1] == new
    assert set(seen) == {False, True}, "it was killed before and after the manifest was replaced"


def readable(lake: Lake) -> dict[str, bytes]:
    """Reads the export by its manifest; other files may lie beside those that it names."""
    folder = Path(lake.root, INTERNVID_JSONL)
    manifest = read_manifest(StoragePath(str(folder)))
    assert manifest is not None
    files = read_files(StoragePath(str(folder)), manifest)
    return {file.ingest_batch: (folder / file.file).read_bytes() for file in files}


@pytest.fixture
def new_copy(tmp_path: Path) -> Callable[[Lake], Lake]:
    numbers = itertools.count()
    return lambda lake: Lake(root=str(linked_copy(Path(lake.root), tmp_path / f"copy {next(numbers)}")))
