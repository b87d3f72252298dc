"""A clip as the pages of judging show it: frames, caption and speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from internvid.report.contact_sheet import data_uri, smaller_jpeg
from internvid.report.shown_clips import spoken, spread
from resources.corpus.shown_clips import shown_clips

if TYPE_CHECKING:
    from resources.lake.store import Lake

FRAME_WIDTH = 480  # pixels


def card_of(lake: Lake, clip_id: str) -> dict[str, Any] | None:
    """Returns what the templates show of the clip; None where it is gone or has no frames."""
    batches = lake.known("clips", [clip_id], ["clip_id", "ingest_batch"]).to_pylist()
    shown = shown_clips(lake, {row["clip_id"]: row["ingest_batch"] for row in batches}, limit=1)
    if not shown:
        return None
    small = [smaller_jpeg(jpeg, width=FRAME_WIDTH) for jpeg in spread(shown[0].jpegs)]
    pictures = [data_uri(jpeg) for jpeg in small if jpeg is not None]
    return {"clip": shown[0], "pictures": pictures, "speech": spoken(shown[0])}
