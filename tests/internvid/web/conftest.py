"""A child process for what guards the process it runs in, a video of twelve seconds, and servers on loopback."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from web_server import WebServer, make_video, web_server

from internvid.web.settings import DownloadSettings


@pytest.fixture(scope="session")
def in_child() -> Iterator[Callable[..., Any]]:
    """in_child(function, …): its result or its exception, from one process that all tests share."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """480x360, 12 s, 600 kB."""
    return make_video(tmp_path_factory.mktemp("video") / "video.mp4")


@pytest.fixture(scope="session")
def small_settings() -> DownloadSettings:
    """As the defaults, for the server on 127.0.0.1."""
    return DownloadSettings(allowed_addresses=("127.0.0.1/32",), timeout_seconds=0.5)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as running:
        yield running
