"""Providers of translators into English."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from resources.models.provider import Disabled, ModelProvider, Readiness

if TYPE_CHECKING:
    from internvid.text.generated import Generated


class Untranslated(Exception):
    """There is no translation, and its text says why."""


class Translator(ModelProvider):
    """Translates into English. texts_per_call: upper bound on texts per call."""

    texts_per_call: int = 64

    @abstractmethod
    def translate(self, texts: Sequence[tuple[str, str]]) -> list[Generated | Exception]:
        """Returns the translation of each (text, ISO 639-1 code of its language), in their order.

        A text in a language that the model does not know gives `Untranslated`, another failure its error. No text is in
        English.
        """


class NoTranslator(Disabled, Translator):
    """No translator: every text is `Untranslated`."""

    def translate(self, texts: Sequence[tuple[str, str]]) -> list[Generated | Exception]:
        return [Untranslated("no translator is enabled")] * len(texts)

    def readiness(self) -> Readiness:
        return Readiness("none", 0, "speech in other languages stays without English; set the provider `translator`")
