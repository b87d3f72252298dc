"""`internvid snapshot`: lists snapshots, says how two differ, and names them."""

from typing import Annotated

import typer

from orchestration.cli.options import LakeOption, existing, no_such_snapshot, snapshot_of
from orchestration.cli.output import Format, console, notes, print_rows
from orchestration.cli.session import Session

app = typer.Typer(no_args_is_help=True, help="States of the whole lake: each publishing takes one, where it changed.")

FormatOption = Annotated[Format, typer.Option(help="How rows are printed.")]


@app.command("list")
def list_(lake: LakeOption = None, format: FormatOption = Format.table) -> None:
    """List the snapshots, the newest first, with what was made from each."""
    from resources.corpus.removed_snapshots import removed_snapshots
    from resources.lake.statements import statement

    session = existing(lake)
    rows = session.lake.query(statement("corpus/snapshots"))
    print_rows(rows.column_names, (tuple(row.values()) for row in rows.to_pylist()), format)
    for row in removed_snapshots(session.lake):
        name = f"{row['label']} ({row['snapshot']})" if row["label"] else row["snapshot"]
        notes.print(
            f"{name} went with a forgotten video on {row['removed_at']:%Y-%m-%d}; `snapshot diff` compares with it",
            markup=False,
            soft_wrap=True,
        )


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A snapshot, or the name that you gave it.")],
    after: Annotated[str | None, typer.Argument(help="A later one. Without it: the lake as it is now.")] = None,
    lake: LakeOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Say which rows were added, changed and removed between two snapshots, and why.

    A snapshot that went with a forgotten video can be compared too, where it was named or something was made from it.
    """
    from resources.corpus.snapshot_diff import SnapshotGone, differences

    session = existing(lake)
    earlier, later = _also_removed(session, before), None if after is None else _also_removed(session, after)
    try:
        rows = [
            (row.table, row.kind, row.rows, row.reason, ", ".join(row.examples))
            for row in differences(session.lake, earlier, later)
        ]
    except SnapshotGone as error:
        raise typer.BadParameter(str(error)) from error
    if not rows and format is Format.table:
        console.print("nothing differs")
        return
    print_rows(("table", "rows were", "rows", "why", "such as"), rows, format)


@app.command()
def tag(
    name: Annotated[str, typer.Argument(help="The name.")],
    snapshot: Annotated[str | None, typer.Argument(help="Which snapshot; the newest unless given.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the name away: the snapshot may be removed.")] = False,
    lake: LakeOption = None,
) -> None:
    """Name a snapshot: it is kept, and the name stands for it wherever a snapshot is asked for."""
    from resources.corpus.removed_snapshots import removed_snapshot_named, unname
    from resources.corpus.snapshots import name_snapshot, newest_snapshot

    session = existing(lake)
    if remove:
        snapshot = _also_removed(session, name)
    elif snapshot is not None:
        snapshot = snapshot_of(session, snapshot)
    elif newest := newest_snapshot(session.lake):
        snapshot = newest[0]["snapshot"]
    if snapshot is None:
        raise typer.BadParameter("there is no snapshot yet: `internvid ingest` takes one")
    if remove and snapshot == removed_snapshot_named(session.lake, name):
        unname(session.lake, snapshot)
    else:
        name_snapshot(session.lake, snapshot, None if remove else name)
    console.print(f"{snapshot} {'has no name any more' if remove else f'is {name}'}", markup=False, soft_wrap=True)


def _also_removed(session: Session, name: str) -> str:
    """Returns the snapshot of that name or label, one that went with a forgotten video too. Raises BadParameter."""
    from resources.corpus.removed_snapshots import removed_snapshot_named
    from resources.corpus.snapshots import snapshot_named

    snapshot = snapshot_named(session.lake, name) or removed_snapshot_named(session.lake, name)
    if snapshot is None:
        raise no_such_snapshot(name)
    return snapshot
