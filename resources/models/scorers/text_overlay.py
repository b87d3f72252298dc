"""The provider of the score text_overlay: share of the picture under written text, averaged over the frames."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING

from resources.models.provider import Readiness
from resources.models.scorers.scorer import ClipToScore, Scorer

if TYPE_CHECKING:
    from internvid.scores.text_overlay import TextDetector


class OcrTextOverlay(Scorer):
    """PP-OCR's text detector, on the CPU; its weights come with its package.

    long_side: larger frames are shrunk to this size, in pixels. min_confidence: lower bound on the confidence of a line
    of text, from 0 to 1.
    """

    frames: int = 2  # text mostly stays on screen, and a frame takes a core an eighth of a second
    long_side: int = 480  # at smaller sizes, whole pictures without text were detected as a line
    min_confidence: float = 0.6

    @property
    def model(self) -> str:
        from internvid.scores.text_overlay import WEIGHTS

        return WEIGHTS.removesuffix(".onnx")

    @property
    def version(self) -> str:
        return f"{self.model}+{self.long_side}px+confidence{self.min_confidence:g}+mean"

    def _load(self) -> TextDetector:
        return self._detector

    def score(self, clips: Sequence[ClipToScore]) -> list[float | Exception]:
        from internvid.scores.clips import score_clips

        return score_clips([clip.frames for clip in clips], self._loaded().shares, fmean)

    @cached_property
    def _detector(self) -> TextDetector:
        from internvid.scores.text_overlay import TextDetector

        return TextDetector(self.long_side, self.min_confidence)

    def readiness(self) -> Readiness:
        from internvid.scores.text_overlay import weights_file

        weights = weights_file()
        if weights is None or not weights.is_file():
            return Readiness("missing", advice="install the packages rapidocr and onnxruntime")
        return Readiness("ready", weights.stat().st_size)
