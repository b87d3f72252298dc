"""A lake that collects for hours, compressed: `PYTHONPATH=.:tests python tests/chaos/soak.py --hours 24
--seconds-per-hour 60`. Needs a C compiler, for the clock.

The code location and the daemon run with all that they do by themselves: polls of a feed, downloads from a server on
loopback, retries, publishing, maintenance at night. The clock of all these processes jumps to the next hour, so that
schedules, next tries and cooldowns are due. Beside it videos are forgotten, tables are maintained and models are
trained by commands. Every hour what was published, registered and made has to add up. At the end what is left is worked
off, and nothing may have grown beyond its bound: `growth` says which.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from kill_commands import COLOURS, COMMAND, REPOSITORY
from shifted_clock import ShiftedClock, shifted_clock
from web_server import Feed, File, Page, Status, WebServer, web_server

from internvid.synthetic.plans import Backdrop, Figure, Shot, VideoPlan
from internvid.synthetic.render import render
from resources.catalog.tombstones import begun
from resources.lake.maintenance import MARGIN
from resources.lake.schema import TABLES
from resources.lake.store import Lake

MEBIBYTE = 2**20
FIRST_MODEL = "viclip-tiny|all"
PUBLISHED_PER_HOUR = 2  # videos that can be had; every few hours also one of each kind that cannot at once
FORGOTTEN_EVERY, TRAINED_EVERY, MAINTAINED_EVERY = 2, 6, 6  # hours
# Of what is there at the end, over what was there once all had been loaded.
MAX_MEMORY_GROWTH, MAX_MEMORY_BYTES_MORE = 1.25, 96 * MEBIBYTE
MAX_FILES_MORE = 24
# Of torch's compiler, the rate limit of sites, a library of encryption, and of children of a killed process.
KEPT_TEMPORARY = ("torchinductor", "internvid-rate-limit", ".ses", "pymp-")
MAX_TEMPORARY_BYTES = 512 * MEBIBYTE  # while runs are under way
HOURS_TO_LOAD = 4
MAX_VERSIONS_AFTER_TWO_WEEKS = 6  # of a table, that no snapshot pins
MAX_QUEUED = 8  # runs, when an hour ends
AGAIN = "do the same again"  # says a command
SECONDS_TO_START, SECONDS_TO_WORK_OFF = 300, 1200
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
JUST_STARTING = UNFINISHED[1:3]  # the daemon gives up a run that starts for minutes: no jump of the clock meanwhile
KEYS = ("sources", "downloads", "raw_videos", "clips", "frames", "clip_captions", "clip_embeddings", "attempts")


@dataclass(frozen=True)
class Published:
    """A video of the server. comes: whether it can be had, be it at a later try. path: of its URL."""

    path: str
    url: str
    comes: bool


@dataclass(frozen=True)
class Measured:
    """What there is at the end of an hour. memory, files: of the processes that live on, by their part: bytes of
    memory, open files. stages: units by state, by stage."""

    hour: float
    memory: dict[str, int]
    files: dict[str, int]
    processes: int
    temporary_bytes: int
    temporary_entries: list[str]
    lake_bytes: int
    dagster_bytes: int
    training_bytes: int
    versions: int
    manifests: int
    rows: dict[str, int]
    stages: dict[str, dict[str, int]]
    runs: dict[str, int]


@dataclass
class Soak:
    """The running lake, the server that it collects from, and what was published and forgotten so far."""

    folder: Path
    clock: ShiftedClock
    servers: tuple[WebServer, WebServer]
    feed: Feed
    seed: int = 0
    daemons: int = 1
    trains: bool = True
    published: list[Published] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    children: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.lake = Lake(root=str(self.folder / "lake"))
        self.temporary.mkdir()

    @property
    def temporary(self) -> Path:
        return self.folder / "temporary"

    @property
    def homes(self) -> list[Path]:
        """Of Dagster, one for each daemon: as on so many machines that share the lake."""
        return [self.folder / f"dagster{number}" for number in range(self.daemons)]

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("INTERNVID_", "DAGSTER_"))}
        downloader = {
            "kind": "yt_dlp",
            "min_duration_seconds": 0,
            "min_short_side": 0,
            "seconds_between_starts": 0,
            "allowed_addresses": ["127.0.0.0/8"],
            "max_wait_seconds": 5,
        }
        return kept | {
            "INTERNVID_LAKE": self.lake.root,
            "DAGSTER_HOME": str(self.homes[0]),
            "INTERNVID_WORKERS": "1",
            "INTERNVID_COLLECT": "1",
            "INTERNVID_DISCOVER_CRON": "0 * * * *",
            "INTERNVID_TRIAL_STEPS": "4",
            "INTERNVID_FIRST_MODEL": FIRST_MODEL if self.trains else "",
            "INTERNVID_PROVIDER_DOWNLOADER": json.dumps(downloader),
            # A jump looks like threads that were silent for an hour.
            "DAGSTER_DAEMON_HEARTBEAT_TOLERANCE": "1000000000",
            "DAGSTER_PROXY_SERVER_HEARTBEAT_TIMEOUT": "1000000",
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(REPOSITORY),
            **self.clock.environment,
        }

    # --- what happens --------------------------------------------------------------------------------------------

    def publish(self, hour: int) -> None:
        """New videos of the feed: some that can be had, and others that are gone, broken, or fail at first."""
        for _ in range(PUBLISHED_PER_HOUR):
            video = File(self._video())
            self._offer(0, "good", video, comes=True)
        if hour % 2 == 0:
            self._offer(0, "busy", Status(503), File(self._video()), comes=True)
        if hour % 3 == 0:
            video = self._video()
            self._offer(0, "cut", File(video), File(video, cut_at=0.5), File(video), comes=True)
        if hour % 4 == 1:
            self._offer(0, "gone", Status(404), comes=False)
        if hour % 5 == 1:
            self._offer(0, "words", Page("no video", type="video/mp4"), comes=False)
        if hour % 6 == 2:  # the whole site has a cooldown
            self._offer(1, "often", Status(429, {"Retry-After": "600"}), File(self._video()), comes=True)

    def _offer(self, server: int, kind: str, *acts: Any, comes: bool) -> None:
        path = f"/{kind}{len(self.published)}.mp4"
        url = self.servers[server].add(path, *acts)
        self.feed.add(url, f"{kind} {len(self.published)}", seconds=3)
        self.published.append(Published(path, url, comes))

    def _video(self) -> Path:
        """Another one each time: 3 s in two shots."""
        number = self.chance.randrange(2**31)
        shots = (
            Shot(15, Backdrop("flat", COLOURS[number % len(COLOURS)]), (Figure("circle", "pink", "moving right"),)),
            Shot(15, Backdrop("noise", "grey", number)),
        )
        plan = VideoPlan("synthetic_video", shots, width=160, height=120, fps=10, sound=False)
        rendering = self.folder / ".rendering"
        path = render(plan, rendering, seed=number).rename(self.folder / "web" / f"{number}.mp4")
        shutil.rmtree(rendering)
        return path

    def forget_one(self) -> None:
        """Forgets one of the videos that are stored, by its URL."""
        stored = set(self.lake.polars("downloads", columns=["url"])["url"].to_list())
        chosen = sorted(each.url for each in self.published if each.url in stored)
        if chosen and (url := self.chance.choice(chosen)) not in self.forgotten:
            self.start("forget", url, "--yes")
            self.forgotten.append(url)

    def start(self, *words: str) -> None:
        """Starts a command beside all else."""
        with (self.folder / "commands.log").open("ab") as log:
            log.write(f"\n$ {' '.join(words)} ({self.clock.now():%d %H:%M})\n".encode())
            log.flush()
            process = subprocess.Popen([*COMMAND, *words], env=self.environment, stdout=log, stderr=log)
        self.children.append((" ".join(words), process))

    def collect_commands(self, *, wait: bool = False) -> None:
        """Notes how the commands ended. wait: for those that did not yet."""
        left, before = [], len(self.children)
        for words, process in self.children[:before]:
            if (code := process.wait(SECONDS_TO_WORK_OFF) if wait else process.poll()) is None:
                left.append((words, process))
            elif code and not self._is_to_be_done_again(words):
                self.wrong.append(f"{words}: exit code {code}")
        self.children = [*left, *self.children[before:]]
        if wait and self.children:
            self.collect_commands(wait=True)

    def _is_to_be_done_again(self, words: str) -> bool:
        """Does a command again that says so: a forgetting removed what it read."""
        said = (self.folder / "commands.log").read_text(encoding="utf-8", errors="replace")
        if AGAIN not in said.rpartition(f"$ {words} ")[2]:
            return False
        self.start(*words.split())
        return True

    # --- what is looked at ---------------------------------------------------------------------------------------

    def counts(self) -> dict[str, dict[str, int]]:
        """Units by state, by stage, counted by the shifted clock."""
        command = [sys.executable, __file__, "--counts"]
        paths = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "tests")))
        done = subprocess.run(
            command, env=self.environment | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        counts: dict[str, dict[str, int]] = json.loads(done.stdout.splitlines()[-1])
        return counts

    def runs(self, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
        """The runs of all daemons, the newest first."""
        found: list[dg.RunRecord] = []
        for home in self.homes:
            with dg.DagsterInstance.from_config(str(home)) as instance:
                found += instance.get_run_records(dg.RunsFilter(statuses=list(statuses)) if statuses else None)
        return [record.dagster_run for record in sorted(found, key=lambda each: each.create_timestamp, reverse=True)]

    def measure(self, hour: float, leaders: Sequence[int]) -> Measured:
        memory, files = {}, {}
        parts = dict(long_lived(leaders))
        for pid, part in parts.items():
            memory[part] = memory.get(part, 0) + resident_bytes(pid)
            files[part] = files.get(part, 0) + open_files(pid)
        root = Path(self.lake.root)
        datasets = {name: self.lake.dataset(name) for name in TABLES if (root / f"{name}.lance").exists()}
        return Measured(
            hour=hour,
            memory=memory,
            files=files,
            processes=len(parts),
            temporary_bytes=size_of(self.temporary),
            temporary_entries=sorted(path.name for path in self.temporary.iterdir()),
            lake_bytes=size_of(root),
            dagster_bytes=sum(map(size_of, self.homes)),
            training_bytes=size_of(root / "training"),
            versions=sum(len(dataset.versions()) for dataset in datasets.values()),
            manifests=sum(1 for _ in root.glob("*.lance/_versions/*.manifest")),
            rows={name: datasets[name].count_rows() for name in KEYS},
            stages=self.counts(),
            runs=dict(Counter(run.status.value for run in self.runs())),
        )

    def add_up(self, measured: Measured) -> Iterator[str]:
        """What does not add up at the end of an hour, while work may be under way."""
        for table in KEYS:
            keys = self.lake.polars(table, columns=[TABLES[table].key])[TABLES[table].key]
            if twice := keys.len() - keys.n_unique():
                yield f"{twice} keys of {table} are there twice"
        uris = set(self.lake.polars("sources", columns=["uri"])["uri"].to_list())
        if unknown := uris - {each.url for each in self.published}:
            yield f"sources that nobody published: {sorted(unknown)}"
        ended = {words.split()[1] for words, _ in self.children if words.startswith("forget")}
        # One whose tombstones are begun may be written by a run that was under way: the next command goes on with it.
        going_on, _ = begun(self.lake)
        if back := uris.intersection(self.forgotten) - ended - going_on.urls:
            yield f"forgotten, and there again: {sorted(back)}"
        downloads = sum(measured.stages["downloads"][state] for state in STATES)
        # Before and after the units were counted: a poll may register some between, a command may forget some.
        sources = (measured.rows["sources"], len(uris))
        if not min(sources) <= downloads <= max(sources) <= len(self.published):
            yield f"{downloads} units of downloads, {sources} sources, {len(self.published)} published"
        wanted = {each.url for each in self.published if each.comes}
        stored = self.lake.polars("downloads", columns=["url"])["url"].to_list()
        if extra := set(stored) - wanted:
            yield f"downloaded, though it cannot be had: {sorted(extra)}"

    def is_worked_off(self) -> bool:
        """Whether all that can be had is downloaded, and nothing is pending, with a model for the vectors."""
        stages = self.counts()
        is_pending = any(states["pending"] or states["waiting"] for states in stages.values())
        expected = sum(each.comes and each.url not in self.forgotten for each in self.published)
        vectors, clips = (self.lake.dataset(name).count_rows() for name in ("clip_embeddings", "clips"))
        has_vectors = vectors == clips or not self.trains
        return not is_pending and stages["downloads"]["done"] == expected and has_vectors

    def all_is_there(self) -> Iterator[str]:
        """What is lost or too much once all is worked off."""
        expected = {each.url for each in self.published if each.comes} - set(self.forgotten)
        stored = self.lake.polars("downloads", columns=["url", "sha256"])
        if set(stored["url"]) != expected:
            lost, extra = sorted(expected - set(stored["url"])), sorted(set(stored["url"]) - expected)
            yield f"not downloaded: {lost}; downloaded, though forgotten or gone: {extra}"
        registered = set(self.lake.polars("sources", columns=["uri"])["uri"])
        if registered != (left := {each.url for each in self.published} - set(self.forgotten)):
            yield f"sources: {sorted(left - registered)} are not there, {sorted(registered - left)} should not be"
        videos = self.lake.polars("raw_videos", columns=["video_id", "sha256"])
        if sorted(videos["sha256"]) != sorted(stored["sha256"]):
            yield f"{videos.height} videos of {stored.height} downloads"
        vectors = 2 if self.trains else 0
        for table, per_video in (("clips", 2), ("frames", 5), ("clip_captions", 2), ("clip_embeddings", vectors)):
            if (rows := self.lake.polars(table, columns=["video_id"]).height) != per_video * videos.height:
                yield f"{rows} rows of {table} for {videos.height} videos"
        again = [
            each.path
            for each in self.published
            if len([request for server in self.servers for request in server.asked(each.path)]) > 16
        ]
        if again:
            yield f"asked for again and again: {again}"


def long_lived(leaders: Sequence[int]) -> Iterator[tuple[int, str]]:
    """The processes of the deployment that do not belong to a run, by what they are. leaders: of their sessions."""
    names = (
        ("daemon", ("dagster-daemon",)),
        ("code", ("dagster api grpc", "dagster code-server")),
    )
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            session = (folder / "stat").read_text().rsplit(")", 1)[1].split()[3]
            command = (folder / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
        if int(session) in leaders:
            for name, marks in names:
                if any(mark in command for mark in marks):
                    yield int(folder.name), name
                    break


def resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0


def open_files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def size_of(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.lstat().st_size
        except FileNotFoundError:
            continue  # removed meanwhile
    return size


def growth(hours: Sequence[Measured]) -> Iterator[str]:
    """What grew beyond its bound. The first third of the hours, four at least, are for loading what is needed."""
    first, last = hours[: max(HOURS_TO_LOAD, len(hours) // 3)], hours[-1]
    for part in last.memory:
        before = max(hour.memory.get(part, 0) for hour in first)
        if last.memory[part] > MAX_MEMORY_GROWTH * before + MAX_MEMORY_BYTES_MORE:
            yield f"memory of {part}: {before // MEBIBYTE} MiB, then {last.memory[part] // MEBIBYTE}"
        files = max(hour.files.get(part, 0) for hour in first)
        if last.files[part] > files + MAX_FILES_MORE:
            yield f"open files of {part}: {files}, then {last.files[part]}"
    if last.processes > max(hour.processes for hour in first):
        yield f"processes: {last.processes}"
    for hour in hours:
        if hour.temporary_bytes > MAX_TEMPORARY_BYTES:
            yield f"hour {hour.hour}: {hour.temporary_bytes // MEBIBYTE} MiB of temporary files"


@contextmanager
def running(soak: Soak, home: Path) -> Iterator[tuple[int, ...]]:
    """A code location and a daemon with this folder of Dagster, until they are ended with all that they started.

    Not `internvid ui`: its processes end where the clock says that the others were silent for an hour. Yields the
    processes that lead their sessions.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = soak.environment | {"DAGSTER_HOME": str(home), "INTERNVID_CODE_LOCATION": f"127.0.0.1:{port}"}
    processes = []
    try:
        for part in ("code-location", "daemon"):
            with (soak.folder / f"{home.name}-{part}.log").open("wb") as log:
                command = [*COMMAND, "serve", part]
                processes.append(
                    subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
                )
            end = time.monotonic() + SECONDS_TO_START
            while not listens(int(port)):
                assert processes[-1].poll() is None, (soak.folder / f"{home.name}-{part}.log").read_text()[-3000:]
                assert time.monotonic() < end, f"the {part} does not start"
                time.sleep(1)
        yield tuple(process.pid for process in processes)
    finally:
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                soak.wrong.append(f"{process.args[-1]} did not end by itself")
            with suppress(ProcessLookupError):  # all of it has ended
                os.killpg(process.pid, signal.SIGKILL)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def soaked(
    folder: Path,
    *,
    hours: int,
    seconds_per_hour: float,
    first_hour: int,
    seed: int = 0,
    daemons: int = 1,
    trains: bool = True,
) -> list[str]:
    """Lets the lake collect for so many hours, prints a line for each, and returns what was wrong."""
    with ExitStack() as stack:
        clock = stack.enter_context(shifted_clock(folder))
        servers = (stack.enter_context(web_server()), stack.enter_context(web_server("127.0.0.2")))
        (folder / "web").mkdir()
        soak = Soak(folder, clock, servers, servers[0].add_feed("/feed.rss"), seed, daemons, trains)
        midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        clock.set(midnight + timedelta(hours=first_hour))
        soak.start("feeds", "add", f"{servers[0].url}/feed.rss", "--every-hours", "0.5", "--max-per-poll", "1000")
        soak.collect_commands(wait=True)
        measured: list[Measured] = []
        print(HEADINGS, flush=True)
        with ExitStack() as services:
            leaders = [leader for home in soak.homes for leader in services.enter_context(running(soak, home))]
            for hour in range(hours):
                until = time.monotonic() + seconds_per_hour
                begin_hour(soak, hour)
                time.sleep(max(0.0, until - time.monotonic()))
                soak.collect_commands()
                measured.append(soak.measure(hour + 1, leaders))
                soak.wrong += [f"hour {hour + 1}: {text}" for text in soak.add_up(measured[-1])]
                print(line(measured[-1], soak), flush=True)
                to_next_hour(soak)
            work_off(soak, leaders, measured, seconds_per_hour)
        soak.wrong += [*soak.all_is_there(), *growth(measured), *after_two_weeks(soak)]
        return soak.wrong


