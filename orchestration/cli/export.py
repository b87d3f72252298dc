"""`internvid export`: the captioned clips of the lake or of a subset, in the forms that trainers and hubs read; and
`internvid verify`, which compares an export with its manifest."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal

from orchestration.cli.options import LakeOption, existing, snapshot_of
from orchestration.cli.output import console, notes
from orchestration.cli.session import Session

if TYPE_CHECKING:
    from resources.corpus.exports.manifest import Head

FAILURES_SHOWN = 5


class FormName(StrEnum):
    """The forms of exports: those of `resources.corpus.exports.forms`, which is imported where it is used."""

    jsonl = "jsonl"
    hf = "hf"
    webdataset = "webdataset"
    lance = "lance"
    llava = "llava"
    fiftyone = "fiftyone"
    csv = "csv"
    coco = "coco"


class Clips(StrEnum):
    """What is written of the clips themselves."""

    exact = "exact"
    copy = "copy"
    none = "none"


def export(
    path: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write; without --form, the file.")],
    lake: LakeOption = None,
    at: Annotated[str | None, typer.Option(help="A snapshot: the clips as they were then.")] = None,
    subset: Annotated[str | None, typer.Option(help="Only the clips of this subset.")] = None,
    form: Annotated[
        FormName | None,
        typer.Option(help="What reads it. Without it: one file of JSON lines, as InternVid was released."),
    ] = None,
    clips: Annotated[
        Clips | None,
        typer.Option(help="exact: encoded again, to the frame. copy: from the key frame before. none: only spans."),
    ] = None,
    height: Annotated[int | None, typer.Option(min=16, help="Of exact clips: the largest, pixels.")] = None,
    fps: Annotated[float | None, typer.Option(min=0.1, max=240, help="Of exact clips: a constant rate.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that cut. Else INTERNVID_WORKERS.")] = None,
    clips_per_part: Annotated[
        int, typer.Option("--clips-per-part", min=1, max=10_000, help="Clips of a shard, or of a folder.")
    ] = 1_000,
) -> None:
    """Write captioned clips as others read them: a file of JSON lines, or a folder in one of the forms.

    In order of split, ingest batch, video and time. A folder has a manifest with the checksum of every file. A command
    that was interrupted is repeated, and goes on. The export that is published by batches is beside the tables.
    """
    session = existing(lake)
    at = snapshot_of(session, at)
    if form is None:
        if clips is not None or height is not None or fps is not None:
            raise typer.BadParameter("clips are written in one of the forms: give --form")
        _export_lines(session, path, at, subset)
        return
    kind = clips or Clips.exact
    if kind is not Clips.exact and (height is not None or fps is not None):
        raise typer.BadParameter(f"--height and --fps are of exact clips, not of --clips {kind}")
    if workers is not None:
        session.media = session.media.model_copy(update={"workers": workers})
    _export_folder(session, path, at, subset, form, kind, (height, fps), clips_per_part)


def verify(
    path: Annotated[Path, typer.Argument(metavar="OUT", help="The folder of an export.")],
) -> None:
    """Compare every file of an export with its manifest: one line for each that is missing, changed or extra."""
    from resources.corpus.exports.manifest import read_head
    from resources.corpus.exports.manifest import verify as faults_of

    faults = 0
    try:
        for fault in faults_of(path):
            faults += 1
            console.print(f"{fault.file}: {fault.what}", markup=False, highlight=False, soft_wrap=True)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if faults:
        raise typer.Exit(1)
    head = read_head(path)
    size = "" if head is None else f", {head.clips_exported:,} clips, {decimal(head.bytes)}"
    console.print(f"{path} is as its manifest says{size}", markup=False, highlight=False, soft_wrap=True)


def _export_folder(
    session: Session,
    path: Path,
    at: str | None,
    subset: str | None,
    form: FormName,
    clips: Clips,
    shape: tuple[int | None, float | None],
    clips_per_part: int,
) -> None:
    from internvid.cutting.exact import Encoding
    from resources.corpus.exports.register import make_registered_export
    from resources.corpus.exports.run import FolderInUse, Options
    from resources.corpus.exports.selection import NothingToExport, selection
    from resources.incremental.progress import progress

    options = Options(form.value, clips.value, Encoding(*shape), clips_per_part)
    try:
        chosen = selection(session.lake, session.resources["subset_files"], subset=subset, at=at)
        with progress("exporting", 0, notes.print) as advance:
            head = make_registered_export(session.lake, session.media, path, chosen, options, on_clips=advance)
    except (NothingToExport, FolderInUse) as error:
        raise typer.BadParameter(str(error)) from error
    _print_head(path, head)


def _print_head(path: Path, head: "Head") -> None:
    plan = head.plan
    of = f" of {plan.subset}" if plan.subset else ""
    console.print(
        f"{head.clips_exported:,} clips{of} in {path}, {decimal(head.bytes)}: {plan.form} of {plan.snapshot}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    failed = sum(head.failures.by_class.values())
    if not failed:
        return
    counts = ", ".join(f"{name} {number:,}" for name, number in head.failures.by_class.items())
    notes.print(f"{failed:,} clips could not be cut ({counts}); the manifest has all of them:", markup=False)
    for failure in head.failures.listed[:FAILURES_SHOWN]:
        notes.print(f"  {failure['clip_id']}: {failure['error_message']}", markup=False, soft_wrap=True)
    if not head.clips_exported:
        raise typer.Exit(1)


def _export_lines(session: Session, path: Path, at: str | None, subset: str | None) -> None:
    from resources.corpus.exports.jsonl import export as export_clips
    from resources.corpus.exports.register import note_export
    from resources.incremental.progress import progress

    at, total = _clips_to_export(session, at, subset)
    written = 0
    with progress("exporting", total, notes.print) as advance:

        def on_rows(lines: int) -> None:
            nonlocal written
            advance(lines - written)
            written = lines

        lines = export_clips(session.lake, path, at=at, subset=subset, on_rows=on_rows)
    note_export(session.lake, path, form=None, subset=subset, snapshot=at, clips=lines)
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
