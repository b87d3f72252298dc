"""The door to whatever makes one caption of a clip out of the captions of its frames."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from resources.door import Door

if TYPE_CHECKING:
    from internvid.captions.summary import ClipMeasures, ClipSummary, MergingSummariser, TimedCaption


class Summariser(Door):
    """Summarises clips. clips_per_call: how many it likes to be given at once."""

    clips_per_call: int = 256

    @abstractmethod
    def summarise(self, clips: Sequence[tuple[ClipMeasures, Sequence[TimedCaption]]]) -> list[ClipSummary | Exception]:
        """One caption of each clip, from its measures and its frames' captions in order of time; in the clips' order.
        For a clip without one the error.
        """


class EmbeddedSummariser(Summariser):
    """Merges and de-duplicates the sentences over time, and says how the camera and the picture move."""

    @property
    def model(self) -> str:
        return self._summariser.model

    @property
    def version(self) -> str:
        return self._summariser.version

    def summarise(self, clips: Sequence[tuple[ClipMeasures, Sequence[TimedCaption]]]) -> list[ClipSummary | Exception]:
        return [self._summariser.summarise(measures, captions) for measures, captions in clips]

    @cached_property
    def _summariser(self) -> MergingSummariser:
        from internvid.captions.summary import MergingSummariser

        return MergingSummariser()
