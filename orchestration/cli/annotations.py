"""`internvid annotations`: imports spans and captions of released datasets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer
from rich.markup import escape

from orchestration.cli.options import LakeOption, opened
from orchestration.cli.output import console, notes

if TYPE_CHECKING:
    from resources.catalog.local_videos import LocalVideos


def annotations(
    files: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="Files as datasets are released (docs/annotations.md lists them); or any csv, tsv, jsonl, json or "
            "parquet with url, start, end and caption.",
        ),
    ],
    dataset: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="The dataset's name here: internvid-10m.")
    ] = None,
    videos: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="A folder with the videos, named after their ids: spans belong to these files.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how the files would be read: no lake is needed.")
    ] = False,
    replace: Annotated[
        bool, typer.Option(help="Remove spans of earlier imports under that name that these files do not contain.")
    ] = False,
    lake: LakeOption = None,
) -> None:
    """Import released spans and captions. Their videos become sources; spans of stored videos become clips."""
    import dagster as dg

    from assets.partitions import add_ingest_batches
    from resources.catalog.annotations import Imported, check_dataset, import_annotations, remove_others
    from resources.catalog.local_videos import LocalVideos
    from resources.incremental.progress import progress

    if dry_run:
        _preview(files, videos)
        return
    if dataset is None:
        raise typer.BadParameter("Missing option '--as': the dataset's name in this lake")
    try:
        check_dataset(dataset)
        session = opened(lake)
        local = LocalVideos(videos) if videos else None
        run_id = f"internvid annotations {uuid4().hex[:8]}"  # of this call: --replace goes by it
        imported = Imported()
        with progress("reading", 0, notes.print) as advance:
            for file in files:
                imported += import_annotations(
                    session.lake,
                    file,
                    dataset,
                    run_id,
                    advance,
                    mark_all=replace,
                    videos=local,
                    media=session.media,
                )
        removed = remove_others(session.lake, dataset, run_id) if replace else 0
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    console.print(
        f"{imported.rows:,} spans read: {imported.new:,} new, {imported.changed:,} changed, "
        f"{imported.unchanged:,} unchanged, {imported.bad:,} bad",
        highlight=False,
    )
    if local is not None:
        _tell_found(local, imported.missing)
    if imported.left_out:
        console.print(f"{imported.left_out:,} left out: their videos were forgotten", highlight=False)
    if replace:
        console.print(f"{removed:,} removed that are no longer in it", highlight=False)
    console.print(f"{imported.sources_new:,} videos are new as sources", highlight=False)
    if imported.bad or imported.missing:
        console.print("the table attempts lists the bad rows, stage annotations", highlight=False)
    changes = {"annotations_new": imported.new, "annotations_changed": imported.changed, "annotations_removed": removed}
    session.instance.report_runless_asset_event(dg.AssetMaterialization("annotations", metadata=changes))
    if imported.sources_new:
        session.report_sources({"sources_new": imported.sources_new})
        add_ingest_batches(session.instance, imported.batches)


def _preview(files: list[Path], videos: Path | None) -> None:
    """Prints how each file would be read."""
    from resources.catalog.annotations import preview
    from resources.catalog.local_videos import LocalVideos
    from resources.incremental.progress import progress

    missing = 0
    try:
        local = LocalVideos(videos) if videos else None
        for file in files:
            with progress("reading", 0, notes.print) as advance:
                seen = preview(file, local, advance)
            missing += seen.missing
            first = "" if seen.first_refused is None else ", first row {:,}: {}".format(*seen.first_refused)
            line = f"{file.name}: read as {seen.form}: {seen.spans:,} spans, {seen.refused:,} rows refused{first}"
            console.print(escape(line), highlight=False, soft_wrap=True)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if local is not None:
        _tell_found(local, missing)


def _tell_found(local: "LocalVideos", missing: int) -> None:
    """Prints how many of the videos are in the folder."""
    line = f"{len(local.present):,} of {len(local.wanted):,} videos found in {local.folder} ({local.files:,} files)"
    line += f"; {missing:,} spans of the others are left out" if missing else ""
    console.print(escape(line), highlight=False, soft_wrap=True)
