"""What tests of several folders share: tiny videos, an S3 server, and looks at processes and at whole tables."""

import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lake_copies import linked_copy
from s3_server import s3_server

from internvid.synthetic.plans import Backdrop, Figure, Shot, VideoPlan
from internvid.synthetic.render import render
from resources.lake.schema import TABLES
from resources.lake.store import Lake

# Before torch is imported, and for the processes that tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # one of several
    os.environ.setdefault("OMP_NUM_THREADS", "1")

TESTS = Path(__file__).parent
COLOURS = ("white", "blue", "green", "yellow", "purple", "orange", "grey", "red")

# What differs between two runs that make the same rows.
OF_THE_RUN = ("run_id", "written_at", "first_seen_at")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Imports no file whose tests the marker `slow` deselects: every process of the run would."""
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    text = collection_path.read_text()
    if config.option.markexpr == "not slow" and re.search(r"^pytestmark = .*mark\.slow", text, re.MULTILINE):
        return True
    if config.option.markexpr == "slow":
        # Parameters of the fixtures that files of a folder share are marked, too.
        above = [TESTS / folder / "conftest.py" for folder in collection_path.relative_to(TESTS).parents[:-1]]
        if not any("mark.slow" in part for part in [text, *(path.read_text() for path in above if path.exists())]):
            return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs the files that take longest first: no process is left with a long file at the end."""
    sizes = Counter(item.path for item in items)
    minutes: Counter[Path] = Counter()
    for item in items:
        if mark := item.get_closest_marker("slow"):
            minutes[item.path] = max(minutes[item.path], mark.kwargs.get("minutes", 1))
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(900))  # whole pipelines, on a machine that may be busy
    items.sort(key=lambda item: (-minutes[item.path], -sizes[item.path]))


@pytest.fixture(scope="session", autouse=True)
def without_first_model() -> Iterator[None]:
    """A lake trains no model by itself, for that takes half a minute: tests of the model loop say otherwise."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("INTERNVID_FIRST_MODEL", "")
        yield


@pytest.fixture(scope="module", autouse=True)
def left_in_time_sharing() -> Iterator[None]:
    """A real-time thread, as SVT-AV1 leaves it, starts real-time processes: all tests beside it would wait for them."""
    yield
    policy = os.sched_getscheduler(0)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    assert policy == os.SCHED_OTHER, "see internvid.synthetic.render.scheduling_kept"


@pytest.fixture(scope="session")
def synthetic_video() -> Callable[..., Path]:
    """video(folder, "name.mp4", 3): renders the third of many videos, 3 s in two shots, under that name."""

    def rendered(folder: Path, name: str, number: int = 0) -> Path:
        shots = (
            Shot(15, Backdrop("flat", COLOURS[number % len(COLOURS)]), (Figure("circle", "pink", "moving right"),)),
            Shot(15, Backdrop("noise", "grey", number)),
        )
        plan = VideoPlan("synthetic_video", shots, width=160, height=120, fps=10, sound=False)
        path = render(plan, folder / f".{name}.rendering", seed=number)
        video = path.rename(folder / name)
        shutil.rmtree(path.parent)  # with the truth about it
        return video

    return rendered


@pytest.fixture(scope="session")
def new_lake(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Lake]:
    """new_lake(folder): an empty lake there, copied from one that was created once."""
    created = Lake(root=str(tmp_path_factory.mktemp("created") / "lake"))
    created.create_tables()

    def copied(folder: Path) -> Lake:
        return Lake(root=str(linked_copy(Path(created.root), folder)))

    return copied


@pytest.fixture
def lake(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Lake:
    """An empty lake in a folder."""
    return new_lake(tmp_path / "lake")


@pytest.fixture(scope="session")
def whole_tables() -> Callable[..., dict[str, dict[str, dict[str, Any]]]]:
    """whole_tables(lake, "clips", …): table -> key -> row, without what differs between two runs and `without`."""

    def read(lake: Lake, *tables: str, without: tuple[str, ...] = ()) -> dict[str, dict[str, dict[str, Any]]]:
        contents = {}
        for table in tables:
            rows = lake.polars(table).drop(OF_THE_RUN + without, strict=False).to_dicts()
            contents[table] = {row[TABLES[table].key]: row for row in rows}
            assert len(contents[table]) == len(rows), f"a row of {table} is there twice"
        return contents

    return read


@pytest.fixture(scope="session")
def processes_in_session() -> Callable[[int], list[str]]:
    """processes_in_session(pid): command lines of those alive in the session that the process led."""

    def alive(session: int) -> list[str]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                state, _, _, its_session = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:4]
                command = (folder / "cmdline").read_text().replace("\0", " ")
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended while we looked
            if int(its_session) == session and state not in "ZX":
                found.append(command)
        return found

    return alive


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """until(condition): waits for it to become true; three minutes without that fail the test."""

    def wait(condition: Callable[[], Any], what: str = "condition") -> None:
        for _ in range(3600):
            if condition():
                return
            time.sleep(0.05)
        raise TimeoutError(f"waited three minutes for {what}")

    return wait


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """Lance's storage options for a bucket named BUCKET on an S3 server, in a process of its own."""
    with s3_server() as options:
        yield options
