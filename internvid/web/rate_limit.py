"""Limits the rate of requests to a site, across all processes of a user on this machine."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock

MAX_WAIT_SECONDS = 3600.0  # bounds the wait after the clock was set back


def rate_limited(work: Callable[..., Any], site: str, seconds_between: float, *arguments: Any) -> Any:
    """Calls work(*arguments) as soon as the site's rate limit allows it. Run it in a process of its own.

    seconds_between: least time between two calls for the same site.
    """
    import internvid.web.session  # noqa: F401 - takes a second: import it before the wait, not after

    wait_turn(site, seconds_between)
    return work(*arguments)


def wait_turn(site: str, seconds_between: float, folder: Path | None = None) -> None:
    """Waits until `seconds_between` seconds after the site's previous turn. Turns are given in the order of the calls.

    folder: holds a file for each site with the time of its next free turn, as Unix seconds.
    """
    folder = folder or Path(tempfile.gettempdir(), f"internvid-rate-limit-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / quote(site, safe="")
    with FileLock(f"{file}.lock"):
        now = time.time()
        free = float(file.read_text()) if file.exists() else now
        turn = max(now, min(free, now + MAX_WAIT_SECONDS))
        file.write_text(str(turn + seconds_between))
    time.sleep(turn - now)
