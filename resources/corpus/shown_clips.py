"""Clips with their frames, caption and speech, as the report and `internvid figure` show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from resources.lake.statements import statement
from resources.lake.store import Lake

if TYPE_CHECKING:
    from internvid.report.shown_clips import ShownClip

FRAMES_PER_CLIP = 3  # as in the paper's Figure 1


def clips_by_id(lake: Lake, clip_ids: Sequence[str]) -> list[ShownClip]:
    """Returns these clips, in their order. Raises KeyError naming ids that are missing, or clips without frames."""
    clip_ids = list(dict.fromkeys(clip_ids))
    batches = lake.fetch("clips", clip_ids, ["ingest_batch"])["ingest_batch"].to_pylist()
    shown = shown_clips(lake, dict(zip(clip_ids, batches, strict=True)), limit=len(clip_ids))
    by_id = {clip.clip_id: clip for clip in shown}
    if without := [clip_id for clip_id in clip_ids if clip_id not in by_id]:
        raise KeyError(f"clips have no frames: {', '.join(without)}")
    return [by_id[clip_id] for clip_id in clip_ids]


def shown_clips(lake: Lake, batch_of_clip: Mapping[str, str], *, limit: int, at: str | None = None) -> list[ShownClip]:
    """Returns the first clips that have a middle frame, in order of video and time, each with frames in order of time.

    batch_of_clip: clip_id -> its ingest batch; only these batches are read. at: a snapshot; None: the lake as it is.
    """
    from internvid.report.shown_clips import ShownClip

    if not batch_of_clip:
        return []
    batches = {"ingest_batch": sorted(set(batch_of_clip.values()))}
    chosen = {"clip_ids": list(batch_of_clip), "clips": limit}
    clips = lake.query(statement("corpus/shown_clips"), chosen, at=at, only=batches).to_pylist()
    strips = lake.query(
        statement("corpus/frame_strips"),
        {"clip_ids": [clip["clip_id"] for clip in clips], "frames": FRAMES_PER_CLIP},
        at=at,
        only=batches,
    ).to_pylist()
    jpegs = _jpegs(lake, [frame_id for strip in strips for frame_id in strip["frame_ids"]])
    frame_ids = {strip["clip_id"]: strip["frame_ids"] for strip in strips}
    return [
        ShownClip(
            clip_id=clip["clip_id"],
            video=PurePosixPath(unquote(urlsplit(clip["source"]).path)).name,
            start_seconds=clip["start_seconds"],
            end_seconds=clip["end_seconds"],
            caption=clip["caption"] or "",
            model=clip["model"] or "",
            jpegs=[jpegs[frame_id] for frame_id in frame_ids[clip["clip_id"]]],
            flags=clip["flags"] or [],
            **{name: clip[name] for name in ("speech", "language", "english", "why_no_english")},
        )
        for clip in clips
    ]


def _jpegs(lake: Lake, frame_ids: list[str]) -> dict[str, bytes]:
    frames = lake.fetch("frames", frame_ids, ["frame_id", "jpeg"])
    return dict(zip(frames["frame_id"].to_pylist(), frames["jpeg"].to_pylist(), strict=True))
