"""The base of providers of `transformers` language models: their prompts, lengths and generation."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import Field

from resources.incremental.provenance import digest
from resources.models.hub import HubProvider

if TYPE_CHECKING:
    from internvid.text.language_model import LanguageModel


class HubLanguageModel(HubProvider):
    """A language model of `transformers`.

    generation: parameters of `generate`, which override those of the model's files; without sampling unless it says
    so. context_tokens: upper bound on the tokens that the model reads, and for causal models writes; None: as its
    files say. batch: batch size; it bounds memory and affects no text. template: instruction of the model; None: the
    model gets the text alone.
    """

    generation: dict[str, Any] = {"max_new_tokens": 64}
    context_tokens: int | None = Field(default=None, gt=0)
    batch: int = Field(default=16, ge=1)
    template: str | None = None

    def _version(self, *algorithm: str) -> str:
        """Returns the version. algorithm: names of other things that the text depends on."""
        settings = [f"{name}={value}" for name, value in sorted(self.generation.items())]
        if self.context_tokens is not None:
            settings.append(f"context_tokens={self.context_tokens}")
        if self.template is not None:
            settings.append(f"template-{digest(self.template)[:8]}")
        return "+".join([self.weights_version, *settings, *algorithm])

    def _load(self) -> Any:
        return self._language_model

    @cached_property
    def _language_model(self) -> LanguageModel:
        from internvid.text.language_model import LanguageModel, load

        if "max_new_tokens" not in self.generation:
            raise ValueError("generation needs max_new_tokens: the most that the model may write")
        weights = load(self.hub_model, self.torch_device, self.torch_dtype)
        return LanguageModel(weights, generation=self.generation, context_tokens=self.context_tokens, batch=self.batch)
