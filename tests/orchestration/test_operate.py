"""`internvid ui`: it answers, ends with all that it started, and refuses a port where something listens."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from command import INTERNVID, internvid, refused
from dagster_service import SECONDS_TO_START, free_port


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for command in (["ui"], ["serve", "webserver"]):
            done = internvid(*command, "--port", port, lake=tmp_path / "lake")
            assert done.returncode == 2
            assert f"127.0.0.1:{port} cannot be listened at (Address already in use)" in refused(done)


@pytest.mark.slow
def test_started_where_ctrl_c_is_ignored_it_ends_with_all_that_it_started_when_asked_to(
    tmp_path: Path, until: Callable[..., None], processes_in_session: Callable[[int], list[str]]
) -> None:
    port = str(free_port())
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("INTERNVID_", "DAGSTER_"))}
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", INTERNVID, "ui", "--lake", tmp_path / "lake", "--port", port]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=60) as response:
                return response.status == 200
        except urllib.error.URLError:
            return False

    try:
        assert any(answers() or time.sleep(1) for _ in range(SECONDS_TO_START))
        process.send_signal(signal.SIGTERM)
        until(lambda: process.poll() is not None and not processes_in_session(process.pid), "the end of the UI")
    finally:
        for _ in processes_in_session(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
