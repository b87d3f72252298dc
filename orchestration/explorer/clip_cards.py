"""Clips as the pages of judging and of the dataset show them: in cards with frames and caption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from internvid.report.shown_clips import for_a_page
from resources.corpus.shown_clips import shown_clips

if TYPE_CHECKING:
    from resources.lake.store import Lake

WIDE_FRAME = 480  # pixels, of a single clip


def cards_of(lake: Lake, clip_ids: Sequence[str], *, frame_width: int = 240) -> dict[str, dict[str, Any]]:
    """Returns what the templates show of the clips that have frames, by id, in order of video and time."""
    batches = lake.known("clips", list(clip_ids), ["clip_id", "ingest_batch"])
    of_clips = dict(zip(batches["clip_id"].to_pylist(), batches["ingest_batch"].to_pylist(), strict=True))
    shown = shown_clips(lake, of_clips, limit=len(of_clips))
    return {clip.clip_id: for_a_page(clip, frame_width=frame_width) for clip in shown}


def card_of(lake: Lake, clip_id: str) -> dict[str, Any] | None:
    """Returns what the templates show of one clip; None where it is gone or has no frames."""
    return cards_of(lake, [clip_id], frame_width=WIDE_FRAME).get(clip_id)
