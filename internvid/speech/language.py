"""Converts language tags of files and streams to ISO 639-1 codes, and detects the language of a text."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

from internvid.text.languages import NAMES

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

MIN_LETTERS = 20  # with fewer the detection is unreliable
MAX_CHARACTERS = 20_000  # more text does not improve the detection
MIN_OF_SHORT = 0.7  # of the probability, for half as many letters: else a word like "llama" decides
MIN_CONFIDENCE = 0.5  # of the probability among 140 languages

_NO_LANGUAGE = {"und", "mul", "mis", "zxx", "root"}
_LANGUAGES_BY_SCRIPT = {
    **{"CJK": "zh", "HANGUL": "ko", "THAI": "th", "LAO": "lo", "KHMER": "km", "MYANMAR": "my", "TIBETAN": "bo"},
    **{"GREEK": "el", "HEBREW": "he", "ARMENIAN": "hy", "GEORGIAN": "ka", "ETHIOPIC": "am", "SINHALA": "si"},
    **{"BENGALI": "bn", "TAMIL": "ta", "TELUGU": "te", "KANNADA": "kn", "MALAYALAM": "ml", "GUJARATI": "gu"},
    **{"GURMUKHI": "pa", "ORIYA": "or"},
}
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


def caption_language(text: str) -> str | None:
    """Returns the language of a caption; English where nothing speaks against it, as captions are short.

    In letters other than Latin ones it is never English: there it is None if nothing is certain.
    """
    letters = [letter for letter in text if letter.isalpha()]
    latin = sum(letter < "\u0250" or "\u1e00" <= letter <= "\u1eff" for letter in letters)
    name, probability = _identifier().classify(text[:MAX_CHARACTERS])
    code = language_code(name)
    if 2 * latin < len(letters):
        return None if code == "en" else code or _language_of_script(letters)
    if code in (None, "en"):
        return "en"
    has_accents = any(letter > "\x7f" for letter in letters)
    is_long = len(letters) >= MIN_LETTERS or has_accents
    return code if is_long or (len(letters) >= MIN_LETTERS / 2 and probability >= MIN_OF_SHORT) else "en"


def _language_of_script(letters: list[str]) -> str | None:
    """Returns the language that alone uses most of these letters' script, or uses it most."""
    counts = Counter(unicodedata.name(letter, "").split(" ")[0] for letter in letters)
    if counts["HIRAGANA"] or counts["KATAKANA"]:
        return "ja"
    return _LANGUAGES_BY_SCRIPT.get(counts.most_common(1)[0][0])


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=MIN_CONFIDENCE)
