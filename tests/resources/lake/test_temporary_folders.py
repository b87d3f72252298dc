"""Temporary folders of processes that were killed."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from resources.lake.temporary_folders import (
    HIDDEN,
    LOCK,
    PREFIX,
    SECONDS_HIDDEN,
    SECONDS_UNTOUCHED,
    remove_abandoned,
    temporary_folder,
)

OWNER = """
import time
from resources.lake.temporary_folders import temporary_folder
with temporary_folder() as folder:
    (folder / "frames.arrow").write_bytes(b"0" * 1000)
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    remove_abandoned.cache_clear()
    return tmp_path


def test_the_folder_of_a_killed_process_is_removed_by_the_next_and_that_of_a_living_one_stays(temporary: Path):
    owners = [
        subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for _ in range(2)
    ]
    abandoned, used = (Path(owner.stdout.readline().strip()) for owner in owners)
    owners[0].kill()
    owners[0].wait()
    assert abandoned.exists()
    (temporary / f"{PREFIX}of-somebody-else").mkdir()
    with temporary_folder():
        assert not abandoned.exists()
        assert (used / "frames.arrow").exists()
        assert (temporary / f"{PREFIX}of-somebody-else").exists()
    owners[1].kill()
    owners[1].wait()


def test_it_is_gone_at_the_end_also_after_an_error(temporary: Path):
    with pytest.raises(ValueError, match="of the block"), temporary_folder() as folder:
        raise ValueError("of the block")
    assert not folder.exists()
    assert list(temporary.iterdir()) == []


def test_what_is_left_of_a_folder_that_was_being_removed_is_removed_later(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
):
    """The file of the lock may have gone first."""

    def killed(folder: Path) -> None:
        (folder / LOCK).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt), temporary_folder() as folder:
            (folder / "frames.arrow").write_bytes(b"0" * 1000)
    (left,) = temporary.iterdir()
    age(left, SECONDS_HIDDEN - 60)
    remove_abandoned.cache_clear()
    with temporary_folder():
        assert left.exists(), "it may be one that is being made"
    age(left, SECONDS_HIDDEN)
    remove_abandoned.cache_clear()
    with temporary_folder():
        assert not left.exists()


def test_beside_a_file_only_what_is_abandoned_for_a_day_is_removed(tmp_path: Path):
    """Other machines may write there whose locks are not seen."""
    beside = tmp_path / "lake"
    abandoned, new, hidden = beside / f"{PREFIX}abandoned", beside / f"{PREFIX}new", beside / f"{HIDDEN}old"
    for folder in (abandoned, new, hidden):
        folder.mkdir(parents=True)
        (folder / LOCK).touch()
    for folder in (abandoned, hidden):
        age(folder, SECONDS_UNTOUCHED)
    with temporary_folder(beside) as used:
        assert sorted(beside.iterdir()) == sorted([new, used])


def age(folder: Path, seconds: float) -> None:
    """Makes as if nothing was made or removed in it since."""
    os.utime(folder, (time.time() - seconds - 1,) * 2)
