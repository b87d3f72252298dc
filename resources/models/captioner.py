"""Providers of captioners of frames."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from resources.models.provider import Disabled, ModelProvider, Readiness

if TYPE_CHECKING:
    from internvid.captions.measured import FrameCaption, MeasuringCaptioner


class Captioner(ModelProvider):
    """Captions frames. frames_per_call: upper bound on frames per call; it bounds memory and affects no caption."""

    frames_per_call: int = 64

    @abstractmethod
    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        """Returns one caption for each frame, a JPEG of any size, in their order, or the frame's error."""

    def caption_together(self, jpegs: Sequence[bytes]) -> FrameCaption:
        """Returns one caption for all frames of a clip, given in order of time.

        Raises ValueError where the model takes one picture at a time.
        """
        raise ValueError(f"{self.model} takes one picture at a time; a clip captioner needs a model that takes several")


class NoCaptioner(Disabled, Captioner):
    """No captioner: the default of the scale `clip`."""

    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        raise ValueError("no captioner is enabled")

    def readiness(self) -> Readiness:
        return Readiness("none", 0, "no caption of all frames together; the summaries do without")


class EmbeddedCaptioner(Captioner):
    """Writes captions of what it measures in the picture, and of nothing else. Needs no download and no GPU."""

    @property
    def model(self) -> str:
        return self._captioner.model

    @property
    def version(self) -> str:
        return self._captioner.version

    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        from internvid.video.jpeg import rgb_of_jpeg

        return list(self._captioner.caption([rgb_of_jpeg(jpeg) for jpeg in jpegs]))

    @cached_property
    def _captioner(self) -> MeasuringCaptioner:
        from internvid.captions.measured import MeasuringCaptioner

        return MeasuringCaptioner()
