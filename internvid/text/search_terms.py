"""Terms by which text is found: words, and in scripts that write no spaces every character and every two in a row.

An index of words finds nothing in `一个穿红色衣服的男人在踢足球`, which is one word to it, and a dictionary for each
script would find only what it divides in the same way. Two characters in a row are what most words of Chinese and
Japanese have, and need no dictionary. Korean has spaces, but joins particles to its nouns; so it is indexed in the
same way.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

# Runs of Han, Hiragana, Katakana, Hangul, Thai, Lao, Tibetan, Burmese and Khmer, with the marks that belong to them.
_RUN = re.compile(
    "["
    "\u0e01-\u0e4e\u0e81-\u0ece\u0f40-\u0fbc\u1000-\u109f\u1780-\u17d3"
    "\u3005-\u3007\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
    "\U00020000-\U000323af"
    "]+"
)
_HANGUL = re.compile("[\uac00-\ud7a3]+")
# Of a run in a query: all its terms are needed. A longer one is a sentence, ranked by its terms.
MAX_EXACT_CHARACTERS = 6


def is_without_spaces(text: str) -> bool:
    """Whether most of the text is in a script that does not divide words by spaces. Korean does."""
    letters = sum(map(str.isalpha, text))
    return 2 * sum(len(run[0]) for run in _RUN.finditer(_HANGUL.sub(" ", text))) > letters > 0


def indexed_terms(text: str) -> str:
    """Returns the terms of a text that is to be found, separated by spaces. What is in other scripts stays as it is."""

    def terms(run: re.Match[str]) -> str:
        characters = _characters(run[0])
        return f" {' '.join([*characters, *_pairs(characters)])} "

    return " ".join(_RUN.sub(terms, _normal(text)).split())


def asked_terms(text: str) -> list[tuple[str, bool]]:
    """Returns the terms of a query: (terms separated by spaces, whether a text must have all of them).

    Runs of scripts without spaces come one by one, the words between them together.
    """
    text = _normal(text)
    asked = []
    for run in _RUN.finditer(text):
        characters = _characters(run[0])
        asked.append((" ".join(_pairs(characters) or characters), len(characters) <= MAX_EXACT_CHARACTERS))
    words = " ".join(_RUN.sub(" ", text).split())
    return [(words, False), *asked] if words else asked


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _characters(run: str) -> list[str]:
    """Returns the characters of a run, each with the vowels and tones that are written around it."""
    characters: list[str] = []
    for character in run:
        if characters and unicodedata.category(character) in ("Mn", "Mc"):
            characters[-1] += character
        else:
            characters.append(character)
    return characters


def _pairs(characters: list[str]) -> list[str]:
    return [first + second for first, second in pairwise(characters)]
