"""Folders that are published by subset: whole or not at all, and written only where something changed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lake_copies import IN_A_FOLDER

from resources.corpus import published_subset
from resources.corpus.published_subset import (
    PublishedRecord,
    RecordKind,
    SubsetPublication,
    publish_subset,
    published_subsets,
    read_subset_manifest,
)
from resources.lake.store import Lake

KIND = RecordKind("numbers", pa.schema([("number", pa.int64())]))


def publish(
    lake: Lake, numbers: Iterator[int] | range, *, digest: str, snapshot: str = "corpus-1"
) -> SubsetPublication:
    return publish_subset(
        lake,
        "interleaved",
        "all",
        snapshot=snapshot,
        form="form-1",
        parameters={"seed": 42},
        made_of={"digest": digest},
        kinds=[KIND],
        records=(PublishedRecord("numbers", {"number": number}) for number in numbers),
    )


def numbers_in(lake: Lake) -> list[int]:
    """Of the parquet files, in order; every file that the manifest names is as it says."""
    folder = lake.file("interleaved/all")
    manifest = read_subset_manifest(folder)
    assert manifest is not None
    sizes = {path.name: size for path, size in folder.files()}
    assert all(sizes[file.file] == file.bytes for file in manifest.files)
    numbers: list[int] = []
    for file in manifest.files:
        if file.file.endswith(".parquet"):
            with (folder / file.file).local() as path:
                numbers += pq.read_table(path)["number"].to_pylist()
    return numbers


def publish_until_killed(root: str) -> None:
    """Runs in a process of its own: publishes records, and says so before the last."""
    published_subset.RECORDS_PER_FILE = 3

    def numbers() -> Iterator[int]:
        yield from range(100, 110)
        print("half-way", flush=True)
        signal.pause()

    publish(Lake(root=root), numbers(), digest="other")


@IN_A_FOLDER
def test_a_publishing_that_is_killed_leaves_the_old_folder_and_the_next_the_new(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(lake, range(5), digest="old")
    code = "import sys, test_published_subset as test; test.publish_until_killed(sys.argv[1])"
    paths = [str(Path(__file__).parents[up]) for up in (3, 2, 0)]
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}; {code}", lake.root],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half-way\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert numbers_in(lake) == list(range(5))
    assert len(lake.file("interleaved/all").files()) > 3, "files of the one that was killed are there too"
    monkeypatch.setattr(published_subset, "RECORDS_PER_FILE", 4)
    publication = publish(lake, range(100, 110), digest="other")
    assert numbers_in(lake) == list(range(100, 110))
    assert [file.records for file in publication.manifest.files if file.file.endswith(".jsonl")] == [4, 4, 2]
    assert len(lake.file("interleaved/all").files()) == 7
    assert published_subsets(lake) == ["interleaved/all"]


def test_records_are_read_only_where_something_changed_or_a_file_is_gone(lake: Lake) -> None:
    def unread() -> Iterator[int]:
        raise AssertionError("the records are read")
        yield 0

    assert publish(lake, range(5), digest="same").was_written
    assert not publish(lake, unread(), digest="same").was_written
    assert not publish(lake, unread(), digest="same", snapshot="corpus-2").was_written
    manifest = read_subset_manifest(lake.file("interleaved/all"))
    assert manifest is not None
    assert manifest.snapshot == "corpus-2", "of which the same files are"
    (path,) = [path for path, _ in lake.file("interleaved/all").files() if path.name.endswith(".jsonl")]
    path.write_text("{")
    assert publish(lake, range(5), digest="same").was_written
    assert numbers_in(lake) == list(range(5))
