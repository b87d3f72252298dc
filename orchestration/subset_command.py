"""`internvid subset`: which subsets there are, what one of them would hold, and making it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

import typer
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.options import LakeOption, existing, require_snapshot
from orchestration.printing import console

if TYPE_CHECKING:
    from resources.subsets import Example, WaterfallStep

app = typer.Typer(no_args_is_help=True, help="Named parts of the corpus, each selected by one SQL file.")


@app.command("list")
def list_() -> None:
    """The subsets there are, with their parameters."""
    from resources.subsets import COMMON_PARAMETERS, shown, subsets

    try:
        known = subsets()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    common = {parameter.name: parameter.default for parameter in COMMON_PARAMETERS}
    for subset in known.values():
        console.print(f"[bold]{subset.name}[/bold]  {escape(subset.title)}", highlight=False)
        for parameter in subset.parameters.values():
            if parameter.name not in common or parameter.default != common[parameter.name]:
                default = shown(parameter.default)
                console.print(f"    {parameter.name}={escape(default)}  {escape(parameter.meaning)}", highlight=False)
    console.print("every subset")
    for parameter in COMMON_PARAMETERS:
        console.print(f"    {parameter.name}={shown(parameter.default)}  {escape(parameter.meaning)}", highlight=False)


@app.command()
def preview(
    name: Annotated[str, typer.Argument(help="A subset: `internvid subset list` names them.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value; may be repeated.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="A snapshot: the tables as they were then. Else as they are.")] = None,
    examples: Annotated[int, typer.Option(min=0, help="Clips shown of what each condition removes.")] = 2,
    lake: LakeOption = None,
) -> None:
    """How many clips each condition of a subset removes, with examples, and how many are left. Writes nothing."""
    import duckdb

    from resources.subsets import split_sizes, subset_named, waterfall

    try:
        subset = subset_named(name)
        given = subset.parsed(settings or [])
        house = existing(lake)
        require_snapshot(house, at)
        with house.lake.connect(subset.tables, at=at, untrusted=True) as connection:
            steps = waterfall(connection, subset, given, examples=examples)
            sizes = split_sizes(connection, subset, given)
        version = subset.version(given)
    except (ValueError, duckdb.Error) as error:
        raise typer.BadParameter(str(error)) from error
    print_waterfall(f"{subset.name}: {subset.title}", steps)
    print_split_sizes(sizes)
    console.print(f"version {escape(version)}", highlight=False)


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="A subset: `internvid subset list` names them.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value; may be repeated.")
    ] = None,
    lake: LakeOption = None,
) -> None:
    """Select a subset from the lake as it is now, pinned as a snapshot, into the table subsets."""
    from orchestration.house import Work
    from orchestration.printing import print_failed_runs
    from resources.subsets import subset_named

    try:
        subset_named(name).parsed(settings or [])
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    house, work = existing(lake), Work()
    house.select(name, work, **dict(setting.split("=", 1) for setting in settings or []))
    print_failed_runs(work)
    made = house.lake.query("select * from subset_snapshots where subset = $name", {"name": name}).to_pylist()
    if not work.failed_batches and made:
        row = made[0]
        sizes = ", ".join(f"{row[f'{split}_clips']:,} {split}" for split in ("train", "validation", "test"))
        console.print(f"{name}: {row['clips']:,} clips of {row['snapshot']} ({sizes})", highlight=False)
    if not made:
        console.print(f"{name} holds no clip: `internvid subset preview {name}` shows why")
    raise typer.Exit(1 if work.failed_batches else 0)


def print_waterfall(title: str, steps: "list[WaterfallStep]") -> None:
    """The steps as a table, then examples of what each removed."""
    table = TextTable("condition", "removes", "leaves", "in words", title=escape(title), title_justify="left")
    for step in steps:
        table.add_row(
            escape(_name(step)),
            f"{step.removed:,}",
            f"{step.left:,}",
            escape(step.meaning),
        )
    console.print(table)
    for step in steps:
        if step.examples:
            shown = f"{len(step.examples)} of {step.removed:,}"
            console.print(f"removed by [bold]{escape(_name(step))}[/bold], {shown}:", highlight=False)
        for example in step.examples:
            for line in _told(example):
                console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)


def print_split_sizes(sizes: dict[str, dict[str, int]]) -> None:
    """Clips and videos on each side of the split, and in all."""
    table = TextTable("split", "clips", "videos")
    for split, size in sizes.items():
        table.add_row(split, f"{size['clips']:,}", f"{size['videos']:,}")
    table.add_row("all", *(f"{sum(size[what] for size in sizes.values()):,}" for what in ("clips", "videos")))
    console.print(table)


def _name(step: "WaterfallStep") -> str:
    return f"{step.condition}: not known" if step.is_unknown else step.condition


def _told(example: "Example") -> list[str]:
    """An example in two lines: which clip, and why."""
    source = Path(unquote(example.source)).name if example.source else "unknown source"
    measured = ", ".join(f"{name} {_figure(value)}" for name, value in example.values.items())
    why = "; ".join(part for part in (example.reason, measured) if part)
    where = f"{example.clip_id}  {source} {example.start_seconds:.1f}-{example.end_seconds:.1f} s"
    lines = [where if example.caption is None else f"{where}: {example.caption}"]
    return [*lines, f"  {why}"] if why else lines


def _figure(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
