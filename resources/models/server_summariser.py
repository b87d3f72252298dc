"""The summariser provider of chat models on a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from resources.models.server import ServerProvider
from resources.models.summariser import Summariser

if TYPE_CHECKING:
    from internvid.captions.summary import ClipMeasures, ClipSummary, TimedCaption


class ServerSummariser(ServerProvider, Summariser):
    """Summarises by a chat model.

    template: prompt; {captions} is replaced by the captions of the clip's frames in order of time, one per line with
    its second and scale. characters: upper bound on the length of a prompt, because a server does not report its limit
    of tokens. The captions of a longer clip are summarised in parts, and then the summaries. The default, some 6,000
    tokens, leaves room in a context of 8,192.
    """

    template: str = (
        "Below are captions of single frames of one video clip, in order of time. They repeat each other, and some are "
        "wrong. Write one sentence that says what the clip shows, with only what the captions say, and first what "
        "several of them agree on. Answer with that sentence alone.\n\n{captions}"
    )
    characters: int = Field(default=24_000, ge=1)
    clips_per_call: int = 256

    @field_validator("template")
    @classmethod
    def _holds_the_captions(cls, template: str) -> str:
        if "{captions}" not in template:
            raise ValueError("the template must say by {captions} where the captions go, or the model never sees them")
        return template

    @property
    def _prompts(self) -> list[str]:
        return [self.template]

    def summarise(self, clips: Sequence[tuple[ClipMeasures, Sequence[TimedCaption]]]) -> list[ClipSummary | Exception]:
        from internvid.served_model import ServedModel
        from internvid.text.written_summary import WritingSummariser

        model = ServedModel(self._server, self.characters, self.max_tokens)
        return WritingSummariser(model, self.template).summarise([captions for _, captions in clips])

    @property
    def version(self) -> str:
        from internvid.text.written_summary import VERSION

        return f"{super().version}+characters={self.characters}+captions-{VERSION}"
