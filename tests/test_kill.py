"""`kill -9` of a real `internvid ingest`, at seven moments: the next run goes on, and the end is the same."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from published_lines import published_lines

from orchestration.cli.session import Session
from orchestration.settings import Settings
from resources.lake.schema import TABLES
from resources.lake.store import Lake

pytestmark = pytest.mark.slow(minutes=3)

INTERNVID = Path(sys.executable).with_name("internvid")
COMPARED = ("sources", "raw_videos", "clips", "frames", "fingerprints", "frame_captions", "clip_captions", "attempts")
TWO_VIDEOS = 7 / 3600  # hours of video in a batch: two videos of 3 s
CHILD = "multiprocessing.spawn"  # in the command line of those that read video files, or, if forked, their server's
SERVER = "multiprocessing.forkserver"


@dataclass
class Run:
    """A run of `internvid ingest` in a session of its own, and what lay in the lake when it began."""

    process: subprocess.Popen
    lake: Lake
    before: dict[str, int]
    in_session: Callable[[int], list[str]]

    def has_committed(self, table: str) -> bool:
        return _commits(self.lake, table) > self.before[table]

    def has_children(self) -> bool:
        commands = self.in_session(self.process.pid)
        return any(CHILD in command for command in commands) or sum(SERVER in command for command in commands) > 1


def _commits(lake: Lake, table: str) -> int:
    return len(os.listdir(f"{lake.uri(table)}/_versions"))


# In the order of a run, since each goes on where the last was killed. The lake has two batches of two videos.
MOMENTS: dict[str, Callable[[Run], bool]] = {
    "headers are being read": lambda run: run.has_children(),
    "raw_videos are committed": lambda run: run.has_committed("raw_videos"),
    "videos are being decoded": lambda run: run.has_children(),
    "clips are committed, frames are not": lambda run: run.has_committed("clips"),
    "clip captions are committed": lambda run: run.has_committed("clip_captions"),
    "the second batch's frames are committed": lambda run: run.has_committed("frames"),
    "a snapshot is taken, nothing is made from it": lambda run: run.has_committed("corpus_snapshot"),
}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Without the caller's settings; the same for the runs and, to ask where the lake stands, for this process."""
    for name in [name for name in os.environ if name.startswith(("INTERNVID_", "DAGSTER_HOME"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("INTERNVID_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("INTERNVID_WORKERS", "2")
    monkeypatch.setenv("INTERNVID_FIRST_MODEL", "")
    (tmp_path / "temporary").mkdir()
    environment = dict(os.environ) | {"TMPDIR": str(tmp_path / "temporary")}
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster of the test"))
    return environment


def _start(folder: Path, lake: Lake, environment: dict[str, str], log: Path) -> subprocess.Popen:
    command = [INTERNVID, "ingest", folder, "--lake", lake.root, "--hours-per-batch", str(TWO_VIDEOS)]
    with log.open("w") as file:
        return subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)


def _is_half_finished(root: str) -> bool:
    """Whether an input of some stage is pending, or nothing was registered yet."""
    units = Session(Settings(lake=root)).counts()
    return any(of_stage["pending"] for of_stage in units.values()) or units["raw_videos"]["total"] == 0


@pytest.mark.timeout(600)
def test_kills_at_seven_moments_leave_nothing_behind_and_the_end_is_that_of_an_unbroken_run(
    tmp_path: Path,
    environment: dict[str, str],
    synthetic_video: Callable[..., Path],
    whole_tables: Callable[..., Any],
    processes_in_session: Callable[[int], list[str]],
    until: Callable[..., None],
):
    folder = tmp_path / "synthetic_videos"
    folder.mkdir()
    for number in range(4):
        synthetic_video(folder, f"{number}.mp4", number)
    (folder / "5.mp4").write_text("no video")
    log = tmp_path / "log"
    unbroken, lake = Lake(root=str(tmp_path / "unbroken")), Lake(root=str(tmp_path / "lake"))
    assert _start(folder, unbroken, environment, log).wait() == 0, log.read_text()
    lake.create_tables()

    half_finished = {}
    for number, (moment, has_come) in enumerate(MOMENTS.items()):
        before = {table: _commits(lake, table) for table in TABLES}
        process = _start(folder, lake, environment, log)
        run = Run(process, lake, before, processes_in_session)
        while not has_come(run):
            assert process.poll() is None, f"the run ended before {moment}: {log.read_text()}"
            time.sleep(0.02)  # a look at all processes takes some milliseconds itself
        if number % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        assert process.wait() == -signal.SIGKILL, moment
        until(lambda: processes_in_session(process.pid) == [], f"the end of every process, killed when {moment}")  # noqa: B023
        half_finished[moment] = _is_half_finished(lake.root)

    assert sum(half_finished.values()) == len(MOMENTS) - 1, half_finished  # the last was killed with all rows made

    assert _start(folder, lake, environment, log).wait() == 0, log.read_text()
    expected, found = (whole_tables(it, *COMPARED, without=("ingest_batch",)) for it in (unbroken, lake))
    assert {table: len(rows) for table, rows in expected.items()} == {
        "sources": 5,
        "raw_videos": 4,
        "clips": 8,
        "frames": 20,
        "fingerprints": 4,
        "frame_captions": 20,
        "clip_captions": 8,
        "attempts": 1 + 4,  # the broken video; videos in which nothing is said
    }
    for table in COMPARED:
        assert found[table] == expected[table]
    exports = [sorted(published_lines(it.root)) for it in (unbroken, lake)]  # batches differ, and with them the order
    assert exports[0] == exports[1]
    assert {path.name for path in Path(lake.root).iterdir()} >= {"statistics.duckdb", "report.html"}

    commits = {table: _commits(lake, table) for table in TABLES}
    assert _start(folder, lake, environment, log).wait() == 0, log.read_text()
    assert {table: _commits(lake, table) for table in TABLES} == commits, "nothing is left to do"
