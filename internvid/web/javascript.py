"""YouTube's formats need JavaScript run: which program here can do that."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

RUNTIMES = {"deno": "deno", "node": "node", "bun": "bun", "qjs": "quickjs"}  # program -> yt-dlp's name; in its order


def javascript_runtime() -> str | None:
    """Path of the first that yt-dlp would take: beside this Python (the wheel named deno brings it) or in PATH. Runs
    each to ask for its version."""
    return next((path for path in _candidates() if _is_new_enough(path)), None)


def youtube_readiness() -> str | None:
    """None if YouTube's videos can be had, or else what to install."""
    if find_spec("yt_dlp_ejs") is None:
        return "YouTube's scripts cannot be run: pip install yt-dlp-ejs, of the version that yt-dlp asks for"
    if javascript_runtime():
        return None
    old = ", ".join(_candidates())
    found = f" ({old} is too old for yt-dlp)" if old else ""
    return f"YouTube needs a JavaScript runtime, and there is none{found}: pip install deno, or node 22 or newer"


def runtime_name(path: str) -> str:
    """yt-dlp's name of the program. Raises ValueError for one that it does not know."""
    program = Path(path).stem.lower()
    for beginning, name in RUNTIMES.items():
        if program.startswith(beginning):
            return name
    raise ValueError(f"{path} is no JavaScript runtime that yt-dlp knows: those are named {', '.join(RUNTIMES)}")


def _candidates() -> list[str]:
    beside = str(Path(sys.executable).parent)
    found = (shutil.which(program, path=beside) or shutil.which(program) for program in RUNTIMES)
    return [path for path in found if path]


def _is_new_enough(path: str) -> bool:
    import yt_dlp

    info = yt_dlp.globals.supported_js_runtimes.value[runtime_name(path)](path=path).info
    return info is not None and info.supported
