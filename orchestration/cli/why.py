"""`internvid why`: prints the lineage of a video or a clip on one screen."""

import json
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as TextTable
from rich.text import Text

from orchestration.cli.options import LakeOption, existing
from orchestration.cli.output import console

ROWS_SHOWN = 12  # upper bound on captions, scores, attempts each
VERSION = "version, or why there are none"


class Form(StrEnum):
    """The output format."""

    text = "text"
    json = "json"


def why(
    what: Annotated[
        str, typer.Argument(metavar="ID|URL", help="A clip_id, video_id or source_id, a site's id, a URL or file.")
    ],
    lake: LakeOption = None,
    format: Annotated[Form, typer.Option(help="For people, or for programs.")] = Form.text,
) -> None:
    """Show where a video or clip came from, which rows were made from it, by which version and run, and what failed."""
    from internvid.web.addresses import meant_url
    from resources.corpus.forgetting.forgetting import url_of
    from resources.corpus.lineage import story

    session = existing(lake)
    try:
        answer = story(session.lake, session.stages, what, url_of(what) or meant_url(what))
    except ValueError as error:  # NotKnown, or an invalid URL
        raise typer.BadParameter(str(error)) from error
    if format is Form.json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False, default=_plain))
        return
    _print_facts(answer)
    _print_stages(answer)
    for line in _rest(answer):
        console.print(escape(line), highlight=False, soft_wrap=True)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _print_facts(answer: dict[str, Any]) -> None:
    """Prints the facts of the source, file and clip, in pairs."""
    table = TextTable(show_header=False, box=None, pad_edge=False)
    for name, text in _facts(answer):
        table.add_row(f"[bold]{name}[/bold]", escape(text))
    console.print(table)


def _facts(answer: dict[str, Any]) -> Iterator[tuple[str, str]]:
    source, download, file, clip = answer["source"], answer["download"], answer["file"], answer["clip"]
    if clip:
        span = f"{clip['start_seconds']:.3f} to {clip['end_seconds']:.3f} s, number {clip['clip_index']}"
        flags = ", ".join(clip["flags"] or []) or "none"
        yield "clip", f"{clip['clip_id']}: {span}, begins with a {clip['boundary']}, flags: {flags}"
    if source is None:
        yield "source", f"{answer['source_id']}: no longer in the lake"
    else:
        yield "source", f"{source['uri']} ({source['source_id']}, batch {source['ingest_batch']})"
        yield "origin", _origin(source)
        named = [source[name] for name in ("title", "channel") if source[name]]
        if named:
            yield "named", ", ".join(named)
    if answer["forgotten"]:
        yield "forgotten", answer["forgotten"]
    for check in answer["checks"][-1:]:
        how = {True: "available", False: "not available", None: "unknown"}[check["is_available"]]
        why = f": {check['error_class']}: {check['message']}" if check["error_class"] else ""
        yield "checked", f"{_time(check['checked_at'])}: {how}{why}"
    if download:
        licence = download["licence"] or "no licence stated"
        tool = f"{download['extractor']}, {download['downloader']}, {_time(download['fetched_at'])}"
        yield "download", f"{download['format']}, {licence} ({tool})"
    elif source and source["kind"] == "web":
        yield "download", f"not downloaded yet: {_state_of(answer, 'downloads')}"
    if file:
        size = f"{decimal(file['size_bytes'])}, {file['display_width']}x{file['display_height']}"
        sound = file["audio_codec"] or "no sound"
        seconds = "unknown length" if file["duration_seconds"] is None else f"{file['duration_seconds']:.3f} s"
        yield "file", f"{file['path']}: {size}, {seconds}, {file['container']}, {file['video_codec']}, {sound}"
        yield "sha256", f"{file['sha256']} (video {file['video_id']})"
    else:
        yield "file", f"none: {_state_of(answer, 'raw_videos')}"


def _origin(source: dict[str, Any]) -> str:
    origin = source["feed_address"] or source["found_by"] or "named by the user"
    words = f", by the words {source['query_words']!r}" if source["query_words"] else ""
    return f"{origin}{words}, first seen {_time(source['first_seen_at'] or source['written_at'])} ({source['run_id']})"


