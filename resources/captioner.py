"""The door to whatever captions a frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    import numpy as np

    from internvid.captions.measured import FrameCaption, MeasuringCaptioner


class Captioner(dg.ConfigurableResource, ABC):
    """Captions frames. `model` goes into every row; `version` decides whether a caption has to be made anew."""

    @property
    @abstractmethod
    def model(self) -> str: ...

    @property
    @abstractmethod
    def version(self) -> str: ...

    @abstractmethod
    def caption(self, frames: Sequence[np.ndarray]) -> list[FrameCaption]:
        """One caption for each frame, RGB [height, width, 3] uint8 of any size."""


class EmbeddedCaptioner(Captioner):
    """Says what it measures in the picture, and nothing else: no download, no GPU."""

    @property
    def model(self) -> str:
        return self._captioner.model

    @property
    def version(self) -> str:
        return self._captioner.version

    def caption(self, frames: Sequence[np.ndarray]) -> list[FrameCaption]:
        return self._captioner.caption(frames)

    @cached_property
    def _captioner(self) -> MeasuringCaptioner:
        from internvid.captions.measured import MeasuringCaptioner

        return MeasuringCaptioner()
