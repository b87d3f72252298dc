"""The text overlay door: the share of the picture that lies under written text, on average over the frames."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING

from resources.door import Readiness
from resources.scorer import ClipToScore, Scorer

if TYPE_CHECKING:
    from internvid.scores.text_overlay import TextDetector


class OcrTextOverlay(Scorer):
    """PP-OCR's text detector, on the CPU; its weights come with its package. long_side: pixels that a larger frame is
    shrunk to. least_confidence: of a line of text, from 0 to 1.
    """

    frames: int = 2  # writing mostly stays on, and a frame takes a core an eighth of a second
    long_side: int = 480  # below it, whole pictures without text were taken for a line of it
    least_confidence: float = 0.6

    @property
    def model(self) -> str:
        from internvid.scores.text_overlay import WEIGHTS

        return WEIGHTS.removesuffix(".onnx")

    @property
    def version(self) -> str:
        return f"{self.model}+{self.long_side}px+confidence{self.least_confidence:g}+mean"

    def score(self, clips: Sequence[ClipToScore]) -> list[float | Exception]:
        from internvid.scores.clips import by_clip

        try:
            detector = self._detector
        except Exception as error:  # noqa: BLE001 - without the model no clip has a score, and this is why
            return [error] * len(clips)
        return by_clip([clip.frames for clip in clips], detector.shares, fmean)

    @cached_property
    def _detector(self) -> TextDetector:
        from internvid.scores.text_overlay import TextDetector

        return TextDetector(self.long_side, self.least_confidence)

    def readiness(self) -> Readiness:
        from internvid.scores.text_overlay import weights_file

        weights = weights_file()
        if weights is None or not weights.is_file():
            return Readiness("missing", advice="install the packages rapidocr and onnxruntime")
        return Readiness("ready", weights.stat().st_size)
