"""The summariser provider of `transformers` language models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import field_validator

from resources.models.hub_language_model import HubLanguageModel
from resources.models.summariser import Summariser

if TYPE_CHECKING:
    from internvid.captions.summary import ClipMeasures, ClipSummary, TimedCaption


class HubSummariser(HubLanguageModel, Summariser):
    """Summarises by a model of `transformers`.

    Without a template: a model that was trained to summarise, as the paper's. With a template: any model that follows
    instructions; {captions} is replaced by the captions, one per line with its second and scale.
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

        summariser = WritingSummariser(self._loaded(), self.template)
        return summariser.summarise([captions for _, captions in clips])
