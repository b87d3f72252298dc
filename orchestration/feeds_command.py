"""`internvid feeds`: where videos are found on the web, and looking there."""

import time
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orchestration.options import LakeOption, existing, opened
from orchestration.printing import Format, console, notes, print_rows, print_summary, rows_of

if TYPE_CHECKING:
    from internvid.web.queries import Phrase

ROWS_PER_READ = 1_000


class FeedState(StrEnum):
    """active: it will be looked at. done: it was, and needs no second look. failed, waiting: its next look."""

    active = "active"
    done = "done"
    failed = "failed"
    waiting = "waiting"
    refused = "refused"


app = typer.Typer(no_args_is_help=True, help="Searches, channels and playlists in which videos are found.")

StateOption = Annotated[FeedState | None, typer.Option(help="Only those in this state.")]


@app.command()
def add(
    addresses: Annotated[
        list[str],
        typer.Argument(help="URLs of channels, playlists and pages with videos; ytsearch:WORDS for a search."),
    ],
    every_hours: Annotated[float, typer.Option(help="How often each is looked at.")] = 24.0,
    once: Annotated[bool, typer.Option("--once", help="Each is looked at once.")] = False,
    most: Annotated[int, typer.Option(min=1, help="Videos that one look takes at most.")] = 50,
    lake: LakeOption = None,
) -> None:
    """Add feeds. One that is there takes the new settings."""
    from assets.feeds import add_feeds, pages

    house = opened(lake)
    try:
        added = add_feeds(
            house.lake, pages(house.lake, addresses), most_per_look=most, every_hours=None if once else every_hours
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
    name: Annotated[str, typer.Option(help="What the plan is called.")],
    categories: Annotated[
        str, typer.Option(help="Put to every phrase: words joined by commas, or a file of the same form.")
    ] = "",
    languages: Annotated[
        str, typer.Option(help="ISO 639-1 codes joined by commas. Else all that the file has translations in.")
    ] = "",
    phrases_in: Annotated[str, typer.Option(help="ISO 639-1 code of the phrases.")] = "en",
    most: Annotated[int, typer.Option(min=1, help="Videos that one search takes at most.")] = 20,
    every_hours: Annotated[
        float | None, typer.Option(help="How often each is searched for. Else once.", show_default=False)
    ] = None,
    lake: LakeOption = None,
) -> None:
    """Make searches of a file of phrases: phrases × categories × languages. Unsafe ones are refused, and told."""
    from assets.feeds import Feed, add_feeds
    from internvid.web.queries import plan as planned
    from internvid.web.queries import read_phrases

    house = opened(lake)
    try:
        queries = planned(read_phrases(file, phrases_in), _categories(categories, phrases_in), _listed(languages))
        added = add_feeds(
            house.lake, map(Feed.of_query, queries), plan=name, most_per_look=most, every_hours=every_hours
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    console.print(
        f"{name}: {added.new:,} new searches, {added.changed:,} changed, {added.known:,} known; "
        f"{added.refused:,} of the new and changed are refused",
        highlight=False,
    )
    if added.refused:
        notes.print(f"`internvid feeds list --plan {escape(name)} --state refused` tells which, and why")


@app.command("list")
def list_(
    plan: Annotated[str | None, typer.Option(help="Only those of this plan.")] = None,
    state: StateOption = None,
    lake: LakeOption = None,
    format: Annotated[Format, typer.Option(help="How rows are printed.")] = Format.table,
) -> None:
    """The feeds: how they stand, what they have found, and when they are looked at next."""
    from resources.statements import statement

    with existing(lake).lake.connect(["feeds", "feed_looks", "attempts"]) as connection:
        listed = connection.sql(statement("operations/feeds_listed"), params={"plan": plan, "state": state})
        rows = rows_of(listed.to_arrow_reader(ROWS_PER_READ))
        if format is Format.table:
            print_rows([name.replace("_", " ") for name in listed.columns], map(_readable, rows), format)
        else:
            print_rows(listed.columns, rows, format)


@app.command()
def look(
    plan: Annotated[list[str] | None, typer.Option(help="Only at those of this plan; may be repeated.")] = None,
    at_most: Annotated[int, typer.Option(min=1, help="Looks in all; the rest have their turn the next time.")] = 100,
    take_in: Annotated[bool, typer.Option("--take-in", help="Then download what was found, and work on it.")] = False,
    lake: LakeOption = None,
) -> None:
    """Look now at the feeds whose turn it is. What is new there becomes sources."""
    from orchestration.house import Work
    from orchestration.printing import print_failed_runs

    started = time.monotonic()
    house, work = existing(lake), Work()
    found = house.look_at_feeds(work, plan or [], at_most)
    print_failed_runs(work)
    if work.failed_batches:
        raise typer.Exit(1)
    console.print(
        f"looks: {found['looks']:,}, videos found: {found['found']:,}, of them new: {found['sources_new']:,}, "
        f"left out: {found['left_out']:,}; looks that failed: {found['looks_failed']:,}, "
        f"that wait: {found['looks_waiting']:,}",
        highlight=False,
    )
    if take_in:
        work = house.bring_up_to_date()
        print_summary(house, work, time.monotonic() - started)
    raise typer.Exit(0 if work.is_well else 1)


def _readable(row: Sequence[Any]) -> list[Any]:
    """Times to the minute, and nothing where there is none."""
    return ["" if cell is None else f"{cell:%Y-%m-%d %H:%M}" if isinstance(cell, datetime) else cell for cell in row]


def _categories(given: str, language: str) -> "list[Phrase]":
    """Phrases of a file, or of words joined by commas."""
    from internvid.web.queries import Phrase, read_phrases

    if Path(given).is_file():
        return list(read_phrases(given, language))
    return [Phrase(word, language) for word in _listed(given)]


def _listed(joined: str) -> list[str]:
    return [word.strip() for word in joined.split(",") if word.strip()]
