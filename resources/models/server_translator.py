"""The translator provider of chat models on a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from pydantic import Field, field_validator

from resources.models.server import ServerProvider
from resources.models.translator import Translator, Untranslated

if TYPE_CHECKING:
    from internvid.text.generated import Generated
    from internvid.text.language_model import LanguageModel


class ServerTranslator(ServerProvider, Translator):
    """Translates by a chat model.

    template: prompt; {text} is replaced by the text, and {language} by the name of its language. characters: upper
    bound on the length of a prompt; a longer text is translated in parts, split at ends of sentences. The default is
    some 1,000 tokens: the English text has about as many, and must fit into max_tokens.
    """

    max_tokens: int = 2048
    template: str = (
        "Translate from {language} into English what was said in a video. Answer with the translation alone.\n\n{text}"
    )
    characters: int = Field(default=4_000, ge=1)
    texts_per_call: int = 256

    @field_validator("template")
    @classmethod
    def _holds_the_text(cls, template: str) -> str:
        if "{text}" not in template:
            raise ValueError("the template must say by {text} where the text goes, or the model never sees it")
        return template

    @property
    def version(self) -> str:
        from internvid.text.translation import VERSION

        return f"{super().version}+characters={self.characters}+sentences-{VERSION}"

    @property
    def _prompts(self) -> list[str]:
        return [self.template]

    def translate(self, texts: Sequence[tuple[str, str]]) -> list[Generated | Exception]:
        from internvid.served_model import ServedModel
        from internvid.text.translation import UnknownLanguage, WritingTranslator

        # With a template a model is asked for no more than a ServedModel has.
        model = cast("LanguageModel", ServedModel(self._server, self.characters, self.max_tokens))
        answers = WritingTranslator(model, name=self.model, template=self.template).translate(texts)
        return [Untranslated(str(answer)) if isinstance(answer, UnknownLanguage) else answer for answer in answers]
