"""The explorer on a lake as a real server, and a lake that was taken in from real videos."""

from __future__ import annotations

import http.client
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import uvicorn

from orchestration.cli.session import RunSummary, Session
from orchestration.explorer.app import explorer_app
from orchestration.explorer.page import Explorer
from orchestration.settings import Settings
from resources.catalog.files import register
from resources.lake.store import Lake

SUBTITLES = """1
00:00:00,200 --> 00:00:01,200
Hello and welcome to the harbour.

2
00:00:01,700 --> 00:00:02,800
The boats come back in the evening.
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True)
class Served:
    """The explorer on a lake. get("/path"): its answer, redirects not followed."""

    explorer: Explorer
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def lake(self) -> Lake:
        return self.explorer.lake

    def get(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            lower = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, lower, answer.read())
        finally:
            connection.close()

    def clip_ids(self, path: str) -> list[str]:
        """Returns the clips of a page of results, in their order."""
        answer = self.get(path)
        assert answer.status == 200, answer.text
        return re.findall(r'<a class="caption" href="/clips/([^"]+)"', answer.text)


@contextmanager
def serving(root: Path | str, **options: Any) -> Iterator[Served]:
    """Serves the lake at the root on a free port. options: of `explorer_app`."""
    with environment_of(root):  # no longer: a server may last as long as the tests
        session = Session(Settings(lake=str(root)))
        app = explorer_app(session.settings, session.resources, **options)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server ended by itself"
        thread.join(0.01)
    try:
        yield Served(app.application.state.explorer, server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)


@contextmanager
def environment_of(root: Path | str) -> Iterator[None]:
    """Without the caller's settings."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("INTERNVID_")]:
            environment.delenv(name)
        environment.setenv("INTERNVID_LAKE", str(root))
        environment.setenv("INTERNVID_WORKERS", "1")
        environment.setenv("INTERNVID_FIRST_MODEL", "")
        environment.setenv("DAGSTER_HOME", f"{root}.dagster")
        environment.setenv("INTERNVID_UI_URL", "http://127.0.0.1:9")  # nothing listens there
        yield


@contextmanager
def ingested(root: Path, videos: Path) -> Iterator[Session]:
    """Takes the folder's videos into a lake, as `internvid ingest` does, short of publishing."""
    with environment_of(root):
        session = Session(Settings(lake=str(root)))
        session.instance = dg.DagsterInstance.ephemeral()
        register(session.lake, session.media, [str(videos)], run_id="test")
        summary = RunSummary()
        session.run_pending_batches(summary)
        assert summary.failed_runs == {}
        yield session