def begin_hour(soak: Soak, hour: int) -> None:
    soak.publish(hour)
    if hour == 0:  # schedules begin with the next
        soak.start("feeds", "poll")
    if hour % FORGOTTEN_EVERY == 1:
        soak.forget_one()
    if hour % MAINTAINED_EVERY == MAINTAINED_EVERY - 1:
        soak.start("maintain")
    if soak.trains and hour % TRAINED_EVERY == TRAINED_EVERY - 2:
        soak.start("train", "viclip-tiny", "--subset", "all")


def to_next_hour(soak: Soak) -> None:
    """Where the machine is busy with other work, an hour is longer: the queue would say more of it than of the lake."""
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end:
        if not soak.runs(*JUST_STARTING) and len(soak.runs(dg.DagsterRunStatus.QUEUED)) <= MAX_QUEUED:
            break
        time.sleep(1)
    now = soak.clock.now()
    soak.clock.set(now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1))


def work_off(soak: Soak, leaders: Sequence[int], measured: list[Measured], seconds_per_hour: float) -> None:
    """Hours in which nothing is published, until no run is under way and nothing is pending."""
    end = time.monotonic() + SECONDS_TO_WORK_OFF
    soak.collect_commands(wait=True)
    while True:
        time.sleep(seconds_per_hour)
        while soak.runs(*UNFINISHED) and time.monotonic() < end:
            time.sleep(2)
        is_done = soak.is_worked_off() and not soak.runs(*UNFINISHED)
        if is_done or time.monotonic() > end:
            break
        to_next_hour(soak)
    measured.append(soak.measure(measured[-1].hour + 1, leaders))
    print(line(measured[-1], soak), flush=True)
    if not is_done:
        soak.wrong.append(f"not worked off: {measured[-1].stages}, {measured[-1].runs}")
    soak.wrong += [f"failed, and not made good: {text}" for text in not_made_good(soak.runs())]


