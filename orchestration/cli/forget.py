"""`internvid forget`: what there is of a video or channel, and removing it for good."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.cli.options import LakeOption, existing
from orchestration.cli.output import console, notes
from orchestration.cli.session import Session
from orchestration.due import PUBLISHED

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
    reason: Annotated[str | None, typer.Option(help="Kept with the tombstones, and told when it is refused.")] = None,
    channel: Annotated[bool, typer.Option("--channel", help="What is named are channels.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Only go on with what was begun and not ended.")] = False,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone",
            help="No other process writes to this lake: what killed writers left goes now, not after a week. "
            "Where one does write, its table is damaged.",
        ),
    ] = False,
    lake: LakeOption = None,
) -> None:
    """Remove videos for good: files, rows, index entries, older versions, snapshots; they are never taken in again.

    Files that the lake reads where they lie are yours, and stay. A run that was killed goes on with the next.
    """
    from resources.catalog.tombstones import begun
    from resources.corpus.forgetting.forgetting import whole

    if bool(what) == resume:
        raise typer.BadParameter("give a video or a channel, or --resume by itself")
    session = existing(lake)
    session.liveness.end_runs_of_killed_processes()
    names, unknown = _named(session, what or [], is_channel=channel)
    left, since = begun(session.lake)
    if resume and not left:
        console.print("nothing was begun that has not ended")
        return
    if left:
        notes.print("with what was begun before and has not ended")
    target = whole(session.lake, names | left, since=since)
    _tell(session, target, unknown, dry_run=dry_run)
    if dry_run:
        return
    if not yes and not resume and not typer.confirm("Forget it? It cannot be undone"):
        raise typer.Exit(1)
    _forget(session, target, reason=reason, also_unfinished=alone)


def _named(session: Session, what: list[str], *, is_channel: bool) -> "tuple[Names, list[str]]":
    """All that the words mean together, and those of them that the lake knows nothing of."""
    from resources.catalog.tombstones import Names
    from resources.corpus.forgetting.forgetting import names_of

    names, unknown = Names(), []
    for word in what:
        try:
            meant, is_known = names_of(session.lake, word, is_channel=is_channel)
        except ValueError as error:  # AmbiguousName, or a URL that is none
            raise typer.BadParameter(str(error)) from error
        names = names | meant
        if not is_known:
            unknown.append(word)
    return names, unknown


def _forget(session: Session, target: "Target", *, reason: str | None, also_unfinished: bool) -> None:
    from resources.corpus.forgetting.forgetting import forget as remove

    stages = remove(
        session.lake,
        session.media,
        session.instance,
        target,
        reason=reason,
        run_id=RUN_ID,
        published=PUBLISHED,
        also_unfinished=also_unfinished,
    )
    for stage in stages:
        console.print(escape(stage), highlight=False, soft_wrap=True)


def _tell(session: Session, target: "Target", unknown: list[str], *, dry_run: bool) -> None:
    from resources.corpus.forgetting.forgetting import own_files, survey

    for word in unknown:
        console.print(f"{escape(word)} is not known here: it is refused in advance", highlight=False, soft_wrap=True)
    found = survey(session.lake, session.media, session.instance, target, PUBLISHED)
    _print_target(target)
    _print_survey(found, "would go" if dry_run else "goes")
    if kept := own_files(session.lake, session.media, target):
        more = f" and {len(kept) - NAMES_SHOWN:,} more" if len(kept) > NAMES_SHOWN else ""
        shown = f"{', '.join(kept[:NAMES_SHOWN])}{more}"
        console.print(f"stays, for it is yours: {escape(shown)}", highlight=False, soft_wrap=True)


def _print_target(target: "Target") -> None:
    """Which names are refused."""
    for kind, values in target.names.by_kind().items():
        shown = sorted(values)[:NAMES_SHOWN]
        more = f" and {len(values) - NAMES_SHOWN:,} more" if len(values) > NAMES_SHOWN else ""
        if values:
            console.print(f"{kind}: {escape(', '.join(shown))}{more}", highlight=False, soft_wrap=True)


def _print_survey(found: "Survey", goes: str) -> None:
    if not found.held:
        console.print("the lake holds nothing of it")
        return
    table = TextTable("what", goes, "", "bytes", "for instance")
    for held in found.held:
        size = "" if held.bytes is None else decimal(held.bytes)
        table.add_row(held.what, f"{held.number:,}", held.unit, size, escape(", ".join(held.examples)))
    console.print(table)
    if found.seen:
        seen = TextTable("made with it", "", "clips", "", title="What had seen it", title_justify="left")
        for one in found.seen:
            seen.add_row(one.kind, escape(one.name), "" if one.clips is None else f"{one.clips:,}", escape(one.how))
        console.print(seen)
    console.print("Exports are told as `internvid export` wrote them: copies of these the lake does not know.")
