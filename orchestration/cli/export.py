"""`internvid export`: the captioned clips of the lake or of a subset, as a file of JSON lines."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.options import LakeOption, existing, require_snapshot
from orchestration.cli.output import console, notes
from orchestration.cli.session import Session


def export(
    path: Annotated[Path, typer.Argument(help="The file to write.")],
    lake: LakeOption = None,
    at: Annotated[str | None, typer.Option(help="A snapshot: the clips as they were then.")] = None,
    subset: Annotated[str | None, typer.Option(help="Only the clips of this subset, as it was made.")] = None,
) -> None:
    """Write every captioned clip as a line of JSON, in the format in which InternVid was released.

    In order of ingest batch, video and time. The export that is published by batches is beside the tables.
    """
    from resources.corpus.exports import export as export_clips
    from resources.corpus.exports import note_export
    from resources.incremental.progress import progress

    session = existing(lake)
    require_snapshot(session, at)
    at, total = _clips_to_export(session, at, subset)
    written = 0
    with progress("exporting", total, notes.print) as advance:

        def on_rows(lines: int) -> None:
            nonlocal written
            advance(lines - written)
            written = lines

        lines = export_clips(session.lake, path, at=at, subset=subset, on_rows=on_rows)
    note_export(session.lake, path, subset=subset, snapshot=at, clips=lines)
    console.print(f"{lines:,} clips in {path}", markup=False)


def _clips_to_export(session: Session, at: str | None, subset: str | None) -> tuple[str | None, int]:
    """Returns the snapshot to read, of a subset the one it was selected from, and the number of clips."""
    if subset is None:
        return at, session.lake.dataset("clip_captions", at).count_rows()
    made = session.lake.query(
        "select snapshot, clips from subset_snapshots where subset = $subset",
        {"subset": subset},
        tables=["subset_snapshots"],
    ).to_pylist()
    if not made:
        raise typer.BadParameter(f"the subset {subset!r} has not been made yet: `internvid subset make {subset}`")
    snapshot = at or made[0]["snapshot"]
    if snapshot not in session.lake.tags():
        raise typer.BadParameter(f"the snapshot of {subset!r} was removed: `internvid ingest` selects it again")
    return snapshot, made[0]["clips"]
