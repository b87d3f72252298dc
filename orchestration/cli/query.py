"""The commands that query the lake: `sql`, and `search` for clips that match a text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlencode

import typer

from orchestration.cli.options import LakeOption, existing, snapshot_of
from orchestration.cli.output import Format, notes, print_rows, rows_of
from orchestration.cli.session import Session

if TYPE_CHECKING:
    import numpy as np


def sql(
    query: Annotated[str, typer.Argument(help="One statement. Tables: see docs/tables.md.")],
    lake: LakeOption = None,
    format: Annotated[Format, typer.Option(help="How rows are printed.")] = Format.table,
    at: Annotated[str | None, typer.Option(help="A snapshot: the tables as they were then.")] = None,
) -> None:
    """Query the tables in DuckDB's SQL. Read-only, without access to files or the network."""
    import duckdb
    import pyarrow as pa

    session = existing(lake)
    at = snapshot_of(session, at)
    try:
        with session.lake.connect(at=at, untrusted=True) as connection:
            relation = connection.sql(query)
            if relation is not None:
                print_rows(relation.columns, rows_of(relation.to_arrow_reader(1_000)), format)
    except (duckdb.Error, pa.ArrowException) as error:
        raise typer.BadParameter(str(error)) from error


def search(
    text: Annotated[str, typer.Argument(help="Words to find in the captions, and in the kinds of things seen.")] = "",
    like: Annotated[str | None, typer.Option(help="A clip's id, in place of words: clips that look like it.")] = None,
    lake: LakeOption = None,
    limit: Annotated[int, typer.Option(help="How many clips.")] = 10,
    format: Annotated[Format, typer.Option(help="How rows are printed.")] = Format.table,
) -> None:
    """Find the clips that match a text best: by words (BM25), and by vectors once a model is active; or like a clip."""
    if bool(text) == (like is not None):
        raise typer.BadParameter("give words to find, or a clip with --like")
    session = existing(lake)
    explorer = session.settings.explorer_url.rstrip("/")
    if like is None:
        vector, weight = _vector_of(session, text)
        hits = session.lake.search(text, limit=limit, vector=vector, vector_weight=weight)
    else:
        try:
            hits = session.lake.similar(
                like, limit=limit, model_weight=session.resources["aligner"].active_weight(session.lake)
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    columns = ["video_id", "start_seconds", "end_seconds"]
    clips = session.lake.fetch("clips", hits["clip_id"].to_pylist(), columns).to_pylist()
    video_ids = sorted({clip["video_id"] for clip in clips})
    sources = session.lake.fetch("raw_videos", video_ids, ["source"])["source"].to_pylist()
    videos = dict(zip(video_ids, sources, strict=True))
    rows = [
        (
            round(hit["score"], 4),
            Path(unquote(videos[clip["video_id"]])).name,
            round(clip["start_seconds"], 3),
            round(clip["end_seconds"], 3),
            hit["caption"],
            hit["clip_id"],
            *([] if format is Format.table else [f"{explorer}/clips/{hit['clip_id']}"]),
        )
        for hit, clip in zip(hits.to_pylist(), clips, strict=True)
    ]
    columns = ["score", "video", "start_seconds", "end_seconds", "caption", "clip_id"]
    print_rows(columns if format is Format.table else [*columns, "page"], rows, format)
    if format is Format.table:
        page = f"{explorer}/?{urlencode({'q': text} if like is None else {'like': like})}"
        notes.print(f"to watch them, while `internvid explore` runs: {page}", markup=False, soft_wrap=True)


def _vector_of(session: Session, text: str) -> "tuple[np.ndarray | None, float]":
    """Returns the text's vector by the active checkpoint, None without one, and the weight of its ranking."""
    aligner = session.resources["aligner"]
    active = aligner.active(session.lake)
    if active is None:
        return None, 0.0
    return aligner.text_vector(session.lake, active, text), aligner.vector_weight(session.lake, active)
