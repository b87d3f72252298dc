"""`internvid check`: what of a lake's tables cannot be read any more, and its repair."""

from typing import Annotated

import typer
from rich.markup import escape

from orchestration.cli.options import LakeOption, existing, settings_of
from orchestration.cli.output import console, notes


def check(
    lake: LakeOption = None,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also read every byte, compute every row's digest, and ask indexes for every key."),
    ] = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Make damaged tables readable, and lost rows pending. Nobody else may write."),
    ] = False,
) -> None:
    """Find tables of which files are missing or damaged: what is lost, a line each. The exit code is then 1.

    --repair takes lost rows from older versions where these have them; the next `internvid ingest` makes the rest
    again. A lake that is whole is not changed.
    """
    from orchestration.configured import configured
    from resources.corpus.repair import Irreparable, damages
    from resources.corpus.repair import repair as repair_lake
    from resources.lake.format import FILE

    # Not a session: it creates what is missing, and stops at the first table that cannot be opened.
    resources = configured(settings_of(lake))
    of_lake = resources["lake"]
    try:
        is_there = of_lake.exists() or of_lake.file(FILE).exists()
    except ValueError:
        is_there = True  # its first table cannot be opened
    if not is_there:
        raise typer.BadParameter(f"there is no lake at {of_lake.root}")
    damaged = damages(of_lake, deep=deep)
    for line in (line for of_table in damaged for line in of_table.lines()):
        console.print(escape(line), highlight=False, soft_wrap=True)
    if not damaged:
        read = "every byte was read" if deep else "names, sizes and ends of files; `--deep` reads every byte"
        console.print(f"the tables are whole ({read})", highlight=False)
        return
    if not repair:
        notes.print("`internvid check --repair` makes the tables readable, and what is lost pending")
        raise typer.Exit(1)
    try:
        for line in repair_lake(of_lake, damaged, deep=deep):
            console.print(escape(line), highlight=False, soft_wrap=True)
    except Irreparable as error:
        notes.print(f"[red]not repaired:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    pending = {stage: counts["pending"] for stage, counts in existing(lake).counts().items() if counts["pending"]}
    listed = ", ".join(f"{stage} {number:,}" for stage, number in pending.items())
    console.print(f"repaired. Pending: {listed}; `internvid ingest` goes on" if pending else "repaired")
