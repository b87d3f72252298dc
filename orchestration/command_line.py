"""`internvid`: the lakehouse from a terminal. Each command is a few lines around what the assets and resources do."""

import csv
import json
import os
import shutil
import sys
import time
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as TextTable

if TYPE_CHECKING:
    import dagster as dg
    import pyarrow as pa

    from resources.lake import Lake
    from resources.refresh import Step

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console()
notes = Console(stderr=True)

REPOSITORY = Path(__file__).resolve().parent.parent
ROWS_SHOWN = 1_000
FAILURES_SHOWN = 10
STATES = ("done", "failed", "skipped", "pending")

LakeOption = Annotated[
    str | None,
    typer.Option("--lake", help="The lake's root: a folder or s3://bucket/prefix. Else INTERNVID_LAKE, else ./lake."),
]


class Format(str, Enum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"


@app.command()
def ingest(
    locations: Annotated[list[str], typer.Argument(help="Video files, and folders of them.")],
    lake: LakeOption = None,
    hours_per_batch: Annotated[float | None, typer.Option(help="Hours of video in one ingest batch.")] = None,
) -> None:
    """Add videos and bring the lake up to date. Later runs do only what is new or changed."""
    from assets.ingest_batches import HOURS_PER_BATCH, ingest_batches
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
    batches = set(house.lake.query("select distinct ingest_batch from sources", tables=["sources"])["ingest_batch"].to_pylist())
    house.instance.add_dynamic_partitions(str(ingest_batches.name), sorted(batches))
    if not registered.found and not batches:
        raise typer.BadParameter("no video file found there: folders are searched for names that end as videos do")
    work = house.bring_up_to_date()
    _print_summary(house, work, time.monotonic() - started)
    raise typer.Exit(1 if work.failed_batches else 0)


@app.command()
def status(lake: LakeOption = None) -> None:
    """Per stage: done, failed, skipped, pending; and the newest failures."""
    house = House(lake)
    table = TextTable("stage", "in", *STATES, title=f"{house.lake.root}", title_justify="left")
    for step, number in house.counts():
        table.add_row(step.name, *(f"{number[name]:,}" for name in ("total", *STATES)))
    console.print(table)
    _print_failures(house.lake)


@app.command()
def retry(
    lake: LakeOption = None,
    stage: Annotated[str | None, typer.Option(help="Only failures of this stage.")] = None,
    error: Annotated[str | None, typer.Option(help="Only failures of this error class.")] = None,
) -> None:
    """Try again what failed: all of it, or one stage's, or one class of error."""
    started = time.monotonic()
    house = House(lake)
    failures = house.lake.query(
        "select * from attempts where outcome = 'failed' "
        "and ($stage is null or stage = $stage) and ($error is null or error_class = $error)",
        {"stage": stage, "error": error},
        tables=["attempts"],
    )
    console.print(f"{failures.num_rows:,} failures to try again")
    if failures.num_rows == 0:
        return
    position = failures.schema.get_field_index("next_try_at")
    import pyarrow as pa

    now = pa.array([datetime.now(timezone.utc)] * failures.num_rows, failures.schema.field(position).type)
    house.lake.upsert("attempts", failures.set_column(position, "next_try_at", now))
    work = house.bring_up_to_date()
    _print_summary(house, work, time.monotonic() - started)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One statement. Tables: see docs/tables.md.")],
    lake: LakeOption = None,
    format: Annotated[Format, typer.Option(help="How rows are printed.")] = Format.table,
    at: Annotated[str | None, typer.Option(help="A snapshot: the tables as they were then.")] = None,
) -> None:
    """Ask the tables anything, in DuckDB's SQL. Read-only; no file and no network can be reached from it."""
    import duckdb

    with House(lake).lake.connect(at=at, untrusted=True) as connection:
        try:
            relation = connection.sql(query)
        except duckdb.Error as error:
            raise typer.BadParameter(str(error)) from error
        if relation is None:
            return
        _print_rows(relation.columns, _rows(relation.to_arrow_reader(1_000)), format)


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="Words to find in the captions.")],
    lake: LakeOption = None,
    limit: Annotated[int, typer.Option(help="How many clips.")] = 10,
    format: Annotated[Format, typer.Option(help="How rows are printed.")] = Format.table,
) -> None:
    """Clips whose captions fit the words best (BM25)."""
    house = House(lake)
    found = house.lake.search(text, limit=limit)
    clips = house.lake.fetch("clips", found["clip_id"].to_pylist(), ["video_id", "start_seconds", "end_seconds"]).to_pylist()
    videos = {row["video_id"]: row["source"] for row in _videos(house.lake, {clip["video_id"] for clip in clips})}
    rows = [
        (
            round(hit["score"], 3),
            Path(videos[clip["video_id"]]).name,
            round(clip["start_seconds"], 3),
            round(clip["end_seconds"], 3),
            hit["caption"],
            hit["clip_id"],
        )
        for hit, clip in zip(found.to_pylist(), clips, strict=True)
    ]
    _print_rows(["score", "video", "start_seconds", "end_seconds", "caption", "clip_id"], rows, format)


