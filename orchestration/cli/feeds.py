"""`internvid feeds`: adds, lists and polls feeds of videos on the web."""

import time
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orchestration.cli.options import LakeOption, WordsCommand, existing, opened
from orchestration.cli.output import Format, console, notes, print_rows, print_summary, rows_of

if TYPE_CHECKING:
    from internvid.web.queries import Phrase

ROWS_PER_READ = 1_000


class FeedState(StrEnum):
    """active: it will be polled. done: it was polled, and needs no second poll. failed, waiting: its next poll is."""

    active = "active"
    done = "done"
    failed = "failed"
    waiting = "waiting"
    refused = "refused"


app = typer.Typer(no_args_is_help=True, help="Searches, channels and playlists that are polled for videos.")

StateOption = Annotated[FeedState | None, typer.Option(help="Only feeds in this state.")]


@app.command(cls=WordsCommand)
def add(
    addresses: Annotated[
        list[str],
        typer.Argument(help="URLs of channels, playlists and pages with videos; ytsearch:WORDS for a search."),
    ],
    every_hours: Annotated[float, typer.Option(help="Hours between two polls of a feed.")] = 24.0,
    once: Annotated[bool, typer.Option("--once", help="Poll each feed only once.")] = False,
    max_per_poll: Annotated[int, typer.Option(min=1, help="Upper bound on videos of one poll.")] = 50,
    lake: LakeOption = None,
) -> None:
    """Add feeds. A feed that exists gets the new settings."""
    from resources.catalog.feeds import add_feeds, pages

    session = opened(lake)
    try:
        added = add_feeds(
            session.lake,
            pages(session.lake, addresses),
            max_per_poll=max_per_poll,
            every_hours=None if once else every_hours,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    console.print(f"{added.new:,} new feeds, {added.changed:,} changed, {added.known:,} known")


@app.command()
def plan(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="Phrases: txt, csv, tsv or jsonl, as InternVid's queries."),
    ],
    name: Annotated[str, typer.Option(help="The plan's name.")],
    categories: Annotated[
        str, typer.Option(help="Added to every phrase: words joined by commas, or a file of the same format.")
    ] = "",
    languages: Annotated[
        str, typer.Option(help="ISO 639-1 codes joined by commas. Else all languages of the file's translations.")
    ] = "",
    phrases_in: Annotated[str, typer.Option(help="ISO 639-1 code of the phrases.")] = "en",
    max_per_poll: Annotated[int, typer.Option(min=1, help="Upper bound on videos of one search.")] = 20,
    every_hours: Annotated[
        float | None, typer.Option(help="Hours between two polls of a search. Else once.", show_default=False)
    ] = None,
    lake: LakeOption = None,
) -> None:
    """Make searches of a file of phrases: phrases × categories × languages. Unsafe searches are refused and listed."""
    from internvid.web.queries import plan as planned
    from internvid.web.queries import read_phrases
    from resources.catalog.feeds import Feed, add_feeds

    session = opened(lake)
    try:
        queries = planned(read_phrases(file, phrases_in), _categories(categories, phrases_in), _listed(languages))
        added = add_feeds(
            session.lake, map(Feed.of_query, queries), plan=name, max_per_poll=max_per_poll, every_hours=every_hours
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    console.print(
        f"{name}: {added.new:,} new searches, {added.changed:,} changed, {added.known:,} known; "
        f"{added.refused:,} of the new and changed are refused",
        highlight=False,
    )
    if added.refused:
        notes.print(f"`internvid feeds list --plan {escape(name)} --state refused` lists them with the reasons")


@app.command("list")
def list_(
    plan: Annotated[str | None, typer.Option(help="Only feeds of this plan.")] = None,
    state: StateOption = None,
    lake: LakeOption = None,
    format: Annotated[Format, typer.Option(help="How rows are printed.")] = Format.table,
) -> None:
    """List feeds with their state, entries, and next poll."""
    from resources.lake.statements import statement

    with existing(lake).lake.connect(["feeds", "feed_polls", "attempts"]) as connection:
        listed = connection.sql(statement("catalog/feeds_listed"), params={"plan": plan, "state": state})
        rows = rows_of(listed.to_arrow_reader(ROWS_PER_READ))
        if format is Format.table:
            print_rows([name.replace("_", " ") for name in listed.columns], map(_readable, rows), format)
        else:
            print_rows(listed.columns, rows, format)


@app.command()
def poll(
    plan: Annotated[list[str] | None, typer.Option(help="Only feeds of this plan; may be repeated.")] = None,
    max_polls: Annotated[int, typer.Option(min=1, help="Upper bound on polls; a later run polls the others.")] = 100,
    ingest: Annotated[
        bool, typer.Option("--ingest", help="Then download the new videos, and bring the lake up to date.")
    ] = False,
    lake: LakeOption = None,
) -> None:
    """Poll the feeds that are due, now. New videos become sources."""
    from orchestration.cli.output import print_failed_runs
    from orchestration.cli.session import RunSummary

    started = time.monotonic()
    session, summary = existing(lake), RunSummary()
    result = session.poll_feeds(summary, plan or [], max_polls)
    print_failed_runs(summary)
    if summary.failed_runs:
        raise typer.Exit(1)
    console.print(
        f"polls: {result['polls']:,}, entries: {result['entries']:,}, of them new: {result['sources_new']:,}, "
        f"left out: {result['left_out']:,}; polls failed: {result['polls_failed']:,}, "
        f"waiting: {result['polls_waiting']:,}",
        highlight=False,
    )
    if ingest:
        summary = session.bring_up_to_date()
        print_summary(session, summary, time.monotonic() - started)
    raise typer.Exit(0 if summary.is_well else 1)


def _readable(row: Sequence[Any]) -> list[Any]:
    """Returns the cells for a table: times to the minute, empty text for None."""
    return ["" if cell is None else f"{cell:%Y-%m-%d %H:%M}" if isinstance(cell, datetime) else cell for cell in row]


def _categories(given: str, language: str) -> "list[Phrase]":
    """Returns the phrases of a file, or of words joined by commas."""
    from internvid.web.queries import Phrase, read_phrases

    if Path(given).is_file():
        return list(read_phrases(given, language))
    return [Phrase(word, language) for word in _listed(given)]


def _listed(joined: str) -> list[str]:
    return [word.strip() for word in joined.split(",") if word.strip()]
