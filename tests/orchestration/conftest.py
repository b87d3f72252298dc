"""Tiny films, and a running lakehouse that the tests of a session share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster_service import Service, running_service

from internvid.films.plans import Backdrop, Figure, FilmPlan, Shot
from internvid.films.render import render_all


def _tiny_film(name: str, colour: str) -> FilmPlan:
    """Two shots of two seconds."""
    return FilmPlan(
        name,
        width=320,
        height=180,
        fps=10,
        sound=False,
        shots=(
            Shot(20, Backdrop("landscape", "green", 1), (Figure("circle", colour, "moving right"),), grain=2),
            Shot(20, Backdrop("bricks", colour, 2), (Figure("star", "white", "spinning", size=0.5),), grain=2),
        ),
    )


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four films of two clips each."""
    plans = [_tiny_film(colour, colour) for colour in ("red", "blue", "yellow", "purple")]
    return render_all(tmp_path_factory.mktemp("films"), plans)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service")) as service:
        yield service