@app.command()
def export(
    path: Annotated[Path, typer.Argument(help="The file to write.")],
    lake: LakeOption = None,
    at: Annotated[str | None, typer.Option(help="A snapshot: the clips as they were then.")] = None,
) -> None:
    """Write every captioned clip as a line of JSON, in the shape in which InternVid was released."""
    from assets.internvid_jsonl import export as export_clips
    from resources.progress import progress

    house = House(lake)
    total = house.lake.dataset("clip_captions", at).count_rows()
    written = 0
    with progress("exporting", total, notes.print) as advance:

        def on_rows(lines: int) -> None:
            nonlocal written
            advance(lines - written)
            written = lines

        lines = export_clips(house.lake, path, at=at, on_rows=on_rows)
    console.print(f"{lines:,} clips in {path}")


@app.command()
def films(folder: Annotated[Path, typer.Argument(help="Where to put them.")]) -> None:
    """Render the sample films, each with the truth about it beside it."""
    from internvid.films.render import SAMPLE_FILMS, render_all
    from resources.progress import progress

    with progress("rendering films", len(SAMPLE_FILMS), notes.print) as advance:
        rendered = render_all(folder, SAMPLE_FILMS, on_film=lambda path: advance(1))
    console.print(f"{len(rendered)} films in {folder}")


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
    house = House(lake)
    for table, done in house.lake.optimize().items():
        console.print(f"{table}: {done}")


@app.command()
def docs() -> None:
    """Render docs/tables.md from the schemas."""
    from resources.schema import render_markdown

    (REPOSITORY / "docs" / "tables.md").write_text(render_markdown(), encoding="utf-8")


