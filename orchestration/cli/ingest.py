"""The commands that register videos and bring the lake up to date: ingest, status, retry, sample-videos."""

import time
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.options import LakeOption, ProfileOption, ProviderOption, existing, opened
from orchestration.cli.output import console, notes, print_passed_over, print_status, print_summary


def ingest(
    locations: Annotated[
        list[str],
        typer.Argument(
            help="Video files, folders of them, URLs of videos, and lists of these: csv, tsv, jsonl, parquet, txt."
        ),
    ],
    lake: LakeOption = None,
    hours_per_batch: Annotated[
        float | None, typer.Option(help="Hours of video in one ingest batch; else 2, in a large lake up to 60.")
    ] = None,
    profile: ProfileOption = None,
    provider: ProviderOption = None,
) -> None:
    """Add videos and bring the lake up to date. Later runs do only what is new or changed."""
    from resources.catalog.locations import register_all
    from resources.incremental.faults import raising_faults
    from resources.incremental.progress import progress

    started = time.monotonic()
    session = opened(lake, profile, provider)
    session.instance  # noqa: B018 - a database that is away ends this here, before anything is registered
    with progress("registering", 0, notes.print) as advance:
        try:
            with raising_faults(session.lake.root):
                registered, bad_rows = register_all(
                    session.lake, session.media, locations, hours_per_batch, on_items=advance
                )
        except (ValueError, OSError) as error:
            raise typer.BadParameter(str(error)) from error
    console.print(
        f"{registered.total:,} videos: {registered.new:,} new, {registered.changed:,} changed, "
        f"{registered.unchanged:,} known ({registered.tally.passed_over_files:,} other files passed over)"
    )
    if registered.left_out:
        console.print(f"{registered.left_out:,} were forgotten and are not ingested again")
    if bad_rows:
        notes.print(f"{bad_rows:,} rows of lists name no video: `internvid status` shows them")
    if not registered.total and not bad_rows and not registered.left_out:
        print_passed_over(session.lake)
        raise typer.BadParameter(
            f"no video in {', '.join(locations)}: folders are searched for file names with the suffix of a video"
        )
    if registered.batches:
        session.report_sources({"files_new": registered.new, "files_changed": registered.changed})
    summary = session.bring_up_to_date()
    print_summary(session, summary, time.monotonic() - started)
    raise typer.Exit(0 if summary.is_well else 1)


def status(
    lake: LakeOption = None,
    profile: ProfileOption = None,
    provider: ProviderOption = None,
    recount: Annotated[
        bool, typer.Option("--recount", help="Count every batch again, not only those that changed.")
    ] = False,
) -> None:
    """Per stage: done, failed, skipped, pending; and the newest failures."""
    from resources.incremental.batch_states import forget_batch_states

    session = existing(lake, profile, provider)
    if recount:
        forget_batch_states(session.lake)
    print_status(session)


def retry(
    lake: LakeOption = None,
    stage: Annotated[str | None, typer.Option(help="Only failures of this stage.")] = None,
    error: Annotated[str | None, typer.Option(help="Only failures of this error class.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Also failures without a further automatic try.")] = False,
    profile: ProfileOption = None,
    provider: ProviderOption = None,
) -> None:
    """Retry failures that may succeed now; or all failures of one stage, or of one class of error."""
    from resources.lake.statements import statement

    started = time.monotonic()
    session = existing(lake, profile, provider)
    asked = {"stage": stage, "error": error, "all": all or stage is not None or error is not None}
    failures = session.lake.query(statement("incremental/failures_to_retry"), asked)
    console.print(f"{failures.num_rows:,} failures to try again")
    if failures.num_rows == 0:
        if not asked["all"]:
            notes.print("failures without a further automatic try are retried by --all, --stage or --error")
        return
    session.retry_now(failures)
    summary = session.bring_up_to_date()
    print_summary(session, summary, time.monotonic() - started)
    raise typer.Exit(0 if summary.is_well else 1)


def sample_videos(folder: Annotated[Path, typer.Argument(help="Where to put them.")]) -> None:
    """Render the sample videos, each with its ground truth beside it."""
    from internvid.synthetic.render import SAMPLE_VIDEOS, render_all
    from resources.incremental.progress import progress

    with progress("rendering videos", len(SAMPLE_VIDEOS), notes.print) as advance:
        rendered = render_all(folder, SAMPLE_VIDEOS, on_video=lambda path: advance(1))
    console.print(f"{len(rendered)} videos in {folder}", markup=False)