def _state_of(answer: dict[str, Any], table: str) -> str:
    return next(stage["state"] for stage in answer["stages"] if stage["table"] == table)


def _print_stages(answer: dict[str, Any]) -> None:
    """Prints a row for each version and run that made rows, and the reason for each table without rows."""
    table = TextTable()
    for name in ("table", "rows", VERSION, "model", "run", "written"):
        table.add_column(name, no_wrap=name != VERSION)
    for stage in answer["stages"]:
        for made in stage["made"]:
            table.add_row(
                stage["table"],
                f"{made['rows']:,}",
                _one_line(made["version"] or ""),
                escape(made.get("model") or ""),
                escape((made["run_id"] or "")[:8]),
                _time(made["written_at"]),
            )
        if not stage["made"]:
            table.add_row(stage["table"], "", _one_line(stage["state"]))
    console.print(table)


def _one_line(text: str) -> Text:
    """Returns a cell of one line, cut to the column's width; JSON and the failures below have the whole text."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def _rest(answer: dict[str, Any]) -> Iterator[str]:
    """Yields the other parts, with a heading each."""
    from resources.corpus.lineage import in_words

    yield from _part("captions", [f"{row['caption']} ({row['model']})" for row in answer["captions"]])
    yield from _part(
        "of frames", [f"{row['scale']} {row['seconds']:.1f} s: {row['caption']}" for row in answer["frame_captions"]]
    )
    yield from _part("transcripts", [f"{row['text']} ({row['language']})" for row in answer["transcripts"]])
    yield from _part("scores", [_score(row) for row in answer["scores"]])
    yield from _part("imported as", [_annotation(row) for row in answer["annotations"]])
    yield from _part("copies", [_copy(row) for row in answer["duplicates"]])
    yield from _part("subsets", [_subset(row) for row in answer["subsets"]] or ["in none"])
    models = [f"{row['name']}: {row['how']}{_clips(row['clips'])}" for row in answer["checkpoints"]]
    yield from _part("models", models or ["none was trained on it"])
    failures = [f"{row['stage']} {row['key']}: {in_words(row)}" for row in answer["attempts"]]
    yield from _part("failed, skipped or waiting", failures or ["nothing"])


def _part(heading: str, lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines[:ROWS_SHOWN]):
        yield f"{heading}: {line}" if number == 0 else f"  {line}"
    if len(lines) > ROWS_SHOWN:
        yield f"  and {len(lines) - ROWS_SHOWN:,} more: `--format json` prints all"


def _score(row: dict[str, Any]) -> str:
    value = f"none, {row['reason']}" if row["value"] is None else f"{row['value']:.4g}"
    return f"{row['score']} {value} ({row['model']}, {row['clip_id']})"


def _annotation(row: dict[str, Any]) -> str:
    end = "the end" if row["end_seconds"] is None else f"{row['end_seconds']:.3f} s"
    caption = row["caption"] or "no caption"
    return f"{row['dataset']}: {row['start_seconds'] or 0:.3f} s to {end}: {caption}"


def _copy(row: dict[str, Any]) -> str:
    where = row["copy_source"] or "gone"
    alike = f"{row['kind']}, {row['similarity']:.0%} the same"
    return f"{row['copy_id']} ({where}): {alike}; kept is {row['kept']}, {row['why_kept']}"


def _subset(row: dict[str, Any]) -> str:
    low, high = row["lowest_weight"], row["highest_weight"]
    weight = f"weight {low:g}" if low == high else f"weights {low:g} to {high:g}"
    reason = row["reason"] or "no reason given"
    return f"{row['subset']} ({row['snapshot']}): {row['clips']:,} clips in {row['split']}, {weight}, {reason}"


def _clips(clips: int | None) -> str:
    return "" if clips is None else f" ({clips:,} clips)"


def _time(at: datetime | None) -> str:
    return "at an unknown time" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"
