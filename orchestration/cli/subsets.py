"""`internvid subset`: lists subsets, previews the selection of a subset, and selects it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

import typer
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.cli.options import LakeOption, existing, settings_of, snapshot_of
from orchestration.cli.output import console

if TYPE_CHECKING:
    from orchestration.cli.session import Session
    from resources.corpus.subsets import Example, WaterfallRow

SettingsOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value; may be repeated.")
]

app = typer.Typer(no_args_is_help=True, help="Named parts of the corpus, each selected by one SQL file.")


@app.command("list")
def list_() -> None:
    """List the subsets with their parameters."""
    from resources.corpus.subset_files import SubsetFiles
    from resources.corpus.subsets import COMMON_PARAMETERS, shown

    try:
        known = SubsetFiles(folder=settings_of().subsets).all()
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
    settings: SettingsOption = None,
    at: Annotated[str | None, typer.Option(help="A snapshot: the tables as they were then. Else as they are.")] = None,
    examples: Annotated[int, typer.Option(min=0, help="Clips shown of what each condition removes.")] = 2,
    lake: LakeOption = None,
) -> None:
    """Show how many clips each condition of a subset removes, with examples, and how many are left. Writes nothing."""
    import duckdb

    from resources.corpus.subsets import connected, split_sizes, waterfall

    try:
        session = existing(lake)
        subset = session.resources["subset_files"].named(name)
        given = subset.parsed(settings or [])
        at = snapshot_of(session, at)
        with connected(session.lake, subset, at=at) as connection:
            rows = waterfall(connection, subset, given, examples=examples)
            sizes = split_sizes(connection, subset, given)
        version = subset.version(given)
    except (ValueError, duckdb.Error) as error:
        raise typer.BadParameter(str(error)) from error
    print_waterfall(f"{subset.name}: {subset.title}", rows)
    print_split_sizes(sizes)
    console.print(f"version {escape(version)}", highlight=False)


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="A subset: `internvid subset list` names them.")],
    settings: SettingsOption = None,
    lake: LakeOption = None,
) -> None:
    """Select a subset from the lake as it is now, pinned as a snapshot, into the table subsets."""
    from orchestration.cli.output import print_failed_runs
    from orchestration.cli.session import RunSummary

    session, summary = existing(lake), RunSummary()
    values = _values(session, name, settings)
    session.select(name, summary, **values)
    print_failed_runs(summary)
    made = session.lake.query("select * from subset_snapshots where subset = $name", {"name": name}).to_pylist()
    if not summary.failed_runs and made:
        row = made[0]
        sizes = ", ".join(f"{row[f'{split}_clips']:,} {split}" for split in ("train", "validation", "test"))
        console.print(f"{name}: {row['clips']:,} clips of {row['snapshot']} ({sizes})", highlight=False)
    if not made:
        console.print(f"{name} has no clip: `internvid subset preview {name}` shows why")
    raise typer.Exit(1 if summary.failed_runs else 0)


@app.command()
def write(
    name: Annotated[str, typer.Argument(help="A subset: `internvid subset list` names them.")],
    settings: SettingsOption = None,
    lake: LakeOption = None,
) -> None:
    """Select a subset as `make` does, and write it: interleaved documents, and instruction dialogues."""
    from orchestration.cli.output import print_failed_runs
    from orchestration.cli.session import RunSummary
    from resources.corpus.published_subset import FOLDERS, read_subset_manifest

    session, summary = existing(lake), RunSummary()
    values = _values(session, name, settings)
    session.write(name, summary, **values)
    print_failed_runs(summary)
    for folder in FOLDERS:
        place = session.lake.file(folder) / name
        manifest = read_subset_manifest(place)
        if not summary.failed_runs and manifest is not None:
            records = {file.kind: 0 for file in manifest.files}
            for file in manifest.files:
                records[file.kind] += file.records if file.file.endswith(".jsonl") else 0
            numbers = ", ".join(f"{number:,} {kind}" for kind, number in sorted(records.items()))
            console.print(f"{place}: {numbers or 'nothing'}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1 if summary.failed_runs else 0)


def _values(session: "Session", subset: str, settings: list[str] | None) -> dict[str, str]:
    """Returns the parameters as they were given. Raises typer.BadParameter for another subset, name or value."""
    try:
        session.resources["subset_files"].named(subset).parsed(settings or [])
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return dict(setting.split("=", 1) for setting in settings or [])


def print_waterfall(title: str, rows: "list[WaterfallRow]") -> None:
    """Prints the waterfall as a table, then examples of clips that each condition removed."""
    table = TextTable("condition", "removes", "leaves", "in words", title=escape(title), title_justify="left")
    for row in rows:
        table.add_row(
            escape(_name(row)),
            f"{row.removed:,}",
            f"{row.left:,}",
            escape(row.meaning),
        )
    console.print(table)
    for row in rows:
        if row.examples:
            shown = f"{len(row.examples)} of {row.removed:,}"
            console.print(f"removed by [bold]{escape(_name(row))}[/bold], {shown}:", highlight=False)
        for example in row.examples:
            for line in _lines(example):
                console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)


def print_split_sizes(sizes: dict[str, dict[str, int]]) -> None:
    """Prints the clips and videos of each split, and in total."""
    table = TextTable("split", "clips", "videos")
    for split, size in sizes.items():
        table.add_row(split, f"{size['clips']:,}", f"{size['videos']:,}")
    table.add_row("all", *(f"{sum(size[what] for size in sizes.values()):,}" for what in ("clips", "videos")))
    console.print(table)


def _name(row: "WaterfallRow") -> str:
    return f"{row.condition}: unknown" if row.is_unknown else row.condition


def _lines(example: "Example") -> list[str]:
    """Returns an example as two lines: the clip, and the reason."""
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
