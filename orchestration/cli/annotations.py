"""`internvid annotations`: imports spans and captions of released datasets."""

from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from orchestration.cli.options import LakeOption, opened
from orchestration.cli.output import console, notes


def annotations(
    files: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="InternVid's jsonl or parquet, WebVid's or Panda-70M's csv, HowTo100M's json; or any csv, tsv, jsonl "
            "or parquet with url, start, end and caption.",
        ),
    ],
    dataset: Annotated[str, typer.Option("--as", metavar="NAME", help="The dataset's name here: internvid-10m.")],
    replace: Annotated[
        bool, typer.Option(help="Remove spans of earlier imports under that name that these files do not contain.")
    ] = False,
    lake: LakeOption = None,
) -> None:
    """Import released spans and captions. Their videos become sources; spans of stored videos become clips."""
    import dagster as dg

    from resources.catalog.annotations import Imported, check_dataset, import_annotations, remove_others
    from resources.incremental.progress import progress

    try:
        check_dataset(dataset)
        session = opened(lake)
        run_id = f"internvid annotations {uuid4().hex[:8]}"  # of this call: --replace goes by it
        imported = Imported()
        with progress("reading", 0, notes.print) as advance:
            for file in files:
                imported += import_annotations(session.lake, file, dataset, run_id, advance, mark_all=replace)
        removed = remove_others(session.lake, dataset, run_id) if replace else 0
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    console.print(
        f"{imported.rows:,} spans read: {imported.new:,} new, {imported.changed:,} changed, "
        f"{imported.unchanged:,} unchanged, {imported.bad:,} bad",
        highlight=False,
    )
    if imported.left_out:
        console.print(f"{imported.left_out:,} left out: their videos were forgotten", highlight=False)
    if replace:
        console.print(f"{removed:,} removed that are no longer in it", highlight=False)
    console.print(f"{imported.sources_new:,} videos are new as sources", highlight=False)
    if imported.bad:
        console.print("the table attempts lists the bad rows, stage annotations", highlight=False)
    changes = {"annotations_new": imported.new, "annotations_changed": imported.changed, "annotations_removed": removed}
    session.instance.report_runless_asset_event(dg.AssetMaterialization("annotations", metadata=changes))
    if imported.sources_new:
        session.report_sources({"sources_new": imported.sources_new})
        session.instance.add_dynamic_partitions("ingest_batch", sorted(imported.batches))
