"""`internvid explore` as a process: what it prints, what answers, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from command import INTERNVID, internvid, refused

from orchestration.cli.explore import says_more_than_that_a_page_was_cut_off

pytestmark = pytest.mark.slow


def _started(lake: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """Starts the command; returns its process and the address that it printed."""
    process = subprocess.Popen(
        [INTERNVID, "explore", "--lake", lake, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    (address,) = re.findall(r"http://\S+", line)
    return process, address


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_where_it_is_and_ends_when_told(explored, until, signal_number):
    process, address = _started(explored)
    try:

        def answers() -> bool:
            try:
                with urllib.request.urlopen(address, timeout=60) as answer:
                    return answer.status == 200
            except urllib.error.URLError:
                return False

        until(answers, "the explorer")
        process.send_signal(signal_number)
        assert process.wait(timeout=60) in (0, -signal_number, 130)
    finally:
        process.kill()
        process.communicate()


def test_what_is_cut_off_at_the_end_is_no_error_and_what_fails_is_one():
    def shown(error: BaseException) -> bool:
        record = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "Exception", (), (type(error), error, None))
        return says_more_than_that_a_page_was_cut_off(record)

    assert not shown(asyncio.CancelledError("timeout graceful shutdown exceeded"))
    assert shown(OSError("the disk"))


def test_beyond_this_machine_the_address_holds_a_token(explored):
    process, address = _started(explored, "--host", "0.0.0.0")
    process.kill()
    process.communicate()
    assert re.fullmatch(r"http://0\.0\.0\.0:\d+/\?token=[\w-]{20,}", address)


def test_a_lake_that_is_not_there_is_not_served(tmp_path):
    assert "there is no lake at" in refused(internvid("explore", lake=tmp_path / "nowhere"))
