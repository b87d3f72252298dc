"""Languages: their ISO 639-1 codes from the tags that files and streams carry, and the language of a text."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from internvid.text.languages import NAMES

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

FEWEST_LETTERS = 20  # with fewer a guess is worth nothing
MOST_CHARACTERS = 20_000  # more make it no surer
LEAST_CONFIDENCE = 0.5  # of a share among 140 languages

_NO_LANGUAGE = {"und", "mul", "mis", "zxx", "root"}
_BY_NAME = {name.lower(): code for code, name in NAMES.items()}


def language_code(tag: str | None) -> str | None:
    """The ISO 639-1 code of a tag like en, en-US, eng, zh_Hans, ger or English; the ISO 639-3 code of a language that
    has none; None for what names no language.
    """
    from langcodes import Language, LanguageTagError

    tag = (tag or "").strip().lower().replace("_", "-")
    if tag in _BY_NAME:
        return _BY_NAME[tag]
    if (first := tag.split("-")[0]) in NAMES:
        return first
    try:
        named = Language.get(tag).prefer_macrolanguage()
    except LanguageTagError:
        return None
    code = named.language
    return code if code and code not in _NO_LANGUAGE and Language.make(language=code).is_valid() else None


def language_of(text: str) -> str | None:
    """The language that the text is most likely in; None where it is too short, or could be any."""
    if sum(map(str.isalpha, text)) < FEWEST_LETTERS:
        return None
    code, _ = _identifier().classify(text[:MOST_CHARACTERS])
    return language_code(code)


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=LEAST_CONFIDENCE)
