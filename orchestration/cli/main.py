"""The command `internvid`: the commands of `app`, and what a fault of the system looks like in a terminal."""

import sys

from rich.markup import escape

from orchestration.cli.app import app
from orchestration.cli.output import notes
from resources.incremental.faults import system_fault_of


def main() -> None:
    """Runs the command. A fault of the system is one message and exit code 1; any other error shows its traceback."""
    try:
        app()
    except Exception as error:
        fault = system_fault_of(error)
        if fault is None:
            raise
        notes.print(f"[red]stopped:[/red] {escape(str(fault))}", highlight=False, soft_wrap=True)
        sys.exit(1)
