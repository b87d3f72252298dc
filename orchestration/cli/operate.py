"""The commands around a lake that runs: the UI with its daemon, maintenance, and the pages rendered from the code."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.options import LakeOption, ProfileOption, ProviderOption, existing, opened
from orchestration.cli.output import console
from orchestration.cli.session import Session
from orchestration.instance import REPOSITORY, dagster_home, workspace_file


class Part(StrEnum):
    """A process of a deployment: what loads the code and starts runs, the UI, and what queues runs and ticks."""

    CODE_LOCATION = "code-location"
    WEBSERVER = "webserver"
    DAEMON = "daemon"


def ui(
    lake: LakeOption = None,
    port: int = 3000,
    host: str = "127.0.0.1",
    profile: ProfileOption = None,
    provider: ProviderOption = None,
) -> None:
    """The Dagster UI on this lake, with the daemon that runs backfills, sensors and schedules."""
    require_free(host, port)
    session = opened(lake, profile, provider)
    workspace = str(workspace_file(session.settings))
    _become(session, ["dagster", "dev", "-w", workspace, "-h", host, "-p", str(port)])


def serve(
    part: Annotated[Part, typer.Argument(help="Which process; this one becomes it.")],
    lake: LakeOption = None,
    port: Annotated[int, typer.Option(help="Of the webserver.")] = 3000,
    host: Annotated[str, typer.Option(help="Where the webserver or the code location listens.")] = "127.0.0.1",
    profile: ProfileOption = None,
    provider: ProviderOption = None,
) -> None:
    """One process of a deployment in which each has its own: INTERNVID_CODE_LOCATION tells the others where it is."""
    session = opened(lake, profile, provider)
    match part:
        case Part.CODE_LOCATION:
            from orchestration.cli.liveness import runs_of_code_location

            try:
                address = session.settings.code_location_address
            except ValueError as error:
                raise typer.BadParameter(str(error)) from error
            if lost := runs_of_code_location(session.instance, address):
                ending = [sys.executable, "-m", "orchestration.cli.lost_runs", address[0], str(address[1]), *lost]
                subprocess.Popen(ending, env=_environment(session), cwd=REPOSITORY)
            module = ["-m", "orchestration.definitions", "--location-name", "internvid"]
            _become(session, ["dagster", "code-server", "start", "-h", host, "-p", str(address[1]), *module])
        case Part.WEBSERVER:
            require_free(host, port)
            workspace = str(workspace_file(session.settings))
            _become(session, ["dagster-webserver", "-w", workspace, "-h", host, "-p", str(port)])
        case Part.DAEMON:
            _become(session, ["dagster-daemon", "run", "-w", str(workspace_file(session.settings))])


def require_free(host: str, port: int) -> None:
    """Raises BadParameter where something listens already: the UI would end, and leave a second daemon at work."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise typer.BadParameter(
                f"{host}:{port} cannot be listened at ({error.strerror}): end what listens there, or choose another "
                "--port"
            ) from error


def _become(session: Session, command: Sequence[str]) -> None:
    """Makes a command of Dagster of this process, with the session's settings in its environment."""
    session.instance  # noqa: B018 - it sets the limits of the pools, and ends this where the database is away
    folders = [str(Path(sys.executable).parent), *os.get_exec_path()]
    program = shutil.which(command[0], path=os.pathsep.join(folders))
    if program is None:
        raise typer.BadParameter(f"the {command[0]} command is not installed beside internvid")
    # Dagster ends at SIGTERM if SIGINT would end it, which a shell's `nohup internvid ui &` has ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.chdir(REPOSITORY)
    os.execve(program, [program, *command[1:]], _environment(session))


def _environment(session: Session) -> dict[str, str]:
    home = str(dagster_home(session.settings))
    return session.settings.model_copy(update={"dagster_home": home}).as_environment()


def maintain(lake: LakeOption = None) -> None:
    """Compact and index the tables, and remove old snapshots and versions. Writers may go on meanwhile."""
    from resources.corpus.snapshots import remove_unused_snapshots

    session = existing(lake)
    console.print(f"snapshots removed: {len(remove_unused_snapshots(session.lake))}")
    for table, done in session.lake.optimize().items():
        console.print(f"{table}: {done}")


def docs() -> None:
    """Render docs/tables.md and docs/configuration.md from the code."""
    from orchestration.settings import render_markdown as render_settings
    from resources.lake.schema import render_markdown

    (REPOSITORY / "docs" / "tables.md").write_text(render_markdown(), encoding="utf-8")
    (REPOSITORY / "docs" / "configuration.md").write_text(render_settings(), encoding="utf-8")
