"""The translator provider of `transformers` language models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import field_validator

from resources.models.hub_language_model import HubLanguageModel
from resources.models.translator import Translator, Untranslated

if TYPE_CHECKING:
    from internvid.text.generated import Generated
    from internvid.text.translation import WritingTranslator


class HubTranslator(HubLanguageModel, Translator):
    """Translates by a model of `transformers`.

    Without a template: Marian (one language or group per model), NLLB or M2M100. With a template: any model that
    follows instructions; {text} is replaced by the text and {language} by the name of its language. languages: ISO
    639-1 codes that a Marian model reads, where neither its files nor its name say it, as for opus-mt-ROMANCE-en.
    """

    generation: dict[str, Any] = {"max_new_tokens": 256}
    languages: list[str] = []

    @field_validator("template")
    @classmethod
    def _holds_the_text(cls, template: str | None) -> str | None:
        if template is not None and "{text}" not in template:
            raise ValueError("the template must say by {text} where the text goes, or the model never sees it")
        return template

    @property
    def version(self) -> str:
        from internvid.text.translation import VERSION

        return self._version(*self.languages, f"sentences-{VERSION}")

    def translate(self, texts: Sequence[tuple[str, str]]) -> list[Generated | Exception]:
        from internvid.text.translation import UnknownLanguage

        answers = self._loaded().translate(texts)
        return [Untranslated(str(answer)) if isinstance(answer, UnknownLanguage) else answer for answer in answers]

    def _load(self) -> WritingTranslator:
        return self._translator

    @cached_property
    def _translator(self) -> WritingTranslator:
        from internvid.text.translation import WritingTranslator

        return WritingTranslator(
            self._language_model, name=self.model, template=self.template, languages=self.languages
        )
