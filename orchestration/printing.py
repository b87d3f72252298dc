"""What the command line prints: rows in three formats, the summary of a run, failures."""

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
from rich.markup import escape
from rich.table import Table as TextTable

if TYPE_CHECKING:
    from orchestration.house import House, Work
    from resources.lake import Lake

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
    """Prints as they come; a table stops after the first thousand and says so."""
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
                table.add_row(*(escape(str(_cell(value))) for value in row))
            console.print(table)


def print_status(house: "House") -> None:
    """Where the inputs of each stage stand, and the newest failures."""
    table = _table("stage", "in", *STATES, title=f"Inputs by stage, {house.lake.root}")
    for step, number in house.counts():
        table.add_row(step.name, *(f"{number[name]:,}" for name in ("total", *STATES)))
    console.print(table)
    print_model(house)
    print_failures(house.lake)
    print_waiting(house.lake)


def print_summary(house: "House", work: "Work", seconds: float) -> None:
    """What the lake holds, what this run did, what failed, a few captions, and where the report is."""
    from assets.report import FILE
    from resources.statements import statement

    total = house.lake.query(statement("operations/summary")).to_pylist()[0]
    table = _table(*total, title="The lake")
    table.add_row(*(f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" for value in total.values()))
    console.print(table)
    stages = _table("stage", "seconds", "rows added", "changed", "removed", title="This run")
    for name, rows in work.rows.items():
        stages.add_row(name, f"{work.seconds[name]:.1f}", *(f"{number:,}" for number in rows.values()))
    stages.add_row("all, with start-up", f"{seconds:.1f}")
    console.print(stages)
    print_model(house)
    print_failures(house.lake)
    print_waiting(house.lake)
    examples = house.lake.query(statement("operations/example_captions"), {"captions": CAPTIONS_SHOWN}).to_pylist()
    for clip in examples:
        where = f"{_name(clip['source'])} {clip['start_seconds']:.1f}-{clip['end_seconds']:.1f} s"
        console.print(f"[bold]{escape(where)}[/bold]: {escape(clip['caption'])}", highlight=False)
    print_failed_runs(work)
    if house.is_published(FILE):
        console.print(f"Report: {escape(house.lake.root)}/{FILE}", soft_wrap=True, highlight=False)


def print_waiting(lake: "Lake") -> None:
    """Which sites are left alone, why, until when, and how much waits for them."""
    from resources.statements import statement

    for site in lake.query(statement("operations/sites_left_alone"), {"now": datetime.now(UTC)}).to_pylist():
        line = (
            f"{site['site']} is left alone until {site['until']:%Y-%m-%d %H:%M} UTC, {site['inputs']:,} inputs wait: "
            f"{site['reason_class']}: {site['reason']}"
        )
        console.print(escape(line), highlight=False)


def print_model(house: "House") -> None:
    """Which model is active, and how well it finds held-out clips by their captions."""
    active = house.resources["aligner"].active(house.lake)
    if active is None:
        return
    line = f"Active model: {active.checkpoint_id}"
    found = house.lake.query(
        "select value, chance, items from evaluations "
        "where checkpoint_id = $checkpoint_id and metric = 'text_to_video_recall_at_1'",
        {"checkpoint_id": active.checkpoint_id},
        tables=["evaluations"],
    ).to_pylist()
    for metric in found:
        line += f"; finds {metric['value']:.0f} % of {metric['items']} held-out clips by their caption at once"
        line += f" (by lot {metric['chance']:.0f} %)"
    console.print(line, highlight=False)


def print_failed_runs(work: "Work") -> None:
    """Partitions that could not be finished, each with the error that ended its run; and checks that failed."""
    for warning in work.warnings:
        notes.print(f"[yellow]warning:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)
    for alarm in work.alarms:
        notes.print(f"[red]alarm:[/red] {escape(alarm)}", highlight=False, soft_wrap=True)
    for partition, error in work.failed_batches.items():
        notes.print(f"[red]{escape(partition)} could not be finished:[/red] {escape(error)}")


def print_failures(lake: "Lake") -> None:
    """The newest failures, each with its original error text."""
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
    """The file name in a URI or path, readable."""
    from urllib.parse import unquote

    return unquote(Path(uri).name)


def rows_of(batches: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Rows as tuples, from Arrow record batches."""
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _cell(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    return json.dumps(value, default=_plain, ensure_ascii=False) if isinstance(value, list | dict) else value


def _plain(value: Any) -> Any:
    """What JSON has no form for. A sum of integers comes from DuckDB as a decimal."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)
