"""The base of providers of scores of clips: aesthetics, text overlay, watermark, safety, …"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from resources.models.provider import Disabled, ModelProvider, Readiness

if TYPE_CHECKING:
    import numpy as np


class NoScore(Exception):
    """There is no score. Its text is the reason in the row, whose value is null."""


@dataclass(frozen=True)
class ClipToScore:
    """A clip. frames: [height, width, 3] uint8 RGB each, in order of time. caption: None if the clip has none."""

    clip_id: str
    frames: list[np.ndarray]
    caption: str | None


class Scorer(ModelProvider):
    """Scores clips.

    clips_per_call: upper bound on clips per call. frames: number of stored frames of a clip that it uses. frame_choice:
    the middle frames of as many equal segments, or random ones, with the clip's id as seed. reads_caption: the score
    depends on the clip's caption too.
    """

    clips_per_call: int = 64
    frames: int = 4
    frame_choice: Literal["middle", "random"] = "middle"
    reads_caption: bool = False

    @abstractmethod
    def score(self, clips: Sequence[ClipToScore]) -> list[float | Exception]:
        """Returns a score for each clip, in their order; `NoScore` or another error where there is none."""


class NoScorer(Disabled, Scorer):
    """No scorer: its score has no rows."""

    def score(self, clips: Sequence[ClipToScore]) -> list[float | Exception]:
        return [NoScore("no model is enabled for this score")] * len(clips)

    def readiness(self) -> Readiness:
        return Readiness("none", 0, "no clip has this score; set its provider")
