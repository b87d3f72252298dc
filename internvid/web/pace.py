"""Keeps the pace at which a site is asked, among all processes of a user on this machine."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock

LONGEST_WAIT_SECONDS = 3600.0  # a clock that was set back must not keep anybody waiting for ever


def paced(work: Callable[..., Any], site: str, seconds_between: float, *arguments: Any) -> Any:
    """work(*arguments), begun when it is the site's turn. For a process made for it."""
    import internvid.web.session  # noqa: F401 - yt-dlp takes a second to import: before the turn, not within it

    wait_turn(site, seconds_between)
    return work(*arguments)


def wait_turn(site: str, seconds_between: float, folder: Path | None = None) -> None:
    """Returns so many seconds after it did for the site before, at once if that is longer ago. Turns are given in the
    order in which they are asked for. folder: where the next free turn of each site is written down.
    """
    folder = folder or Path(tempfile.gettempdir(), f"internvid-pace-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / quote(site, safe="")
    with FileLock(f"{file}.lock"):
        now = time.time()
        free = float(file.read_text()) if file.exists() else now
        turn = max(now, min(free, now + LONGEST_WAIT_SECONDS))
        file.write_text(str(turn + seconds_between))
    time.sleep(turn - now)
