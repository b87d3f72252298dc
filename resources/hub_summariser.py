"""The summariser door to a language model of `transformers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import field_validator

from resources.hub_language_model import HubLanguageModel
from resources.summariser import Summariser

if TYPE_CHECKING:
    from internvid.captions.summary import ClipMeasures, ClipSummary, TimedCaption


class HubSummariser(HubLanguageModel, Summariser):
    """Without a template for models that were trained to summarise, as the paper's; with one, in which {captions}
    stands for the captions, one a line with its second and scale, for any that follows instructions.
    """

    @field_validator("template")
    @classmethod
    def _holds_the_captions(cls, template: str | None) -> str | None:
        if template is not None and "{captions}" not in template:
            raise ValueError("the template must say by {captions} where the captions go, or the model never sees them")
        return template

    @property
    def version(self) -> str:
        from internvid.text.written_summary import VERSION

        return self._version(f"captions-{VERSION}")

    def summarise(self, clips: Sequence[tuple[ClipMeasures, Sequence[TimedCaption]]]) -> list[ClipSummary | Exception]:
        from internvid.text.written_summary import WritingSummariser

        summariser = WritingSummariser(self._language_model, self.template)
        return summariser.summarise([captions for _, captions in clips])
