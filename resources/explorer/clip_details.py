"""Everything about one clip that its page shows at once, read by keys: as fast in a large lake as in a small one.

Its lineage, which takes longer, is `resources.corpus.lineage.story`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from resources.explorer.playback import VIDEO_COLUMNS
from resources.explorer.view import LakeView
from resources.lake.lookup import begins_with
from resources.lake.schema import TABLES
from resources.lake.search import clips_like
from resources.lake.statements import statement

MAX_FRAMES = 400
MAX_CUES = 200
MAX_SIBLINGS = 2_000
MAX_COPIES = 6
SIMILAR = 12


@dataclass(frozen=True)
class ClipDetails:
    """Rows about a clip, as plain values. caption, speech: None where there is none. siblings: the clips of its video,
    in order of time. similar: ids of the clips with the nearest vectors, best first; None: it has no vector. copies: of
    videos that show the same, with the clip of that time.
    """

    clip: dict[str, Any]
    video: dict[str, Any]
    source: dict[str, Any] | None
    caption: dict[str, Any] | None
    frames: list[dict[str, Any]]
    frame_captions: list[dict[str, Any]]
    speech: dict[str, Any] | None
    cues: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    siblings: list[dict[str, Any]]
    similar: list[str] | None
    copies: list[dict[str, Any]]


def clip_details(view: LakeView, clip_id: str, *, model_weight: float) -> ClipDetails | None:
    """Returns the details of a clip; None where there is no such clip, or its video is gone.

    model_weight: of the active model's vectors beside the classifier's, where similar clips are ranked.
    """
    clip = _first(view, "clips", clip_id, None)
    if clip is None:
        return None
    video = _first(view, "raw_videos", clip["video_id"], VIDEO_COLUMNS)
    if video is None:
        return None
    frame_columns = ("frame_id", "seconds", "is_middle", "is_fine", "width", "height")
    caption_columns = ("scale", "seconds", "caption", "model", "frame_id")
    frames = _of_clip(view, "frames", clip, frame_columns, MAX_FRAMES)
    frame_captions = _of_clip(view, "frame_captions", clip, caption_columns, 2 * MAX_FRAMES)
    return ClipDetails(
        clip=clip,
        video=video,
        source=_first(view, "sources", video["source_id"], ("uri", "title", "channel", "query_words", "site")),
        caption=_first(view, "clip_captions", clip_id, ("caption", "model", "why_no_words", "status")),
        frames=sorted(frames, key=lambda row: row["seconds"] or 0.0),
        frame_captions=sorted(frame_captions, key=lambda row: (row["scale"], row["seconds"] or 0.0)),
        speech=_first(
            view, "transcripts", clip_id, ("text", "language", "english", "why_no_english", "source", "translator")
        ),
        cues=_cues(view, clip),
        scores=sorted(
            _of_clip(view, "clip_scores", clip, ("score", "value", "reason", "model"), 100),
            key=lambda row: row["score"],
        ),
        siblings=_siblings(view, clip),
        similar=clips_like(view.dataset, clip_id, SIMILAR, model_weight),
        copies=_copies(view, clip),
    )


def _first(view: LakeView, table: str, key: str, columns: tuple[str, ...] | None) -> dict[str, Any] | None:
    rows = view.known(table, [key], columns or TABLES[table].column_names).to_pylist()
    return rows[0] if rows else None


def _of_clip(
    view: LakeView, table: str, clip: dict[str, Any], columns: tuple[str, ...], limit: int
) -> list[dict[str, Any]]:
    condition = begins_with(TABLES[table].key, clip["clip_id"]) & (pc.field("clip_id") == clip["clip_id"])
    return view.dataset(table).scanner(columns=list(columns), filter=condition, limit=limit).to_table().to_pylist()


def _cues(view: LakeView, clip: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns what is said in the clip, cue by cue, in order of time."""
    condition = (
        begins_with("cue_id", f"{clip['video_id']}/")
        & (pc.field("end_seconds") > clip["start_seconds"])
        & (pc.field("start_seconds") < clip["end_seconds"])
    )
    columns = ["start_seconds", "end_seconds", "text", "language"]
    rows = view.dataset("speech").scanner(columns=columns, filter=condition, limit=MAX_CUES).to_table()
    return rows.sort_by("start_seconds").to_pylist()


def _siblings(view: LakeView, clip: dict[str, Any]) -> list[dict[str, Any]]:
    is_cut = pc.field("annotation_id").is_null()
    condition = begins_with("clip_id", f"{clip['video_id']}_")
    condition &= is_cut if clip["annotation_id"] is None else ~is_cut
    columns = ["clip_id", "clip_index", "start_seconds", "end_seconds", "motion", "boundary", "flags"]
    rows = view.dataset("clips").scanner(columns=columns, filter=condition, limit=MAX_SIBLINGS).to_table()
    return rows.sort_by([("start_seconds", "ascending"), ("end_seconds", "ascending")]).to_pylist()


def _copies(view: LakeView, clip: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns videos that show the same, each with the id of its clip at the time of this clip; None: it has none."""
    pairs = view.query(statement("lineage/duplicates"), {"video_id": clip["video_id"]}).to_pylist()[:MAX_COPIES]
    middle = (clip["start_seconds"] + clip["end_seconds"]) / 2
    for pair in pairs:
        at = middle + (pair["offset_seconds"] or 0.0)
        condition = (
            begins_with("clip_id", f"{pair['copy_id']}_")
            & (pc.field("start_seconds") <= at)
            & (pc.field("end_seconds") > at)
        )
        rows = view.dataset("clips").scanner(columns=["clip_id"], filter=condition, limit=1).to_table()
        pair["clip_id"] = rows["clip_id"][0].as_py() if rows.num_rows else None
    return pairs
