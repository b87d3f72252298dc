"""The door to whatever puts what is said into English."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from resources.door import Door, NotSet, Readiness

if TYPE_CHECKING:
    from internvid.text.generated import Generated


class Untranslated(Exception):
    """There is no translation, and its text says why."""


class Translator(Door):
    """Translates into English. texts_per_call: how many it likes to be given at once."""

    texts_per_call: int = 64

    @abstractmethod
    def translate(self, texts: Sequence[tuple[str, str]]) -> list[Generated | Exception]:
        """English of each (text, ISO 639-1 code of its language), in their order; `Untranslated` where the model does
        not know the language, for another failure its error. Is not asked for what is English already.
        """


class NoTranslator(NotSet, Translator):
    """Translates nothing, and says so."""

    def translate(self, texts: Sequence[tuple[str, str]]) -> list[Generated | Exception]:
        return [Untranslated("no translator is set")] * len(texts)

    def readiness(self) -> Readiness:
        return Readiness("none", 0, "speech in other languages stays without English; set the door `translator`")
