"""`internvid`: the lakehouse from a terminal. Each command is a few lines around what the assets and resources do."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote

import typer

from orchestration import (
    annotations_command,
    doctor_command,
    feeds_command,
    forget_command,
    plan_command,
    subset_command,
    why_command,
)
from orchestration.house import REPOSITORY, House
from orchestration.options import DoorOption, LakeOption, ProfileOption, existing, opened, require_snapshot
from orchestration.printing import (
    Format,
    console,
    notes,
    print_rows,
    print_status,
    print_summary,
    rows_of,
)

if TYPE_CHECKING:
    import numpy as np

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(subset_command.app, name="subset")
app.add_typer(feeds_command.app, name="feeds")
app.command()(annotations_command.annotations)
app.command()(why_command.why)
app.command()(forget_command.forget)
app.command()(doctor_command.doctor)
app.command()(plan_command.plan)


@app.command()
def ingest(
    locations: Annotated[
        list[str],
        typer.Argument(
            help="Video files, folders of them, URLs of videos, and lists of these: csv, tsv, jsonl, parquet, txt."
        ),
    ],
    lake: LakeOption = None,
    hours_per_batch: Annotated[float | None, typer.Option(help="Hours of video in one ingest batch.")] = None,
    profile: ProfileOption = None,
    door: DoorOption = None,
) -> None:
    """Add videos and bring the lake up to date. Later runs do only what is new or changed."""
    from assets.ingest_batches import HOURS_PER_BATCH
    from orchestration.locations import register_all
    from resources.progress import progress

    started = time.monotonic()
    house = opened(lake, profile, door)
    with progress("looking", 0, notes.print) as advance:
        try:
            registered, bad_rows = register_all(
                house.lake, house.media, locations, hours_per_batch or HOURS_PER_BATCH, on_items=advance
            )
        except (ValueError, OSError) as error:
            raise typer.BadParameter(str(error)) from error
    console.print(
        f"{registered.found:,} videos: {registered.new:,} new, {registered.changed:,} changed, "
        f"{registered.unchanged:,} known ({registered.ignored:,} other files passed over)"
    )
    if registered.left_out:
        console.print(f"{registered.left_out:,} were forgotten and are not taken in again")
    if bad_rows:
        notes.print(f"{bad_rows:,} rows of lists name no video: `internvid status` shows them")
    if not registered.found and not bad_rows and not registered.left_out:
        raise typer.BadParameter("no video found there: folders are searched for names that end as videos do")
    if registered.batches:
        house.tell_dagster_of_sources({"files_new": registered.new, "files_changed": registered.changed})
    work = house.bring_up_to_date()
    print_summary(house, work, time.monotonic() - started)
    raise typer.Exit(0 if work.is_well else 1)


@app.command()
def status(lake: LakeOption = None, profile: ProfileOption = None, door: DoorOption = None) -> None:
    """Per stage: done, failed, skipped, pending; and the newest failures."""
    print_status(existing(lake, profile, door))


@app.command()
def retry(
    lake: LakeOption = None,
    stage: Annotated[str | None, typer.Option(help="Only failures of this stage.")] = None,
    error: Annotated[str | None, typer.Option(help="Only failures of this error class.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Also those that resources/retries.yaml gives up.")] = False,
    profile: ProfileOption = None,
    door: DoorOption = None,
) -> None:
    """Try again now what failed and may succeed another time; or all of one stage, or of one class of error."""
    from resources.statements import statement

    started = time.monotonic()
    house = existing(lake, profile, door)
    asked = {"stage": stage, "error": error, "all": all or stage is not None or error is not None}
    failures = house.lake.query(statement("operations/failures_to_retry"), asked)
    console.print(f"{failures.num_rows:,} failures to try again")
    if failures.num_rows == 0:
        if not asked["all"]:
            notes.print("those that nothing but a change will mend are tried again by --all, --stage or --error")
        return
    house.try_again(failures)
    work = house.bring_up_to_date()
    print_summary(house, work, time.monotonic() - started)
    raise typer.Exit(0 if work.is_well else 1)


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

    house = existing(lake)
    require_snapshot(house, at)
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
    """Clips that fit the words best: by their captions (BM25), and by their pictures once a model is active."""
    house = existing(lake)
    vector, weight = _vector_of(house, text)
    found = house.lake.search(text, limit=limit, vector=vector, vector_weight=weight)
    columns = ["video_id", "start_seconds", "end_seconds"]
    clips = house.lake.fetch("clips", found["clip_id"].to_pylist(), columns).to_pylist()
    video_ids = sorted({clip["video_id"] for clip in clips})
    sources = house.lake.fetch("raw_videos", video_ids, ["source"])["source"].to_pylist()
    videos = dict(zip(video_ids, sources, strict=True))
    rows = [
        (
            round(hit["score"], 4),
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
def train(
    recipe: Annotated[str, typer.Argument(help="A file of internvid/viclip/recipes/: viclip-tiny, viclip-b16, …")],
    subset: Annotated[str, typer.Option(help="What to train on: see `internvid subset list`.")] = "all",
    keep_seen: Annotated[bool, typer.Option(help="Write down every clip that the model saw.")] = False,
    lake: LakeOption = None,
) -> None:
    """Train a ViCLIP on a subset of the lake as it is now, and evaluate it. One that was killed goes on."""
    from orchestration.model_commands import train_model

    train_model(existing(lake), recipe, subset, keep_seen=keep_seen)


@app.command()
def ablate(
    subsets: Annotated[str, typer.Option(help="Subsets to compare, joined by commas.")],
    recipe: Annotated[str, typer.Option(help="The recipe that each is trained by.")] = "viclip-tiny",
    lake: LakeOption = None,
) -> None:
    """Train one model for each subset, by the same recipe, and compare them on the same held-out videos."""
    from orchestration.model_commands import ablate as compare

    compare(existing(lake), recipe, [name.strip() for name in subsets.split(",") if name.strip()])


@app.command()
def activate(
    checkpoint: Annotated[str, typer.Argument(help="An id of the table checkpoints, or a checkpoint's folder.")],
    lake: LakeOption = None,
) -> None:
    """Choose the model whose vectors the lake holds. The next `ingest` makes all vectors anew with it."""
    from orchestration.model_commands import activate as make_active

    make_active(existing(lake), checkpoint)


@app.command()
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="An id of the table checkpoints, or a checkpoint's folder.")],
    benchmark: Annotated[str, typer.Option(help="msrvtt, didemo, kinetics400, ucf101, …")],
    data: Annotated[Path, typer.Option(help="The folder with the benchmark's annotation file and videos.")],
    frames: Annotated[int, typer.Option(help="Frames of each video.")] = 8,
    choice: Annotated[str, typer.Option(help="Which frames: middle (of equal parts) or uniform.")] = "middle",
    split: Annotated[str | None, typer.Option(help="Another split than the paper's.")] = None,
    linear_probe: Annotated[bool, typer.Option(help="Also a linear classifier, trained on the train split.")] = False,
    out: Annotated[Path | None, typer.Option(help="A JSON file for all figures.")] = None,
    lake: LakeOption = None,
) -> None:
    """Evaluate a checkpoint on a benchmark by the paper's protocol, beside the paper's numbers."""
    from orchestration.evaluate_command import evaluate_command

    folder = Path(checkpoint)
    if not folder.is_dir():
        from assets.active_checkpoint import checkpoint_folder

        try:
            folder = checkpoint_folder(existing(lake).lake, checkpoint)
        except (ValueError, OSError) as error:
            raise typer.BadParameter(str(error)) from error
    evaluate_command(
        folder,
        benchmark=benchmark,
        data=data,
        frames=frames,
        choice=choice,
        split=split,
        linear_probe=linear_probe,
        out=out,
        name=checkpoint,
    )


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="The file to write.")],
    lake: LakeOption = None,
    at: Annotated[str | None, typer.Option(help="A snapshot: the clips as they were then.")] = None,
    subset: Annotated[str | None, typer.Option(help="Only the clips of this subset, as it was made.")] = None,
) -> None:
    """Write every captioned clip as a line of JSON, in the shape in which InternVid was released."""
    from assets.internvid_jsonl import export as export_clips
    from assets.internvid_jsonl import note_export
    from resources.progress import progress

    house = existing(lake)
    require_snapshot(house, at)
    at, total = _clips_to_export(house, at, subset)
    written = 0
    with progress("exporting", total, notes.print) as advance:

        def on_rows(lines: int) -> None:
            nonlocal written
            advance(lines - written)
            written = lines

        lines = export_clips(house.lake, path, at=at, subset=subset, on_rows=on_rows)
    note_export(house.lake, path, subset=subset, snapshot=at, clips=lines)
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
def ui(
    lake: LakeOption = None,
    port: int = 3000,
    host: str = "127.0.0.1",
    profile: ProfileOption = None,
    door: DoorOption = None,
) -> None:
    """The Dagster UI on this lake, with the daemon that runs backfills, sensors and schedules."""
    opened(lake, profile, door).instance  # noqa: B018 - it sets the limits of the pools
    command = shutil.which("dagster", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if command is None:
        raise typer.BadParameter("the dagster command is not installed beside internvid")
    os.chdir(REPOSITORY)
    os.execv(command, [command, "dev", "-w", "workspace.yaml", "-h", host, "-p", str(port)])


@app.command()
def maintain(lake: LakeOption = None) -> None:
    """Compact and index the tables, and remove old versions that no snapshot pins. Writers may go on meanwhile."""
    house = existing(lake)
    for table, done in house.lake.optimize().items():
        console.print(f"{table}: {done}")


@app.command()
def docs() -> None:
    """Render docs/tables.md from the schemas."""
    from resources.schema import render_markdown

    (REPOSITORY / "docs" / "tables.md").write_text(render_markdown(), encoding="utf-8")


def _clips_to_export(house: House, at: str | None, subset: str | None) -> tuple[str | None, int]:
    """The snapshot to read, for a subset the one it was made from, and how many clips there are."""
    if subset is None:
        return at, house.lake.dataset("clip_captions", at).count_rows()
    made = house.lake.query(
        "select snapshot, clips from subset_snapshots where subset = $subset",
        {"subset": subset},
        tables=["subset_snapshots"],
    ).to_pylist()
    if not made:
        raise typer.BadParameter(f"the subset {subset!r} has not been made yet: `internvid subset make {subset}`")
    snapshot = at or made[0]["snapshot"]
    if snapshot not in house.lake.tags():
        raise typer.BadParameter(f"the snapshot of {subset!r} is gone: `internvid ingest` selects it anew")
    return snapshot, made[0]["clips"]


def _vector_of(house: House, text: str) -> "tuple[np.ndarray | None, float]":
    """The text's vector by the active checkpoint, None where no model is active; and how much it is to count beside
    the words: as much as the model proved on held-out clips, from 0 (no better than by lot) to 1.
    """
    from assets.clip_embeddings import padded
    from resources.statements import statement

    aligner = house.resources["aligner"]
    active = aligner.active(house.lake)
    if active is None:
        return None, 0.0
    about = {"checkpoint_id": active.checkpoint_id}
    proved = house.lake.query(statement("operations/proved_recall"), about)["share"].to_pylist()
    weight = proved[0] if proved else 1.0  # a model from elsewhere, not measured here
    return padded(aligner.encoder(house.lake, active).encode_texts([text])[0]), weight
