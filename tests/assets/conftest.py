"""A lake in a temporary folder with everything that `internvid ingest` runs, in this process."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from lake_copies import linked_copy

from orchestration.cli.session import RunSummary, Session
from resources.catalog.files import register
from resources.lake.schema import TABLES
from resources.lake.store import Lake

Ingest = Callable[..., RunSummary]

# Read as a whole in a run of a batch, each for a reason that does not grow with the videos.
READ_AS_A_WHOLE = {
    "active_checkpoint": "one row",
    "checkpoints": "a row for each training",
    "evaluations": "some rows for each training",
    "tombstones": "a row for each name that was forgotten",
}


@pytest.fixture(scope="session")
def now(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder in which each test has its lake and videos: tables hold the paths of both."""
    return tmp_path_factory.mktemp("place") / "now"


@contextmanager
def environment_of(place: Path) -> Iterator[None]:
    """Without the caller's settings; what a Session sets is undone."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("INTERNVID_")]:
            environment.delenv(name)
        environment.setenv("INTERNVID_LAKE", str(place / "lake"))
        environment.setenv("INTERNVID_WORKERS", "1")
        environment.setenv("INTERNVID_FIRST_MODEL", "")
        environment.setenv("DAGSTER_HOME", str(place / "dagster"))
        yield


@pytest.fixture(scope="module")
def place(now: Path) -> Iterator[Path]:
    """A folder for lake and videos, and an environment for them."""
    shutil.rmtree(now, ignore_errors=True)
    with environment_of(now):
        yield now


@pytest.fixture(scope="session")
def open_session() -> Callable[[], Session]:
    """Opens the lake as the environment says, with runs kept in memory."""

    def opened() -> Session:
        session = Session()
        session.instance = dg.DagsterInstance.ephemeral()
        return session

    return opened


@pytest.fixture(scope="session")
def ingest() -> Ingest:
    """ingest(session, folder): what the command of that name does, short of publishing."""

    def run(session: Session, *locations: Path) -> RunSummary:
        register(session.lake, session.media, [str(path) for path in locations], run_id="test")
        summary = RunSummary()
        session.run_pending_batches(summary)
        assert summary.failed_runs == {}
        return summary

    return run


@pytest.fixture(scope="session")
def two_videos(
    now: Path,
    new_lake: Callable[[Path], Lake],
    open_session: Callable[[], Session],
    ingest: Ingest,
    synthetic_video: Callable[..., Path],
) -> Path:
    """A copy of `place` with the videos one.mp4 and two.mp4, and a lake that has taken them in."""
    shutil.rmtree(now, ignore_errors=True)
    folder = now / "synthetic_videos"
    folder.mkdir(parents=True)
    synthetic_video(folder, "one.mp4", 1)
    synthetic_video(folder, "two.mp4", 2)
    with environment_of(now):
        new_lake(now / "lake")
        ingest(open_session(), folder)
    return linked_copy(now, now.with_name("two videos"))


@pytest.fixture
def session(place: Path, two_videos: Path, open_session: Callable[[], Session]) -> Session:
    """The lake that has taken in the two videos of `folder`."""
    shutil.rmtree(place, ignore_errors=True)
    linked_copy(two_videos, place)
    return open_session()


@pytest.fixture
def empty_session(place: Path, new_lake: Callable[[Path], Lake], open_session: Callable[[], Session]) -> Session:
    shutil.rmtree(place, ignore_errors=True)
    new_lake(place / "lake")
    return open_session()


@pytest.fixture
def folder(place: Path) -> Path:
    """Where the videos lie."""
    folder = place / "synthetic_videos"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, bool]]:
    """Collects (table, whether only rows of one batch are visible) of each table that is opened for SQL or polars.

    Tables that may be read as a whole are left out.
    """
    seen: set[tuple[str, bool]] = set()
    connect, polars = Lake.connect, Lake.polars

    def note(table: str, only: Mapping[str, str] | None) -> None:
        if table in READ_AS_A_WHOLE:
            return
        seen.add((table, TABLES[table].partition in (only or {})))

    def noted_connect(self: Lake, tables: Iterable[str] | None = None, **options: Any) -> Any:
        names = list(TABLES if tables is None else tables)
        for table in names:
            note(table, options.get("only"))
        return connect(self, names, **options)

    def noted_polars(self: Lake, table: str, **options: Any) -> Any:
        note(table, options.get("only"))
        return polars(self, table, **options)

    monkeypatch.setattr(Lake, "connect", noted_connect)
    monkeypatch.setattr(Lake, "polars", noted_polars)
    return seen
