"""Prints rows in three formats, the summary of a run, and failures."""

import csv
import json
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as TextTable

if TYPE_CHECKING:
    from orchestration.cli.session import RunSummary, Session
    from resources.lake.store import Lake
    from resources.media.store import Media

WIDTH_OF_A_LOG = 120  # characters, where the output goes to no terminal
ROWS_SHOWN = 1_000
FAILURES_SHOWN = 10
CAPTIONS_SHOWN = 3
STATES = ("done", "failed", "skipped", "waiting", "pending")

console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_LOG)
notes = Console(stderr=True)


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], format: Format) -> None:
    """Prints rows as they are read; a table stops after the first thousand and says so."""
    match format:
        case Format.json:
            sys.stdout.write("[")
            for number, row in enumerate(rows):
                text = json.dumps(dict(zip(columns, row, strict=True)), default=_plain, ensure_ascii=False)
                sys.stdout.write(f"{',' if number else ''}\n{text}")
            sys.stdout.write("\n]\n")
        case Format.csv:
            writer = csv.writer(sys.stdout)
            writer.writerow(columns)
            writer.writerows([_cell(value) for value in row] for row in rows)
        case Format.table:
            table = _table(*columns)
            for number, row in enumerate(rows):
                if number == ROWS_SHOWN:
                    notes.print(f"the first {ROWS_SHOWN:,} rows; --format csv or json prints all")
                    break
                table.add_row(*("" if value is None else escape(str(_cell(value))) for value in row))
            console.print(table)


def print_status(session: "Session") -> None:
    """Prints the number of inputs by stage and state, and the newest failures."""
    table = _table("stage", "in", *STATES, title=f"Inputs by stage, {session.lake.root}")
    for stage, number in session.counts().items():
        table.add_row(stage, *(f"{number[name]:,}" for name in ("total", *STATES)))
    console.print(table)
    _print_state(session)


