"""Finds the program that runs YouTube's JavaScript, without which yt-dlp cannot read YouTube's formats."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

RUNTIMES = {"deno": "deno", "node": "node", "bun": "bun", "qjs": "quickjs"}  # program -> yt-dlp's name; in its order


def javascript_runtime() -> str | None:
    """Returns the path of the runtime that yt-dlp would take; None if there is none.

    Looks beside this Python (where the wheel named deno puts it) and in PATH, and runs each candidate for its version.
    """
    return next((path for path in _candidates() if _is_new_enough(path)), None)


def youtube_readiness() -> str | None:
    """Returns what to install before YouTube's videos can be downloaded; None if nothing is missing."""
    if find_spec("yt_dlp_ejs") is None:
        return "YouTube's scripts cannot be run: pip install yt-dlp-ejs, of the version that yt-dlp asks for"
    if javascript_runtime():
        return None
    old = ", ".join(_candidates())
    note = f" ({old} is too old for yt-dlp)" if old else ""
    return f"YouTube needs a JavaScript runtime, and there is none{note}: pip install deno, or node 22 or newer"


def runtime_name(path: str) -> str:
    """Returns yt-dlp's name of the program at `path`. Raises ValueError if yt-dlp does not know it."""
    program = Path(path).stem.lower()
    for prefix, name in RUNTIMES.items():
        if program.startswith(prefix):
            return name
    raise ValueError(f"{path} is no JavaScript runtime that yt-dlp knows: those are named {', '.join(RUNTIMES)}")


def _candidates() -> list[str]:
    beside = str(Path(sys.executable).parent)
    paths = (shutil.which(program, path=beside) or shutil.which(program) for program in RUNTIMES)
    return [path for path in paths if path]


def _is_new_enough(path: str) -> bool:
    import yt_dlp

    info = yt_dlp.globals.supported_js_runtimes.value[runtime_name(path)](path=path).info
    return info is not None and info.supported
