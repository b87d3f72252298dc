"""Reads clips of the lake as it is now for a model that is asked about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from internvid.dialogue.prompt import ShownClip
from resources.lake.statements import statement
from resources.training.lake_clips import decoded

if TYPE_CHECKING:
    from resources.lake.store import Lake

TABLES = ("clips", "frames", "transcripts")


@dataclass(frozen=True)
class ClipToShow:
    """A clip of a conversation, with the keys of its frames in order of time."""

    clip_id: str
    video_id: str
    start_seconds: float
    end_seconds: float
    speech: str
    frame_ids: tuple[str, ...]


def clips_to_show(lake: Lake, name: str) -> list[ClipToShow]:
    """Returns the clip of that id, or the clips of the video of that id, in order of time.

    Raises ValueError where there is neither, or none with a stored frame.
    """
    (video_id,) = lake.known("clips", [name], ["video_id"])["video_id"].to_pylist() or [name]
    # Rows of one video alone: ids of clips begin with their video's.
    rows = lake.query(
        statement("training/shown_clips"),
        {"clip_ids": [name], "video_ids": [name]},
        tables=TABLES,
        only={"video_id": video_id},
    ).to_pylist()
    if not rows:
        raise ValueError(f"{name!r} is no clip or video of this lake with frames: `internvid search` finds clips")
    return [ClipToShow(**{**row, "frame_ids": tuple(row["frame_ids"])}) for row in rows]


class ShownFrames:
    """The stored frames of clips that are shown, by the position of the clip; those that are asked for are read."""

    def __init__(self, lake: Lake, clips: Sequence[ClipToShow]) -> None:
        self.lake, self.chosen = lake, list(clips)
        self.frame_counts = np.array([len(clip.frame_ids) for clip in clips], np.int32)

    @property
    def shown(self) -> list[ShownClip]:
        """The clips as a prompt shows them."""
        return [
            ShownClip(position, clip.start_seconds, clip.end_seconds, clip.speech)
            for position, clip in enumerate(self.chosen)
        ]

    def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[np.ndarray]:
        """Returns [frames, height, width, 3] uint8 for each pick, as `internvid.viclip.clips.StoredFrames` says."""
        frame_ids = sorted({self.chosen[clip].frame_ids[at] for clip, places in picks for at in places})
        stored = self.lake.fetch("frames", frame_ids, ["jpeg"])["jpeg"]
        jpeg_of: dict[str, Any] = dict(zip(frame_ids, stored, strict=True))
        return [
            decoded([jpeg_of[self.chosen[clip].frame_ids[at]].as_buffer() for at in places], 1)
            for clip, places in picks
        ]
