"""A lake in a temporary folder with everything that `internvid ingest` runs, in this process."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.sources import register
from orchestration.house import House, Work

Ingest = Callable[..., Work]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for lake and films, and an environment without the caller's settings; what a House sets is undone."""
    place = tmp_path_factory.mktemp("place") / "now"
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("INTERNVID_")]:
            environment.delenv(name)
        environment.setenv("INTERNVID_LAKE", str(place / "lake"))
        environment.setenv("INTERNVID_WORKERS", "1")
        environment.setenv("INTERNVID_FIRST_MODEL", "")
        environment.setenv("DAGSTER_HOME", str(place / "dagster"))
        yield place


@pytest.fixture(scope="module")
def open_house(place: Path) -> Callable[[], House]:
    """Opens the lake as the environment says, with runs kept in memory."""

    def opened() -> House:
        house = House(None)
        house.instance = dg.DagsterInstance.ephemeral()
        return house

    return opened


@pytest.fixture(scope="module")
def ingest() -> Ingest:
    """ingest(house, folder): what the command of that name does, short of publishing."""

    def run(house: House, *locations: Path) -> Work:
        register(house.lake, house.media, [str(path) for path in locations], run_id="test")
        work = Work()
        house.run_pending_batches(work)
        assert work.failed_batches == {}
        return work

    return run


@pytest.fixture(scope="module")
def two_films(place: Path, open_house: Callable[[], House], ingest: Ingest, film: Callable[..., Path]) -> Path:
    """A copy of `place` with the films one.mp4 and two.mp4, and a lake that has taken them in."""
    folder = place / "films"
    folder.mkdir(parents=True)
    film(folder, "one.mp4", 1)
    film(folder, "two.mp4", 2)
    ingest(open_house(), folder)
    return shutil.copytree(place, place.with_name("two films"))


@pytest.fixture
def house(place: Path, two_films: Path, open_house: Callable[[], House]) -> House:
    """The lake that has taken in the two films of `folder`."""
    shutil.rmtree(place)
    shutil.copytree(two_films, place)
    return open_house()


@pytest.fixture
def empty_house(place: Path, open_house: Callable[[], House]) -> House:
    shutil.rmtree(place, ignore_errors=True)
    return open_house()


@pytest.fixture
def folder(place: Path) -> Path:
    """Where the films lie."""
    folder = place / "films"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
