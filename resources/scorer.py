"""The doors to whatever scores a clip by some of its frames: aesthetics, text overlay, watermark, safety, …"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from resources.door import Door, NotSet, Readiness

if TYPE_CHECKING:
    import numpy as np


class NoScore(Exception):
    """There is no score, and its text says why: the row has null, with this as reason."""


@dataclass(frozen=True)
class ClipToScore:
    """frames: [height, width, 3] uint8 RGB each, in order of time. caption: of the clip; None if it has none."""

    clip_id: str
    frames: list[np.ndarray]
    caption: str | None


class Scorer(Door):
    """Scores clips. clips_per_call: how many it likes to be given at once.

    frames: how many of a clip's stored frames it looks at. frame_choice: from the middles of as many equal segments of
    the clip, or at random, drawn by the clip's id. reads_caption: the score rests on the clip's caption too.
    """

    clips_per_call: int = 64
    frames: int = 4
    frame_choice: Literal["middle", "random"] = "middle"
    reads_caption: bool = False

    @abstractmethod
    def score(self, clips: Sequence[ClipToScore]) -> list[float | Exception]:
        """A score for each clip, in their order; `NoScore` or another error where there is none."""


class NoScorer(NotSet, Scorer):
    """Scores nothing, and says so: the rows are null, with the reason."""

    def score(self, clips: Sequence[ClipToScore]) -> list[float | Exception]:
        return [NoScore("no model is set for this score")] * len(clips)

    def readiness(self) -> Readiness:
        return Readiness("none", 0, "no clip has this score; set its door")
