"""`internvid`: the lakehouse from a terminal. Each command is a few lines around what the assets and resources do."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

import typer

from orchestration.house import REPOSITORY, House
from orchestration.printing import (
    Format,
    console,
    notes,
    print_rows,
    print_status,
    print_summary,
    rows_of,
)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


LakeOption = Annotated[
    str | None,
    typer.Option("--lake", help="The lake's root: a folder or s3://bucket/prefix. Else INTERNVID_LAKE, else ./lake."),
]


@app.command()
def ingest(
    locations: Annotated[list[str], typer.Argument(help="Video files, and folders of them.")],
    lake: LakeOption = None,
    hours_per_batch: Annotated[float | None, typer.Option(help="Hours of video in one ingest batch.")] = None,
) -> None:
    """Add videos and bring the lake up to date. Later runs do only what is new or changed."""
    from assets.ingest_batches import HOURS_PER_BATCH
    from assets.sources import register
    from resources.progress import progress

    started = time.monotonic()
    house = House(lake)
    with progress("looking", 0, notes.print) as advance:
        try:
            registered = register(
                house.lake,
                house.media,
                locations,
                run_id="internvid ingest",
                hours_per_batch=hours_per_batch or HOURS_PER_BATCH,
                on_files=advance,
            )
        except FileNotFoundError as error:
            raise typer.BadParameter(str(error)) from error
    console.print(
        f"{registered.found:,} video files: {registered.new:,} new, {registered.changed:,} changed, "
        f"{registered.unchanged:,} known ({registered.ignored:,} other files passed over)"
    )
    if not registered.found:
        raise typer.BadParameter("no video file found there: folders are searched for names that end as videos do")
    if registered.batches:
        house.tell_dagster_of_sources({"files_new": registered.new, "files_changed": registered.changed})
    work = house.bring_up_to_date()
    print_summary(house, work, time.monotonic() - started)
    raise typer.Exit(1 if work.failed_batches else 0)


@app.command()
def status(lake: LakeOption = None) -> None:
    """Per stage: done, failed, skipped, pending; and the newest failures."""
    print_status(_existing(lake))


@app.command()
def retry(
    lake: LakeOption = None,
    stage: Annotated[str | None, typer.Option(help="Only failures of this stage.")] = None,
    error: Annotated[str | None, typer.Option(help="Only failures of this error class.")] = None,
) -> None:
    """Try again what failed: all of it, or one stage's, or one class of error."""
    started = time.monotonic()
    house = _existing(lake)
    failures = house.lake.query(
        "select * from attempts where outcome = 'failed' "
        "and ($stage is null or stage = $stage) and ($error is null or error_class = $error)",
        {"stage": stage, "error": error},
        tables=["attempts"],
    )
    console.print(f"{failures.num_rows:,} failures to try again")
    if failures.num_rows == 0:
        return
    house.try_again(failures)
    work = house.bring_up_to_date()
    print_summary(house, work, time.monotonic() - started)
    raise typer.Exit(1 if work.failed_batches else 0)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One statement. Tables: see docs/tables.md.")],
    lake: LakeOption = None,
    format: Annotated[Format, typer.Option(help="How rows are printed.")] = Format.table,
    at: Annotated[str | None, typer.Option(help="A snapshot: the tables as they were then.")] = None,
) -> None:
    """Ask the tables anything, in DuckDB's SQL. Read-only; no file and no network can be reached from it."""
    import duckdb
    import pyarrow as pa

    house = _existing(lake)
    _require_snapshot(house, at)
    try:
        with house.lake.connect(at=at, untrusted=True) as connection:
            relation = connection.sql(query)
            if relation is not None:
                print_rows(relation.columns, rows_of(relation.to_arrow_reader(1_000)), format)
    except (duckdb.Error, pa.ArrowException) as error:
        raise typer.BadParameter(str(error)) from error


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="Words to find in the captions.")],
    lake: LakeOption = None,
    limit: Annotated[int, typer.Option(help="How many clips.")] = 10,
    format: Annotated[Format, typer.Option(help="How rows are printed.")] = Format.table,
) -> None:
    """Clips whose captions fit the words best (BM25)."""
    house = _existing(lake)
    found = house.lake.search(text, limit=limit)
    columns = ["video_id", "start_seconds", "end_seconds"]
    clips = house.lake.fetch("clips", found["clip_id"].to_pylist(), columns).to_pylist()
    video_ids = sorted({clip["video_id"] for clip in clips})
    sources = house.lake.fetch("raw_videos", video_ids, ["source"])["source"].to_pylist()
    videos = dict(zip(video_ids, sources, strict=True))
    rows = [
        (
            round(hit["score"], 3),
            Path(unquote(videos[clip["video_id"]])).name,
            round(clip["start_seconds"], 3),
            round(clip["end_seconds"], 3),
            hit["caption"],
            hit["clip_id"],
        )
        for hit, clip in zip(found.to_pylist(), clips, strict=True)
    ]
    print_rows(["score", "video", "start_seconds", "end_seconds", "caption", "clip_id"], rows, format)


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="The file to write.")],
    lake: LakeOption = None,
    at: Annotated[str | None, typer.Option(help="A snapshot: the clips as they were then.")] = None,
) -> None:
    """Write every captioned clip as a line of JSON, in the shape in which InternVid was released."""
    from assets.internvid_jsonl import export as export_clips
    from resources.progress import progress

    house = _existing(lake)
    _require_snapshot(house, at)
    total = house.lake.dataset("clip_captions", at).count_rows()
    written = 0
    with progress("exporting", total, notes.print) as advance:

        def on_rows(lines: int) -> None:
            nonlocal written
            advance(lines - written)
            written = lines

        lines = export_clips(house.lake, path, at=at, on_rows=on_rows)
    console.print(f"{lines:,} clips in {path}", markup=False)


@app.command()
def films(folder: Annotated[Path, typer.Argument(help="Where to put them.")]) -> None:
    """Render the sample films, each with the truth about it beside it."""
    from internvid.films.render import SAMPLE_FILMS, render_all
    from resources.progress import progress

    with progress("rendering films", len(SAMPLE_FILMS), notes.print) as advance:
        rendered = render_all(folder, SAMPLE_FILMS, on_film=lambda path: advance(1))
    console.print(f"{len(rendered)} films in {folder}", markup=False)


@app.command()
def ui(lake: LakeOption = None, port: int = 3000, host: str = "127.0.0.1") -> None:
    """The Dagster UI on this lake, with the daemon that runs backfills, sensors and schedules."""
    House(lake)
    command = shutil.which("dagster", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if command is None:
        raise typer.BadParameter("the dagster command is not installed beside internvid")
    os.chdir(REPOSITORY)
    os.execv(command, [command, "dev", "-w", "workspace.yaml", "-h", host, "-p", str(port)])


@app.command()
def maintain(lake: LakeOption = None) -> None:
    """Compact and index the tables, and remove old versions that no snapshot pins. Writers may go on meanwhile."""
    house = _existing(lake)
    for table, done in house.lake.optimize().items():
        console.print(f"{table}: {done}")


@app.command()
def docs() -> None:
    """Render docs/tables.md from the schemas."""
    from resources.schema import render_markdown

    (REPOSITORY / "docs" / "tables.md").write_text(render_markdown(), encoding="utf-8")


def _existing(root: str | None) -> House:
    """The lake to look at: a mistyped name makes no new one."""
    try:
        return House(root, must_exist=True)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error


def _require_snapshot(house: House, name: str | None) -> None:
    if name is not None and name not in house.lake.tags():
        raise typer.BadParameter(f"there is no snapshot {name!r}; the table corpus_snapshot lists them")
