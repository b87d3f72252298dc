"""A run whose processes are stopped, as on a machine that sleeps, while another run does its work; then it goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resources.lake.store import Lake

pytestmark = pytest.mark.slow

INTERNVID = Path(sys.executable).with_name("internvid")
COMPARED = ("sources", "raw_videos", "clips", "frames", "fingerprints", "frame_captions", "clip_captions", "attempts")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INTERNVID_", "DAGSTER_"))}
    (tmp_path / "temporary").mkdir()
    own = {"INTERNVID_WORKERS": "1", "INTERNVID_FIRST_MODEL": "", "TMPDIR": str(tmp_path / "temporary")}
    return kept | own


def start(folder: Path, lake: Lake, environment: dict[str, str], log: Path) -> subprocess.Popen:
    with log.open("w") as file:
        return subprocess.Popen(
            [INTERNVID, "ingest", folder, "--lake", lake.root],
            env=environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


@pytest.mark.timeout(600)
def test_a_run_that_is_stopped_while_another_does_its_work_goes_on_and_nothing_is_there_twice(
    tmp_path: Path,
    environment: dict[str, str],
    synthetic_video: Callable[..., Path],
    new_lake: Callable[[Path], Lake],
    whole_tables: Callable[..., Any],
):
    folder, log = tmp_path / "synthetic_videos", tmp_path / "log"
    folder.mkdir()
    for number in range(2):
        synthetic_video(folder, f"{number}.mp4", number)
    (folder / "3.mp4").write_text("no video")
    unbroken, lake = (new_lake(tmp_path / name) for name in ("unbroken", "lake"))
    assert start(folder, unbroken, environment, log).wait() == 0, log.read_text()

    before = lake.version("raw_videos")
    stopped = start(folder, lake, environment, log)
    while lake.version("raw_videos") == before:
        assert stopped.poll() is None, log.read_text()
        time.sleep(0.02)
    os.killpg(stopped.pid, signal.SIGSTOP)
    assert lake.dataset("clips").count_rows() == 0, "stopped in the midst"
    other_log = tmp_path / "other log"
    try:
        assert start(folder, lake, environment, other_log).wait(300) == 0, other_log.read_text()
    finally:
        os.killpg(stopped.pid, signal.SIGCONT)
    assert stopped.wait(300) == 0, log.read_text()
    assert "Traceback" not in log.read_text()
    assert whole_tables(lake, *COMPARED) == whole_tables(unbroken, *COMPARED)