def print_summary(session: "Session", summary: "RunSummary", seconds: float) -> None:
    """Prints the size of the lake, what this run did, failures, a few captions, and the path of the report."""
    from resources.corpus.report import REPORT
    from resources.lake.published_files import modified
    from resources.lake.statements import statement

    total = session.lake.query(statement("corpus/summary")).to_pylist()[0]
    table = _table(*total, title="The lake")
    table.add_row(*(f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" for value in total.values()))
    console.print(table)
    stages = _table("stage", "seconds", "rows added", "changed", "removed", title="This run")
    for name, rows in summary.rows.items():
        stages.add_row(name, f"{summary.seconds[name]:.1f}", *(f"{number:,}" for number in rows.values()))
    stages.add_row("all, with start-up", f"{seconds:.1f}")
    console.print(stages)
    _print_state(session)
    examples = session.lake.query(statement("corpus/example_captions"), {"captions": CAPTIONS_SHOWN}).to_pylist()
    for clip in examples:
        where = f"{_name(clip['source'])} {clip['start_seconds']:.1f}-{clip['end_seconds']:.1f} s"
        console.print(f"[bold]{escape(where)}[/bold]: {escape(clip['caption'])}", highlight=False)
    print_failed_runs(summary)
    if modified(session.lake, REPORT) is not None:
        console.print(f"Report: {escape(session.lake.root)}/{REPORT}", soft_wrap=True, highlight=False)
    if examples:
        console.print(
            f"To watch: internvid explore --lake {escape(session.lake.root)}", soft_wrap=True, highlight=False
        )


def _print_state(session: "Session") -> None:
    """Prints what a user should know of the lake beside its numbers of rows."""
    print_model(session)
    print_short_videos(session.lake)
    print_failures(session.lake)
    print_waiting(session.lake)
    print_improvable(session.lake)
    print_partial_downloads(session.media)
    print_passed_over(session.lake)


def print_short_videos(lake: "Lake") -> None:
    """Prints the newest videos that end before their header says."""
    from resources.lake.statements import statement

    rows = lake.query(statement("corpus/videos_short_of_header"), {"limit": FAILURES_SHOWN}).to_pylist()
    if not rows:
        return
    total = rows[0]["total"]
    newest = f"; the newest {FAILURES_SHOWN}:" if total > FAILURES_SHOWN else ":"
    console.print(f"{total:,} videos end before their header says, and count with what is there{newest}")
    for row in rows:
        there, header_seconds = row["duration_seconds"], row["declared_seconds"]
        line = (
            f"  {_name(row['source'])}: {there:,.2f} of {header_seconds:,.2f} s ({100 * there / header_seconds:.0f} %)"
        )
        console.print(escape(line), highlight=False)


def print_improvable(lake: "Lake") -> None:
    """Prints how many inputs are done and tried again for better rows, by reason, and when."""
    rows = lake.query(
        "select stage, error_class, count(*) as inputs, min(next_try_at) as next_try_at from attempts "
        "where outcome = 'improvable' group by all order by all",
        tables=["attempts"],
    ).to_pylist()
    for row in rows:
        again = (
            f"the next try is at {row['next_try_at']:%Y-%m-%d %H:%M} UTC" if row["next_try_at"] else "no try is left"
        )
        line = f"{row['inputs']:,} of {row['stage']} are done, and could be better: {row['error_class']}; {again}"
        console.print(escape(line), highlight=False)


def print_partial_downloads(media: "Media") -> None:
    """Prints how many downloads lie here in part: later tries go on with them, and the last one removes them."""
    if sizes := [size for size in media.partial_downloads() if size]:
        console.print(f"partial downloads: {len(sizes):,}, {decimal(sum(sizes))}; later tries go on with them")


def print_waiting(lake: "Lake") -> None:
    """Prints the sites in a cooldown: until when, why, and how many inputs wait for them."""
    from resources.lake.statements import statement

    for site in lake.query(statement("catalog/sites_in_cooldown"), {"now": datetime.now(UTC)}).to_pylist():
        line = (
            f"{site['site']} is in a cooldown until {site['until']:%Y-%m-%d %H:%M} UTC, {site['inputs']:,} inputs "
            f"wait: {site['reason_class']}: {site['reason']}"
        )
        console.print(escape(line), highlight=False)


def print_passed_over(lake: "Lake") -> None:
    """Prints the files that are no videos and those left over by other programs, by folder, suffix and reason."""
    kinds = lake.query(
        "select label, message from attempts where stage = 'sources' and error_class = 'PassedOver' "
        "order by label, message",
        tables=["attempts"],
    ).to_pylist()
    for location in dict.fromkeys(kind["label"] for kind in kinds):
        console.print(f"passed over in {escape(location)}:", highlight=False, soft_wrap=True)
        for kind in kinds:
            if kind["label"] == location:
                console.print(f"  {escape(kind['message'])}", highlight=False, soft_wrap=True)


def print_model(session: "Session") -> None:
    """Prints the active model with its recall on held-out clips."""
    active = session.resources["aligner"].active(session.lake)
    if active is None:
        return
    line = f"Active model: {active.checkpoint_id}"
    metrics = session.lake.query(
        "select value, chance, items from evaluations "
        "where checkpoint_id = $checkpoint_id and benchmark = 'held_out' and metric = 'text_to_video_recall_at_1'",
        {"checkpoint_id": active.checkpoint_id},
        tables=["evaluations"],
    ).to_pylist()
    for metric in metrics:
        line += f"; held-out text-to-video R@1 {metric['value']:.0f} % on {metric['items']} clips"
        line += f" (chance {metric['chance']:.0f} %)"
    console.print(line, highlight=False)


def print_failed_runs(summary: "RunSummary") -> None:
    """Prints partitions that could not be finished, each with the error that ended its run; and failed checks."""
    for warning in summary.warnings:
        notes.print(f"[yellow]warning:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)
    for alarm in summary.alarms:
        notes.print(f"[red]alarm:[/red] {escape(alarm)}", highlight=False, soft_wrap=True)
    for partition, error in summary.failed_runs.items():
        notes.print(f"[red]{escape(partition)} could not be finished:[/red] {escape(error)}")


def print_failures(lake: "Lake") -> None:
    """Prints the newest failures, each with its original error text."""
    failures = lake.query(
        "select stage, label, error_class, message, tries, count(*) over () as total from attempts "
        "where outcome = 'failed' order by written_at desc, attempt_id limit $limit",
        {"limit": FAILURES_SHOWN},
        tables=["attempts"],
    ).to_pylist()
    if not failures:
        return
    total = failures[0]["total"]
    console.print(f"{total:,} failed" + (f"; the newest {FAILURES_SHOWN}:" if total > FAILURES_SHOWN else ":"))
    for row in failures:
        tries = "" if row["tries"] == 1 else f" ({row['tries']} tries)"
        where = f"{_name(row['label'])}, {row['stage']}{tries}"
        console.print(f"  {escape(where)}: {row['error_class']}: {escape(row['message'])}", highlight=False)


def _table(*columns: str, title: str | None = None) -> TextTable:
    return TextTable(*map(escape, columns), title=title and escape(title), title_justify="left")


def _name(uri: str) -> str:
    """Returns the file name of a URI or path, decoded."""
    from urllib.parse import unquote

    return unquote(Path(uri).name)


def rows_of(batches: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Yields rows of Arrow record batches as tuples."""
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _cell(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    return json.dumps(value, default=_plain, ensure_ascii=False) if isinstance(value, list | dict) else value


def _plain(value: Any) -> Any:
    """Converts values that JSON cannot represent. DuckDB returns a sum of integers as a decimal."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)
