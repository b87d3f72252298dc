"""Files and folders on a disk, in a bucket, and on another storage of fsspec: the same calls do the same."""

from __future__ import annotations

import itertools
import os
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.lake.paths import StoragePath, absolute, folder_on_this_machine, fsspec_options

_folders = itertools.count()


@pytest.fixture(params=["disk", "file uri", "bucket", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StoragePath:
    """A folder of which nothing exists yet, but the disk's parent."""
    number = next(_folders)
    if request.param == "disk":
        return StoragePath(str(tmp_path))
    if request.param == "file uri":
        return StoragePath(tmp_path.as_uri())
    if request.param == "bucket":
        return StoragePath(f"s3://lakes/paths/{number}", fsspec_options(request.getfixturevalue("s3")))
    return StoragePath(f"memory://paths/{number}")


@pytest.fixture
def text_file(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("elsewhere") / "text"
    file.write_text("first")
    return file


def test_a_part_of_a_file_is_read(folder, text_file):
    file = folder / "x.txt"
    with pytest.raises(FileNotFoundError):
        file.size()
    with pytest.raises(FileNotFoundError):
        file.read(0, 1)
    file.put(text_file)
    assert file.size() == len("first")
    assert [file.read(0, 2), file.read(2, 4), file.read(3, 99)] == [b"fi", b"rs", b"st"]


def test_a_file_is_put_found_read_replaced_and_removed(folder, text_file):
    file = folder / "ab" / "x.txt"
    assert (file.exists(), file.modified(), (folder / "ab").files()) == (False, None, [])
    file.put(text_file)
    assert (file.exists(), file.read_text(), file.name) == (True, "first", "x.txt")
    modified = file.modified()
    assert modified is not None
    assert abs(modified - datetime.now(UTC)) < timedelta(minutes=5)
    file.write_text("näher")
    assert file.read_text() == "näher"
    assert (folder / "ab").files() == folder.files(with_subfolders=True) == [(file, 6)]
    assert folder.files() == []
    with file.local() as path:
        assert Path(path).read_text(encoding="utf-8") == "näher"
    file.remove()
    file.remove()
    assert not file.exists()


def test_a_file_that_is_not_filled_to_its_end_leaves_the_old_one_and_nothing_beside_it(folder, text_file):
    file = folder / "x.txt"
    file.put(text_file)

    def fill() -> None:
        with file.filled() as part:
            part.write_text("half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        fill()
    assert file.read_text() == "first"
    assert len(folder.files(with_subfolders=True)) == 1


def test_a_file_that_is_not_put_to_its_end_leaves_the_old_one_and_nothing_beside_it(tmp_path, text_file):
    file = StoragePath(str(tmp_path)) / "x.txt"
    file.put(text_file)
    text_file.write_bytes(bytes(1 << 20))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            file.put(text_file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


def test_a_folder_replaces_the_one_that_is_there(folder, tmp_path_factory):
    checkpoint = folder / "checkpoints" / "one"
    for contents in ({"a.json": "1", "weights": "old"}, {"b.json": "22", "weights": "new"}):
        made = tmp_path_factory.mktemp("made")
        for name, text in contents.items():
            (made / name).write_text(text)
        checkpoint.put_folder(made, last="weights")
    assert [(file.name, size) for file, size in checkpoint.files()] == [("b.json", 2), ("weights", 3)]
    assert len((folder / "checkpoints").files(with_subfolders=True)) == 2, "no part is left beside it"
    copy = tmp_path_factory.mktemp("copies") / "deep" / "one"
    checkpoint.fetch_folder(copy)
    assert {file.name: file.read_text() for file in copy.iterdir()} == {"b.json": "22", "weights": "new"}
    assert [entry.name for entry in copy.parent.iterdir()] == ["one"]


def test_only_what_is_on_a_disk_has_a_path_there(tmp_path):
    assert StoragePath((tmp_path / "a b").as_uri()).on_disk == tmp_path / "a b"
    assert StoragePath("relative").is_local
    assert not StoragePath("s3://bucket/a").is_local
    with pytest.raises(ValueError, match="s3://bucket/a is not on this machine's disk"):
        StoragePath("s3://bucket/a").on_disk  # noqa: B018


def test_state_of_this_machine_lies_beside_a_local_lake_and_in_the_home_folder_for_a_remote_one(tmp_path):
    assert folder_on_this_machine(str(tmp_path), ".dagster") == tmp_path / ".dagster"
    assert folder_on_this_machine("s3://bucket/lake", ".dagster") == Path.home() / ".internvid" / "dagster"
    assert absolute("s3://bucket/lake") == "s3://bucket/lake"
    assert absolute("~/lake") == os.path.expanduser("~/lake")
    assert absolute("lake") == os.path.join(os.getcwd(), "lake")


def test_keys_are_not_shown_where_a_path_is_printed():
    assert "secret" not in repr(StoragePath("s3://bucket/a", {"secret": "secret"}))
