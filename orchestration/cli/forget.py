"""`internvid forget`: lists what the lake has of a video or channel, and removes it."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.cli.options import LakeOption, existing
from orchestration.cli.output import console, notes
from orchestration.cli.session import Session
from orchestration.due import published_names

if TYPE_CHECKING:
    from resources.catalog.tombstones import Names
    from resources.corpus.forgetting.forgetting import Survey, Target

NAMES_SHOWN = 5
RUN_ID = "internvid forget"


def forget(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID|URL|CHANNEL...",
            help="A video_id or source_id, a site's id of a video, a URL or file; a channel's id, URL or name.",
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Stored with the tombstones, and shown when it is refused.")
    ] = None,
    channel: Annotated[bool, typer.Option("--channel", help="The arguments name channels.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Only continue what was interrupted.")] = False,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone",
            help="No other process writes to this lake: files of killed writers are removed now, not after a week. "
            "If a process does write, its table is damaged.",
        ),
    ] = False,
    lake: LakeOption = None,
) -> None:
    """Remove videos for good: files, rows, index entries, older versions, snapshots. They are never ingested again.

    Your own files, which the lake reads by reference, are not removed. An interrupted run is continued by the next.
    """
    from resources.catalog.tombstones import begun
    from resources.corpus.forgetting.forgetting import whole

    if bool(what) == resume:
        raise typer.BadParameter("give a video or a channel, or only --resume")
    session = existing(lake)
    session.liveness.end_runs_of_killed_processes()
    names, unknown = _named(session, what or [], is_channel=channel)
    left, since = begun(session.lake)
    if resume and not left:
        console.print("no interrupted run to continue")
        return
    if left:
        notes.print("continues an interrupted run too")
    target = whole(session.lake, names | left, since=since)
    _tell(session, target, unknown, dry_run=dry_run)
    if dry_run:
        return
    if not yes and not resume and not typer.confirm("Forget it? It cannot be undone"):
        raise typer.Exit(1)
    _forget(session, target, reason=reason, also_unfinished=alone)


def _named(session: Session, what: list[str], *, is_channel: bool) -> "tuple[Names, list[str]]":
    """Returns the names that the words stand for, and the words that the lake does not know."""
    from resources.catalog.tombstones import Names
    from resources.corpus.forgetting.forgetting import names_of

    names, unknown = Names(), []
    for word in what:
        try:
            meant, is_known = names_of(session.lake, word, is_channel=is_channel)
        except ValueError as error:  # AmbiguousName, or an invalid URL
            raise typer.BadParameter(str(error)) from error
        names = names | meant
        if not is_known:
            unknown.append(word)
    return names, unknown


def _forget(session: Session, target: "Target", *, reason: str | None, also_unfinished: bool) -> None:
    from resources.corpus.forgetting.forgetting import forget as remove

    lines = remove(
        session.lake,
        session.media,
        session.instance,
        target,
        reason=reason,
        run_id=RUN_ID,
        published=published_names(session.lake),
        also_unfinished=also_unfinished,
    )
    for line in lines:
        console.print(escape(line), highlight=False, soft_wrap=True)


def _tell(session: Session, target: "Target", unknown: list[str], *, dry_run: bool) -> None:
    from resources.corpus.forgetting.forgetting import own_files, survey

    for word in unknown:
        console.print(f"{escape(word)} is not known here: it is refused in advance", highlight=False, soft_wrap=True)
    result = survey(session.lake, session.media, session.instance, target, published_names(session.lake))
    _print_target(target)
    _print_survey(result, "would be removed" if dry_run else "is removed")
    if kept := own_files(session.lake, session.media, target):
        more = f" and {len(kept) - NAMES_SHOWN:,} more" if len(kept) > NAMES_SHOWN else ""
        shown = f"{', '.join(kept[:NAMES_SHOWN])}{more}"
        console.print(f"not removed, because it is yours: {escape(shown)}", highlight=False, soft_wrap=True)


def _print_target(target: "Target") -> None:
    """Prints the names that are refused."""
    for kind, values in target.names.by_kind().items():
        shown = sorted(values)[:NAMES_SHOWN]
        more = f" and {len(values) - NAMES_SHOWN:,} more" if len(values) > NAMES_SHOWN else ""
        if values:
            console.print(f"{kind}: {escape(', '.join(shown))}{more}", highlight=False, soft_wrap=True)


def _print_survey(survey: "Survey", goes: str) -> None:
    if not survey.held:
        console.print("the lake contains nothing of it")
        return
    table = TextTable("what", goes, "", "bytes", "for instance")
    for held in survey.held:
        size = "" if held.bytes is None else decimal(held.bytes)
        table.add_row(held.what, f"{held.number:,}", held.unit, size, escape(", ".join(held.examples)))
    console.print(table)
    if survey.seen:
        seen = TextTable("made with it", "", "clips", "", title="Made with it", title_justify="left")
        for item in survey.seen:
            seen.add_row(
                item.kind, escape(item.name), "" if item.clips is None else f"{item.clips:,}", escape(item.how)
            )
        console.print(seen)
    console.print("Exports are where `internvid export` wrote them; the lake does not know copies of them.")
