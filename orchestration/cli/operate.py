"""The commands around a lake that runs: the UI with its daemon, maintenance, and the pages rendered from the code."""

import os
import shutil
import sys
from pathlib import Path

import typer

from orchestration.cli.options import LakeOption, ProfileOption, ProviderOption, existing, opened
from orchestration.cli.output import console
from orchestration.cli.session import REPOSITORY, dagster_home


def ui(
    lake: LakeOption = None,
    port: int = 3000,
    host: str = "127.0.0.1",
    profile: ProfileOption = None,
    provider: ProviderOption = None,
) -> None:
    """The Dagster UI on this lake, with the daemon that runs backfills, sensors and schedules."""
    session = opened(lake, profile, provider)
    session.instance  # noqa: B018 - it sets the limits of the pools
    folders = [str(Path(sys.executable).parent), *os.get_exec_path()]
    command = shutil.which("dagster", path=os.pathsep.join(folders))
    if command is None:
        raise typer.BadParameter("the dagster command is not installed beside internvid")
    settings = session.settings.model_copy(update={"dagster_home": str(dagster_home(session.settings))})
    os.chdir(REPOSITORY)
    arguments = [command, "dev", "-w", "workspace.yaml", "-h", host, "-p", str(port)]
    os.execve(command, arguments, settings.as_environment())


def maintain(lake: LakeOption = None) -> None:
    """Compact and index the tables, and remove old versions that no snapshot pins. Writers may go on meanwhile."""
    session = existing(lake)
    for table, done in session.lake.optimize().items():
        console.print(f"{table}: {done}")


def docs() -> None:
    """Render docs/tables.md and docs/configuration.md from the code."""
    from orchestration.settings import render_markdown as render_settings
    from resources.lake.schema import render_markdown

    (REPOSITORY / "docs" / "tables.md").write_text(render_markdown(), encoding="utf-8")
    (REPOSITORY / "docs" / "configuration.md").write_text(render_settings(), encoding="utf-8")
