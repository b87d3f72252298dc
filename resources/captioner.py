"""The door to whatever captions a frame."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from resources.door import Door, NotSet, Readiness

if TYPE_CHECKING:
    from internvid.captions.measured import FrameCaption, MeasuringCaptioner


class Captioner(Door):
    """Captions frames. frames_per_call: how many it likes to be given at once; bounds the memory, not what it says."""

    frames_per_call: int = 64

    @abstractmethod
    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        """One caption for each frame, a JPEG of any size, in their order; for a frame without one the error."""

    def caption_together(self, jpegs: Sequence[bytes]) -> FrameCaption:
        """One caption for all the frames of a clip, in order of time, by a model that sees them at once.

        Raises ValueError where the model sees one picture at a time.
        """
        raise ValueError(f"{self.model} captions one picture at a time; a clip captioner needs one that sees several")


class NoCaptioner(NotSet, Captioner):
    """Captions nothing: for the scale that few need, a clip's frames together."""

    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        raise ValueError("no captioner is set")

    def readiness(self) -> Readiness:
        return Readiness("none", 0, "no caption of all frames together; the summaries do without")


class EmbeddedCaptioner(Captioner):
    """Says what it measures in the picture, and nothing else: no download, no GPU."""

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
