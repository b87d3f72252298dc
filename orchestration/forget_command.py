"""`internvid forget`: what there is of a video or channel, and removing it for good."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.house import House, end_runs_of_killed_processes
from orchestration.options import LakeOption, existing
from orchestration.printing import console, notes

if TYPE_CHECKING:
    from resources.forgetting import Survey, Target
    from resources.tombstones import Names

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
    from resources.forgetting import whole
    from resources.tombstones import begun

    if bool(what) == resume:
        raise typer.BadParameter("give a video or a channel, or --resume by itself")
    house = existing(lake)
    end_runs_of_killed_processes(house.instance)
    names, unknown = _named(house, what or [], is_channel=channel)
    left, since = begun(house.lake)
    if resume and not left:
        console.print("nothing was begun that has not ended")
        return
    if left:
        notes.print("with what was begun before and has not ended")
    target = whole(house.lake, names | left, since=since)
    _tell(house, target, unknown, dry_run=dry_run)
    if dry_run:
        return
    if not yes and not resume and not typer.confirm("Forget it? It cannot be undone"):
        raise typer.Exit(1)
    _forget(house, target, reason=reason, also_unfinished=alone)


def _named(house: House, what: list[str], *, is_channel: bool) -> "tuple[Names, list[str]]":
    """All that the words mean together, and those of them that the lake knows nothing of."""
    from resources.forgetting import names_of
    from resources.tombstones import Names

    names, unknown = Names(), []
    for word in what:
        try:
            meant, is_known = names_of(house.lake, word, is_channel=is_channel)
        except ValueError as error:  # NotToldApart, or a URL that is none
            raise typer.BadParameter(str(error)) from error
        names = names | meant
        if not is_known:
            unknown.append(word)
    return names, unknown


def _forget(house: House, target: "Target", *, reason: str | None, also_unfinished: bool) -> None:
    from resources.forgetting import forget as remove

    steps = remove(
        house.lake,
        house.media,
        house.instance,
        target,
        reason=reason,
        run_id=RUN_ID,
        published=_published(),
        also_unfinished=also_unfinished,
    )
    for step in steps:
        console.print(escape(step), highlight=False, soft_wrap=True)


def _published() -> list[str]:
    from assets import internvid_jsonl, report, statistics

    return [statistics.MART, internvid_jsonl.FILE, report.FILE]


def _tell(house: House, target: "Target", unknown: list[str], *, dry_run: bool) -> None:
    from resources.forgetting import own_files, survey

    for word in unknown:
        console.print(f"{escape(word)} is not known here: it is refused in advance", highlight=False, soft_wrap=True)
    found = survey(house.lake, house.media, house.instance, target, _published())
    _print_target(target)
    _print_survey(found, "would go" if dry_run else "goes")
    if kept := own_files(house.lake, house.media, target):
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
