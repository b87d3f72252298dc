"""`internvid` as people and scripts call it, in a process of its own or, quicker, in this one; and what it printed."""

import os
import re
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

Done = subprocess.CompletedProcess[str]
NOISE = re.compile("Traceback|leaked|Warning")  # what no user can do anything with
INTERNVID = Path(sys.executable).with_name("internvid")


def internvid(*arguments: str | Path, lake: Path | str | None = None, **environment: str) -> Done:
    """Runs the command in this process, without the caller's settings; its text as a log would get it.

    Raises what the command raises.
    """
    from orchestration.cli.app import app

    away = {name: None for name in os.environ if name.startswith(("INTERNVID_", "DAGSTER_"))}
    words = [str(argument) for argument in arguments] + (["--lake", str(lake)] if lake else [])
    result = CliRunner(env=away | _OF_A_TEST | environment).invoke(app, words, prog_name="internvid")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return subprocess.CompletedProcess(words, result.exit_code, result.stdout, result.stderr)


def internvid_process(*arguments: str | Path, lake: Path | str | None = None, **environment: str) -> Done:
    """Runs the command in a process, as `internvid` does in this one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INTERNVID_", "DAGSTER_"))}
    command = [INTERNVID, *arguments] + (["--lake", lake] if lake else [])
    return subprocess.run(
        command, env=kept | _OF_A_TEST | environment, capture_output=True, text=True, timeout=600, check=False
    )


_OF_A_TEST = {"INTERNVID_WORKERS": "1", "INTERNVID_FIRST_MODEL": "", "COLUMNS": "200"}


def succeeded(done: Done) -> str:
    assert done.returncode == 0, done.stderr
    assert not NOISE.findall(done.stderr), done.stderr
    return done.stdout


def refused(done: Done) -> str:
    """What a command that ends in an error says, without the frame around it."""
    assert done.returncode not in (0, None)
    assert not NOISE.findall(done.stderr), done.stderr
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stderr).split())


def cells(text: str) -> list[list[str]]:
    """The rows of printed tables."""
    rows = [re.split(r"[│┃]", line)[1:-1] for line in text.splitlines() if line[:1] in ("│", "┃")]
    return [[cell.strip() for cell in row] for row in rows]
