"""A lake that was taken in from real videos, and the explorer on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from explorer_server import SUBTITLES, Served, ingested, serving
from lake_copies import linked_copy

from orchestration.cli.session import RunSummary
from resources.lake.store import Lake


@pytest.fixture(scope="session")
def explored(
    tmp_path_factory: pytest.TempPathFactory,
    new_lake: Callable[[Path], Lake],
    synthetic_video: Callable[..., Path],
) -> Path:
    """A lake of two videos, one with subtitles, of which the subset `all` was selected. Nothing writes to it."""
    folder = tmp_path_factory.mktemp("explored")
    videos = folder / "videos"
    videos.mkdir()
    synthetic_video(videos, "harbour.mp4", 1)
    synthetic_video(videos, 'odd "name" <b>.mp4', 2)
    (videos / "harbour.en.srt").write_text(SUBTITLES)
    new_lake(folder / "lake")
    with ingested(folder / "lake", videos) as session:
        session.select("all", RunSummary())
    return folder / "lake"


@pytest.fixture(scope="module")
def served(explored: Path) -> Iterator[Served]:
    """The explorer on that lake."""
    with serving(explored) as server:
        yield server


@pytest.fixture
def copied(explored: Path, tmp_path: Path) -> Path:
    """A copy of the lake, to change."""
    return linked_copy(explored, tmp_path / "lake")


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """serve(root, **options): the explorer on another lake, until the test ends."""
    with ExitStack() as servers:
        yield lambda root, **options: servers.enter_context(serving(root, **options))
