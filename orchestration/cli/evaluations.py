"""`internvid evaluations`: lists the metrics of the lake's checkpoints, and sets checkpoints beside each other."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.cli.options import LakeOption, existing
from orchestration.cli.output import Format, console, notes, print_rows

app = typer.Typer(no_args_is_help=True, help="Metrics of the lake's checkpoints, on each benchmark.")

BenchmarkOption = Annotated[str | None, typer.Option(help="Only this benchmark: held_out, msrvtt, …")]


@app.command("list")
def list_(
    benchmark: BenchmarkOption = None,
    lake: LakeOption = None,
    format: Annotated[Format, typer.Option(help="How rows are printed.")] = Format.table,
) -> None:
    """List every metric, the newest checkpoint first."""
    rows = _rows(lake, benchmark)
    print_rows(list(rows[0]) if rows else ["checkpoint_id"], (tuple(row.values()) for row in rows), format)


@app.command()
def compare(
    checkpoints: Annotated[list[str] | None, typer.Argument(help="Ids of checkpoints; all unless given.")] = None,
    benchmark: BenchmarkOption = None,
    lake: LakeOption = None,
) -> None:
    """Set checkpoints beside each other: their metrics on the same data, the chance level, and the paper's best."""
    rows = _rows(lake, benchmark)
    known = list(dict.fromkeys(row["checkpoint_id"] for row in rows))
    if unknown := [checkpoint for checkpoint in checkpoints or [] if checkpoint not in known]:
        names = ", ".join(known) or "none"
        raise typer.BadParameter(f"nothing was measured of {', '.join(map(repr, unknown))}; there are {names}")
    chosen = checkpoints or known
    of_data: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        if row["checkpoint_id"] in chosen:
            # Metrics over other videos, or by another protocol, say nothing about each other.
            data = tuple(row[name] for name in ("benchmark", "split", "protocol", "data_digest"))
            of_data.setdefault(data, []).append(row)
    for of_these in of_data.values():
        _print_beside(of_these, [checkpoint for checkpoint in chosen if _is_in(of_these, checkpoint)])
    if not of_data:
        notes.print("nothing was evaluated yet: `internvid train` evaluates what it trains")


def _print_beside(rows: list[dict[str, Any]], checkpoints: list[str]) -> None:
    data = rows[0]
    title = f"{data['benchmark']} {data['split']}: {data['protocol']}, {data['items']:,} of {data['named']:,}"
    has_published = any(row["published"] is not None for row in rows)
    columns = ["metric", *map(escape, checkpoints), "chance", *(["paper's best"] if has_published else [])]
    table = TextTable(*columns, title=escape(title), title_justify="left")
    by_metric: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_metric.setdefault(row["metric"], {})[row["checkpoint_id"]] = row
    for metric, of_checkpoint in by_metric.items():
        first = next(iter(of_checkpoint.values()))
        values = [
            of_checkpoint[checkpoint]["value"] if checkpoint in of_checkpoint else None for checkpoint in checkpoints
        ]
        published = [first["published"]] if has_published else []
        table.add_row(metric.replace("_", " "), *(_figure(value) for value in (*values, first["chance"], *published)))
    console.print(table)


def _rows(lake: str | None, benchmark: str | None) -> list[dict[str, Any]]:
    from resources.lake.statements import statement

    session = existing(lake)
    return session.lake.query(statement("training/evaluations"), {"benchmark": benchmark}).to_pylist()


def _is_in(rows: list[dict[str, Any]], checkpoint: str) -> bool:
    return any(row["checkpoint_id"] == checkpoint for row in rows)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
