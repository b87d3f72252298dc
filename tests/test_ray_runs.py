"""`internvid ingest` with the engine `ray`: its rows are those of the local engine, whatever is killed meanwhile."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from resources.lake.store import Lake

pytestmark = [pytest.mark.slow(minutes=5), pytest.mark.timeout(1800)]

INTERNVID = Path(sys.executable).with_name("internvid")
COMPARED = (
    "sources",
    "raw_videos",
    "clips",
    "frames",
    "fingerprints",
    "speech",
    "transcripts",
    "clip_things",
    "frame_captions",
    "clip_captions",
    "dialogues",
    "clip_scores",
    "attempts",
)
VIDEOS = 8
SUBTITLES = "1\n00:00:00,200 --> 00:00:01,200\nThe circle moves.\n\n2\n00:00:01,700 --> 00:00:02,900\nNow it is gone.\n"
SECONDS_STOPPED = 5.0
COMPUTES = "ray::Worker.outcomes"  # the title of a worker's process while it computes a chunk


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Without the caller's settings, and with a token that the cluster's processes know each other by."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("INTERNVID_", "DAGSTER_", "RAY_"))}
    return kept | {
        "INTERNVID_FIRST_MODEL": "",
        "DAGSTER_HOME": str(tmp_path_factory.mktemp("dagster")),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # of 15 by default: beside other tests its workers would get no core
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory, synthetic_video: Callable[..., Path]) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(VIDEOS):
        synthetic_video(folder, f"{number}.mp4", number)
    (folder / "1.en.srt").write_text(SUBTITLES)
    (folder / "broken.mp4").write_text("no video")
    return folder


@dataclass
class Run:
    """A run of `internvid ingest` in a session of its own."""

    process: subprocess.Popen
    log: Path

    def ends_well(self) -> bool:
        return self.process.wait() == 0


@pytest.fixture(scope="module")
def ingest(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], videos: Path
) -> Iterator[Callable[..., Run]]:
    """ingest(lake, *arguments, ray_address="…"): starts the command."""
    started: list[Run] = []

    def start(lake: Lake, *arguments: str, **settings: str) -> Run:
        log = tmp_path_factory.mktemp("log") / "log"
        variables = environment | {f"INTERNVID_{name.upper()}": text for name, text in settings.items()}
        with log.open("w") as file:
            command = [INTERNVID, "ingest", videos, "--lake", lake.root, *arguments]
            process = subprocess.Popen(command, env=variables, stdout=file, stderr=file, start_new_session=True)
        started.append(Run(process, log))
        return started[-1]

    yield start
    for run in started:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def expected(
    tmp_path_factory: pytest.TempPathFactory, ingest: Callable[..., Run], whole_tables: Callable[..., Any]
) -> dict[str, dict[str, dict[str, Any]]]:
    """The rows that the local engine makes."""
    lake = Lake(root=str(tmp_path_factory.mktemp("local") / "lake"))
    run = ingest(lake)
    assert run.ends_well(), run.log.read_text()
    tables: dict[str, dict[str, dict[str, Any]]] = whole_tables(lake, *COMPARED, without=("ingest_batch",))
    assert {table: len(rows) for table, rows in tables.items()} == {
        "sources": VIDEOS + 1,
        "raw_videos": VIDEOS,
        "clips": 2 * VIDEOS,
        "frames": 5 * VIDEOS,
        "fingerprints": VIDEOS,
        "speech": 2,
        "transcripts": 2,
        "clip_things": 2 * VIDEOS,
        "frame_captions": 5 * VIDEOS,
        "clip_captions": 2 * VIDEOS,
        "dialogues": VIDEOS,
        "clip_scores": 4 * VIDEOS,
        "attempts": 1 + VIDEOS - 1,  # the broken video; the videos in which nothing is said
    }
    return tables


def wait_for(condition: Callable[[], Any], process: subprocess.Popen, log: Path) -> None:
    """Waits as long as the test may take: Ray starts in seconds, and on a busy machine in minutes."""
    while not condition():
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)


def processes(title: str, *, under: int) -> list[int]:
    """Returns the processes with the title that descend from the process `under`, itself excluded."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            command = (folder / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
        if state not in "ZX":
            parents[int(folder.name)], titles[int(folder.name)] = int(parent), command

    def descends(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == under:
                return True
        return False

    return [pid for pid, command in titles.items() if title in command and descends(pid)]


def test_a_killed_run_leaves_no_ray_behind_and_a_model_that_is_missing_on_the_workers_stops_the_next(
    tmp_path: Path,
    ingest: Callable[..., Run],
    until: Callable[..., None],
    processes_in_session: Callable[[int], list[str]],
):
    lake = Lake(root=str(tmp_path / "lake"))
    killed = ingest(lake, engine="ray")
    wait_for(lambda: processes(COMPUTES, under=killed.process.pid), killed.process, killed.log)
    killed.process.kill()
    assert killed.process.wait() == -signal.SIGKILL
    until(lambda: processes_in_session(killed.process.pid) == [], "the end of Ray and its workers")

    run = ingest(lake, "--provider", f"fine_captioner={{kind: hub, weights: {tmp_path / 'nowhere'}}}", engine="ray")
    assert run.process.wait() == 1
    said = " ".join(re.sub(r"[│╭╮╰╯─]", " ", run.log.read_text()).split())
    assert f"frame_captions: {tmp_path / 'nowhere'} cannot be loaded: " in said
    assert not re.findall("Traceback|Warning", said)
    until(lambda: processes_in_session(run.process.pid) == [], "the end of Ray and its workers")
    assert lake.dataset("frames").count_rows() == 5 * VIDEOS
    assert lake.dataset("frame_captions").count_rows() == 0
    assert not lake.query("select * from attempts where stage = 'frame_captions'").num_rows


@dataclass
class Node:
    """A machine of the cluster, as far as Ray knows: `ray start` in a session of its own."""

    process: subprocess.Popen

    def raylet(self) -> int:
        (pid,) = processes("raylet/raylet ", under=self.process.pid)
        return pid

    def computing(self) -> list[int]:
        return processes(COMPUTES, under=self.process.pid)


@pytest.fixture
def cluster(tmp_path: Path, environment: dict[str, str]) -> Iterator[tuple[str, Node, Node]]:
    """The address of a cluster of two nodes with one core each, and the nodes."""
    nodes: list[Node] = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def start(*arguments: str) -> Node:
        log = tmp_path / f"node{len(nodes)}"
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", *arguments]
        with log.open("w") as file:
            process = subprocess.Popen(
                [*command, f"--object-store-memory={80 << 20}"],
                env=environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        nodes.append(Node(process))
        wait_for(lambda: "Ray runtime started" in log.read_text(), process, log)
        return nodes[-1]

    try:
        head = start("--head", f"--port={port}", "--include-dashboard=false")
        yield f"127.0.0.1:{port}", head, start(f"--address=127.0.0.1:{port}")
    finally:
        for node in nodes:
            for pid in processes("", under=node.process.pid):
                os.kill(pid, signal.SIGKILL)
            node.process.kill()
            node.process.wait()


def test_a_worker_that_is_stopped_for_a_while_changes_no_row(
    tmp_path: Path,
    cluster: tuple[str, Node, Node],
    ingest: Callable[..., Run],
    expected: dict[str, dict[str, dict[str, Any]]],
    whole_tables: Callable[..., Any],
):
    address, head, second = cluster
    lake = Lake(root=str(tmp_path / "lake"))
    run = ingest(lake, engine="ray", ray_address=address)
    wait_for(lambda: head.computing() and second.computing(), run.process, run.log)
    stopped = second.computing()[0]
    os.kill(stopped, signal.SIGSTOP)
    time.sleep(SECONDS_STOPPED)
    assert run.process.poll() is None, "it waits, or computes the units elsewhere"
    os.kill(stopped, signal.SIGCONT)
    assert run.ends_well(), run.log.read_text()
    tables = whole_tables(lake, *COMPARED, without=("ingest_batch",))
    for table in COMPARED:
        assert tables[table] == expected[table]


def test_a_killed_worker_and_a_killed_node_change_no_row(
    tmp_path: Path,
    cluster: tuple[str, Node, Node],
    ingest: Callable[..., Run],
    expected: dict[str, dict[str, dict[str, Any]]],
    whole_tables: Callable[..., Any],
):
    address, head, second = cluster
    lake = Lake(root=str(tmp_path / "lake"))
    run = ingest(lake, engine="ray", ray_address=address)
    wait_for(head.computing, run.process, run.log)
    os.kill(head.computing()[0], signal.SIGKILL)
    wait_for(second.computing, run.process, run.log)
    os.kill(second.raylet(), signal.SIGKILL)
    assert run.ends_well(), run.log.read_text()
    tables = whole_tables(lake, *COMPARED, without=("ingest_batch",))
    for table in COMPARED:
        assert tables[table] == expected[table]
