"""What the doors to language models of `transformers` have in common: what they read and write, and how much."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import Field

from resources.hub_door import HubDoor
from resources.refresh import digest

if TYPE_CHECKING:
    from internvid.text.language_model import LanguageModel


class HubLanguageModel(HubDoor):
    """generation: as `generate` of transformers takes it, laid over what the model's makers set; greedy where they set
    no beams, and nothing is drawn by lot unless it says so. context_tokens: how many tokens the model can read, of a
    causal one read and write; as its files say unless set. batch: texts read at once; bounds the memory, not what is
    written. template: what a model that follows instructions is told; without one the model gets the text alone.
    """

    generation: dict[str, Any] = {"max_new_tokens": 64}
    context_tokens: int | None = Field(default=None, gt=0)
    batch: int = Field(default=16, ge=1)
    template: str | None = None

    def _version(self, *algorithm: str) -> str:
        """algorithm: what else decides what is written."""
        said = [f"{name}={value}" for name, value in sorted(self.generation.items())]
        if self.context_tokens is not None:
            said.append(f"context_tokens={self.context_tokens}")
        if self.template is not None:
            said.append(f"template-{digest(self.template)[:8]}")
        return "+".join([self.weights_version, *said, *algorithm])

    @cached_property
    def _language_model(self) -> LanguageModel:
        from internvid.text.language_model import LanguageModel, load

        if "max_new_tokens" not in self.generation:
            raise ValueError("generation needs max_new_tokens: the most that the model may write")
        weights = load(self.hub_model, self.torch_device, self.torch_dtype)
        return LanguageModel(weights, generation=self.generation, context_tokens=self.context_tokens, batch=self.batch)
