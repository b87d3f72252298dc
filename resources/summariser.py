"""The door to whatever makes one caption of a clip out of the captions of its frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from internvid.captions.summary import ClipMeasures, ClipSummary, MergingSummariser, TimedCaption


class Summariser(dg.ConfigurableResource, ABC):
    """Summarises a clip. `model` goes into every row; `version` decides whether a summary has to be made anew."""

    @property
    @abstractmethod
    def model(self) -> str: ...

    @property
    @abstractmethod
    def version(self) -> str: ...

    @abstractmethod
    def summarise(self, measures: ClipMeasures, captions: Sequence[TimedCaption]) -> ClipSummary:
        """One caption of the clip, from its frames' captions in order of time. Raises ValueError without any."""


class EmbeddedSummariser(Summariser):
    """Merges and de-duplicates the sentences over time, and says how the camera and the picture move."""

    @property
    def model(self) -> str:
        return self._summariser.model

    @property
    def version(self) -> str:
        return self._summariser.version

    def summarise(self, measures: ClipMeasures, captions: Sequence[TimedCaption]) -> ClipSummary:
        return self._summariser.summarise(measures, captions)

    @cached_property
    def _summariser(self) -> MergingSummariser:
        from internvid.captions.summary import MergingSummariser

        return MergingSummariser()