class Work:
    """What was run: rows and seconds by stage, as the assets reported them, and batches that could not be finished."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.rows: dict[str, dict[str, int]] = {}
        self.failed_batches: dict[str, str] = {}

    def take(self, result: "dg.ExecuteInProcessResult") -> None:
        for event in result.get_asset_materialization_events():
            materialization = event.materialization
            metadata = {name: value.value for name, value in materialization.metadata.items()}
            if "seconds" not in metadata:
                continue
            name = materialization.asset_key.to_user_string()
            rows = self.rows.setdefault(name, {"added": 0, "changed": 0, "removed": 0})
            for change in rows:
                rows[change] += metadata[f"rows_{change}"]
            self.seconds[name] = self.seconds.get(name, 0.0) + metadata["seconds"]


class House:
    """The lake with its resources, and the Dagster instance that keeps its runs."""

    def __init__(self, root: str | None) -> None:
        if root is not None:
            os.environ["INTERNVID_LAKE"] = root
        from resources.configured import configured

        self.resources = configured()
        self.lake: Lake = self.resources["lake"]
        self.media = self.resources["media"]
        os.environ["INTERNVID_LAKE"] = self.lake.root  # absolute, for the processes that this one starts
        _set_dagster_home(self.lake.root)
        self.lake.create_tables()

    @property
    def instance(self) -> "dg.DagsterInstance":
        import dagster as dg

        return dg.DagsterInstance.get()

    @property
    def steps(self) -> "list[Step]":
        from assets.steps import steps

        return steps(**{name: self.resources[name] for name in ("media", "cutter", "captioner", "summariser")})

    def counts(self) -> "list[tuple[Step, dict[str, int]]]":
        from resources.refresh import counts

        return [(step, counts(self.lake, step)) for step in self.steps]

    def bring_up_to_date(self) -> Work:
        """Runs every batch in which something is pending, then publishes what changed."""
        from orchestration.definitions import definitions
        from resources.refresh import pending_batches

        work = Work()
        definitions_ = definitions(self.resources)
        instance = self.instance
        done: set[str] = set()
        for step in self.steps:
            # A batch that is run for one step is brought up to date in all, so each is run once.
            for batch in pending_batches(self.lake, step):
                if batch not in done:
                    done.add(batch)
                    notes.print(f"[bold]{batch}[/bold]")
                    self._run(definitions_, "ingest", instance, work, batch)
        if self._is_unpublished():
            self._run(definitions_, "publish", instance, work, None)
        return work

    def _run(
        self, definitions_: "dg.Definitions", job: str, instance: "dg.DagsterInstance", work: Work, batch: str | None
    ) -> None:
        result = definitions_.resolve_job_def(job).execute_in_process(
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            partition_key=batch,
            instance=instance,
            raise_on_error=False,
        )
        work.take(result)
        if not result.success:
            error = next((str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure), "")
            work.failed_batches[batch or job] = error

    def _is_unpublished(self) -> bool:
        """Whether the tables hold anything that the newest snapshot, or what is made from it, does not show."""
        from assets.corpus_snapshot import take_snapshot
        from assets.report import FILE
        from resources.published_files import exists

        _, _, is_new = take_snapshot(self.lake, run_id="internvid")
        return is_new or not exists(self.lake, FILE)


def _set_dagster_home(root: str) -> None:
    if "DAGSTER_HOME" not in os.environ:
        home = Path.home() / ".internvid" / "dagster" if "://" in root else Path(root) / ".dagster"
        os.environ["DAGSTER_HOME"] = str(home)
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copy(REPOSITORY / "dagster.yaml", home / "dagster.yaml")


def _print_summary(house: House, work: Work, seconds: float) -> None:
    from resources.statements import statement

    total = house.lake.query(statement("operations/summary")).to_pylist()[0]
    table = TextTable("videos", "clips", "frames", "captions", "hours", "failures", title="The lake", title_justify="left")
    table.add_row(*(f"{total[name]:,}" for name in ("videos", "clips", "frames", "captions")), f"{total['hours']:.3f}", f"{total['failures']:,}")
    console.print(table)
    stages = TextTable("stage", "seconds", "rows added", "changed", "removed", title="This run", title_justify="left")
    for name, rows in work.rows.items():
        stages.add_row(name, f"{work.seconds[name]:.1f}", *(f"{rows[change]:,}" for change in ("added", "changed", "removed")))
    stages.add_row("all, with start-up", f"{seconds:.1f}")
    console.print(stages)
    _print_failures(house.lake)
    for caption in house.lake.query(statement("operations/example_captions"), {"captions": 3}).to_pylist():
        console.print(f"[cyan]{escape(Path(caption['source']).name)}[/cyan] {caption['start_seconds']:.1f}-{caption['end_seconds']:.1f} s: {escape(caption['caption'])}", highlight=False, soft_wrap=True)
    for batch, error in work.failed_batches.items():
        notes.print(f"[red]{batch} could not be finished:[/red] {escape(error)}")
    console.print(f"Report: {house.lake.root}/report.html", soft_wrap=True)


def _print_failures(lake: "Lake") -> None:
    failures = lake.query(
        "select stage, label, error_class, message, tries from attempts where outcome = 'failed' "
        "order by written_at desc limit $limit",
        {"limit": FAILURES_SHOWN},
        tables=["attempts"],
    ).to_pylist()
    if not failures:
        return
    table = TextTable("stage", "input", "error", "message", "tries", title="Newest failures", title_justify="left")
    for row in failures:
        table.add_row(row["stage"], escape(Path(row["label"]).name), row["error_class"], escape(row["message"]), str(row["tries"]))
    console.print(table)


def _videos(lake: "Lake", video_ids: Iterable[str]) -> list[dict[str, Any]]:
    return lake.fetch("raw_videos", sorted(video_ids), ["video_id", "source"]).to_pylist()


def _rows(reader: "pa.RecordBatchReader") -> Iterable[tuple[Any, ...]]:
    for batch in reader:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], format: Format) -> None:
    match format:
        case Format.json:
            objects = (json.dumps(dict(zip(columns, row, strict=True)), default=_plain, ensure_ascii=False) for row in rows)
            sys.stdout.write("[")
            for number, text in enumerate(objects):
                sys.stdout.write(f"{',' if number else ''}\n{text}")
            sys.stdout.write("\n]\n")
        case Format.csv:
            writer = csv.writer(sys.stdout)
            writer.writerow(columns)
            writer.writerows([_cell(value) for value in row] for row in rows)
        case Format.table:
            table = TextTable(*columns)
            for number, row in enumerate(rows):
                if number == ROWS_SHOWN:
                    notes.print(f"the first {ROWS_SHOWN:,} rows; --format csv or json prints all")
                    break
                table.add_row(*(escape(str(_cell(value))) for value in row))
            console.print(table)


def _cell(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    return json.dumps(value, default=_plain, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _plain(value: Any) -> Any:
    """What JSON has no form for."""
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)
