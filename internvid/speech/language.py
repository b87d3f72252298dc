"""Converts language tags of files and streams to ISO 639-1 codes, and detects the language of a text."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from internvid.text.languages import NAMES

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

MIN_LETTERS = 20  # with fewer the detection is unreliable
MAX_CHARACTERS = 20_000  # more text does not improve the detection
MIN_CONFIDENCE = 0.5  # of the probability among 140 languages

_NO_LANGUAGE = {"und", "mul", "mis", "zxx", "root"}
_CODES_BY_NAME = {name.lower(): code for code, name in NAMES.items()}


def language_code(tag: str | None) -> str | None:
    """Returns the ISO 639-1 code of a tag like en, en-US, eng, zh_Hans, ger or English.

    Returns the ISO 639-3 code of a language without an ISO 639-1 code, and None if the tag names no language.
    """
    from langcodes import Language, LanguageTagError

    tag = (tag or "").strip().lower().replace("_", "-")
    if tag in _CODES_BY_NAME:
        return _CODES_BY_NAME[tag]
    if (first := tag.split("-")[0]) in NAMES:
        return first
    try:
        named = Language.get(tag).prefer_macrolanguage()
    except LanguageTagError:
        return None
    code = named.language
    return code if code and code not in _NO_LANGUAGE and Language.make(language=code).is_valid() else None


def language_of(text: str) -> str | None:
    """Detects the language of the text; None if the text is too short or the result uncertain."""
    if sum(map(str.isalpha, text)) < MIN_LETTERS:
        return None
    code, _ = _identifier().classify(text[:MAX_CHARACTERS])
    return language_code(code)


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=MIN_CONFIDENCE)