def not_made_good(runs: Sequence[dg.DagsterRun]) -> Iterator[str]:
    """Failed runs after which none of the same job and partition went well. runs: the newest first."""
    well = set()
    for run in runs:
        what = (run.job_name, run.tags.get("dagster/partition"))
        if run.status == dg.DagsterRunStatus.SUCCESS:
            well.add(what)
        elif run.status == dg.DagsterRunStatus.FAILURE and what not in well:
            yield f"{what} {run.run_id}"


def after_two_weeks(soak: Soak) -> Iterator[str]:
    """What is left of versions and temporary files once all has ended, and twice eight days have gone by."""
    for _ in range(2):  # the first leaves what was the newest before it, and what it writes itself
        soak.clock.advance(timedelta(days=8))
        soak.start("maintain")
        soak.start("check")  # beside it
        soak.collect_commands(wait=True)
    for name in TABLES:
        versions, tags = versions_of(soak.lake, name)
        just_before = versions_just_before_the_newest(soak.lake, name)
        if versions - tags - just_before > MAX_VERSIONS_AFTER_TWO_WEEKS:
            yield (
                f"{name}: {versions} versions, {tags} of them pinned, {just_before} made just before the newest, "
                "after twice eight days and a maintenance"
            )
    left = [path.name for path in soak.temporary.iterdir() if not path.name.startswith(KEPT_TEMPORARY)]
    if left:
        yield f"left in the folder for temporary files: {left}"
    media = Path(soak.lake.root) / "media"
    if parts := [path.name for path in media.rglob("*.part*")]:
        yield f"left of downloads: {parts}"
    versions = sum(versions_of(soak.lake, name)[0] for name in TABLES)
    print(
        f"twice eight days and a maintenance later: {versions} versions, "
        f"{size_of(Path(soak.lake.root)) // MEBIBYTE} MiB; published {len(soak.published)}, "
        f"forgotten {len(soak.forgotten)}",
        flush=True,
    )


