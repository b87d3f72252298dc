"""Temporary folders of processes that were killed."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from resources.lake.temporary_folders import PREFIX, remove_abandoned, temporary_folder

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
