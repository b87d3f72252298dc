"""Providers of summarisers, which write a clip's caption from the captions of its frames, and dialogues about clips."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from resources.models.provider import ModelProvider

if TYPE_CHECKING:
    from internvid.captions.summary import ClipMeasures, ClipSummary, MergingSummariser, TimedCaption
    from internvid.dialogue.facts import ClipFacts, Dialogue


class Summariser(ModelProvider):
    """Summarises clips. clips_per_call: upper bound on clips per call."""

    clips_per_call: int = 256

    @abstractmethod
    def summarise(self, clips: Sequence[tuple[ClipMeasures, Sequence[TimedCaption]]]) -> list[ClipSummary | Exception]:
        """Returns one caption for each clip, in their order, or the clip's error.

        clips: measures of each clip, and the captions of its frames in order of time.
        """

    @property
    def writes_dialogues(self) -> bool:
        """Whether its model writes dialogues; else templates write them, which need no model."""
        return False

    @property
    def dialogue_model(self) -> str:
        """The name of what writes dialogues."""
        from internvid.dialogue.templates import MODEL

        return MODEL

    @property
    def dialogue_version(self) -> str:
        """What writes dialogues, with all settings that they depend on, readable."""
        from internvid.dialogue.templates import VERSION

        return VERSION

    def write_dialogues(self, stretches: Sequence[Sequence[ClipFacts]]) -> Sequence[Dialogue | Exception]:
        """Returns a dialogue about each stretch of clips, in their order, or why there is none."""
        from internvid.dialogue.templates import TemplateDialogues

        return TemplateDialogues().write(stretches)


class EmbeddedSummariser(Summariser):
    """Merges and de-duplicates the sentences over time, and describes the movement of camera and picture."""

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