def versions_of(lake: Lake, name: str) -> tuple[int, int]:
    """The versions of a table, and how many of them a tag pins."""
    dataset = lake.dataset(name)
    return len(dataset.versions()), len({tag["version"] for tag in dataset.tags.list().values()})


def versions_just_before_the_newest(lake: Lake, name: str) -> int:
    """The versions that maintenance keeps beside the newest, since Lance looks at the clock later than it does."""
    made = sorted(version["timestamp"] for version in lake.dataset(name).versions())
    return sum(made[-1] - MARGIN <= at < made[-1] for at in made)


HEADINGS = (
    "hour  RSS in MiB and open files of daemon and code location; processes | temporary KiB | MiB of lake, Dagster, "
    "trainings | versions = manifests | sources = downloads done + failed + skipped + waiting + pending of published, "
    "forgotten | videos, clips, embedded | runs"
)
STATES = ("done", "failed", "skipped", "waiting", "pending")
PARTS = ("daemon", "code")


def line(measured: Measured, soak: Soak) -> str:
    states = measured.stages["downloads"]
    memory = "/".join(str(measured.memory.get(part, 0) // MEBIBYTE) for part in PARTS)
    files = "/".join(str(measured.files.get(part, 0)) for part in PARTS)
    sizes = (measured.lake_bytes - measured.training_bytes, measured.dagster_bytes, measured.training_bytes)
    rows = (measured.rows[name] for name in ("raw_videos", "clips", "clip_embeddings"))
    return " | ".join(
        (
            f"{measured.hour:4.0f}  {memory} {files} {measured.processes}",
            str(measured.temporary_bytes // 1024),
            ", ".join(str(size // MEBIBYTE) for size in sizes),
            f"{measured.versions} = {measured.manifests}",
            f"{measured.rows['sources']} = {' + '.join(str(states[state]) for state in STATES)} of "
            f"{len(soak.published)}, {len(soak.forgotten)}",
            ", ".join(map(str, rows)),
            ", ".join(f"{status.lower()} {count}" for status, count in sorted(measured.runs.items())),
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--seconds-per-hour", type=float, default=60)
    parser.add_argument("--first-hour", type=int, default=20, help="of the day, by the clock that is moved")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-training", action="store_true")
    parser.add_argument("--daemons", type=int, default=1, help="that share the lake, as on so many machines")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    started = time.monotonic()
    wrong = soaked(
        folder,
        hours=arguments.hours,
        seconds_per_hour=arguments.seconds_per_hour,
        first_hour=arguments.first_hour,
        seed=arguments.seed,
        daemons=arguments.daemons,
        trains=not arguments.without_training,
    )
    print(f"{time.monotonic() - started:.0f} s")
    for text in wrong:
        print(f"WRONG {text}")
    if wrong:
        print(f"see {folder}")
    else:
        shutil.rmtree(folder)
    sys.exit(bool(wrong))


def print_counts() -> None:
    """In a process whose clock is shifted: prints the units by state of every stage."""
    from orchestration.cli.session import Session

    print(json.dumps(Session().counts()))


if __name__ == "__main__":
    if sys.argv[1:] == ["--counts"]:
        print_counts()
    else:
        main()
