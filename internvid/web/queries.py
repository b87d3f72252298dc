"""Query plans: what to search the web for. Phrases of actions, alone or with categories, in several languages.

This module reads files of phrases, makes searches from them, and refuses unsafe ones. Where and when to search is
decided elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from internvid.lists.rows import read_lines, read_sound_rows

ENGLISH, CHINESE = "en", "zh"
PHRASE_COLUMNS = ("search_word_id", "phrase", "query")  # the first of these columns in a file holds its phrases
CHINESE_COLUMN = "search_word"  # of InternVid's released form, beside search_word_id
# Also the usual name of a row's number. It means Indonesian only if that language is requested.
AMBIGUOUS = frozenset({"id"})
MAX_ALTERNATIVES = 64  # made by the slashes of one phrase
MAX_WORDS_BETWEEN = 3  # matched by `*` in the list of unsafe phrases
UNSAFE_PHRASES = Path(__file__).with_name("unsafe_phrases.txt")


@dataclass(frozen=True)
class Phrase:
    """A phrase to search for, as its file has it. translations: by ISO 639-1 code, without empty ones."""

    text: str
    language: str = ENGLISH
    translations: Mapping[str, str] = field(default_factory=dict)

    @property
    def text_by_language(self) -> dict[str, str]:
        return {self.language: self.text, **self.translations}


@dataclass(frozen=True)
class Query:
    """A search. words: the search words. phrase: the phrase that they were made from, in its own language.

    category: None for the phrase alone. number: position in the plan, from 1. refused: why the search is not made;
    None if it is safe.
    """

    words: str
    phrase: str
    category: str | None
    language: str
    number: int
    refused: str | None = None


# --- files ----------------------------------------------------------------------------------------------------------


def read_phrases(path: str | Path, language: str = ENGLISH) -> Iterator[Phrase]:
    """Reads the phrases of a .txt, .csv, .tsv or .jsonl file.

    txt: one phrase a line; lines that begin with # are comments. The other formats have a column search_word_id, phrase
    or query, and columns named by an ISO 639-1 code hold translations. In the form that InternVid released
    (queries.jsonl), search_word_id is English and search_word is Chinese.
    language: of the phrases, an ISO 639-1 code.
    Raises ValueError for another suffix, a missing column, or a line that cannot be read.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".txt", ".csv", ".tsv", ".jsonl"):
        raise ValueError(f"{path} is no list of phrases: its name has to end in .txt, .csv, .tsv or .jsonl")
    is_empty = True
    for row in read_lines(path) if suffix == ".txt" else read_sound_rows(path, ()):
        is_empty = False
        cells = {"phrase": row.cells["line"]} if suffix == ".txt" else row.cells
        yield _phrase(path, row.number, cells, language)
    if is_empty:
        raise ValueError(f"{path} holds no phrase")


def _phrase(path: Path, line: int, row: Mapping[str, Any], language: str) -> Phrase:
    cells = {name.strip(): _clean(cell) for name, cell in row.items() if cell is None or isinstance(cell, str)}
    column = next((name for name in PHRASE_COLUMNS if name in cells), None)
    if column is None:
        raise ValueError(f"{path}:{line}: no column {', '.join(PHRASE_COLUMNS[:-1])} or {PHRASE_COLUMNS[-1]} with text")
    if not cells[column]:
        raise ValueError(f"{path}:{line}: {column} is empty")
    if column == "search_word_id" and CHINESE_COLUMN in cells:
        cells.setdefault(CHINESE, cells[CHINESE_COLUMN])
    translations = {name: text for name, text in cells.items() if text and name != language and _is_language(name)}
    return Phrase(cells[column], language, translations)


def _clean(text: str | None) -> str:
    """Joins the text into one line and normalises it to NFC."""
    shown = "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in text or "")
    return " ".join(unicodedata.normalize("NFC", shown).split())


@cache
def _is_language(name: str) -> bool:
    import langcodes

    return len(name) == 2 and name.isascii() and name.islower() and langcodes.Language.get(name).is_valid()


# --- plans ----------------------------------------------------------------------------------------------------------


def plan(
    phrases: Iterable[Phrase], categories: Sequence[Phrase] = (), languages: Sequence[str] = ()
) -> Iterator[Query]:
    """Yields a search for every phrase with every category in every language of the phrase, each search once.

    categories: empty for the phrases alone. In a language into which a category is not translated, the phrase is
    searched for alone. languages: ISO 639-1 codes to use; empty for all.
    Alternatives ("open/close door") become a search each. A hyphen ("slide-along") becomes a space, because search
    engines read a hyphen before a word as "without".
    Raises ValueError for a phrase without a word, and for one with more than 64 alternatives.
    """
    taken: set[str] = set()
    number = 0
    for phrase in phrases:
        refused = {language: _phrase_refusal(text) for language, text in phrase.text_by_language.items()}
        no_category: Sequence[Phrase | None] = [None]
        for category, language in product(categories or no_category, phrase.text_by_language):
            if language not in languages if languages else language in AMBIGUOUS:
                continue
            # The unsafe list does not cover every language: a phrase refused in one language is refused in all.
            elsewhere = next((reason for code, reason in refused.items() if code != language and reason), None)
            for words, category_words in _searches(phrase, category, language):
                if words.casefold() in taken:
                    continue
                taken.add(words.casefold())
                number += 1
                yield Query(words, phrase.text, category_words, language, number, refusal(words) or elsewhere)


def _searches(phrase: Phrase, category: Phrase | None, language: str) -> Iterator[tuple[str, str | None]]:
    """Yields the words of each search, and the category in the search's language."""
    word = category.text_by_language.get(language) if category else None
    for alternative in alternatives(phrase.text_by_language[language]):
        yield (f"{alternative} {word}" if word else alternative), (word or None)


def alternatives(phrase: str) -> list[str]:
    """Returns the phrases that the slashes make, each slash between two words; hyphens become spaces.

    >>> alternatives("open/close sliding-door")
    ['open sliding door', 'close sliding door']
    """
    spaced = re.sub(r"\s*/\s*", "/", re.sub(r"[-‐‑–—]", " ", phrase))
    parts = [[part for part in word.split("/") if part] for word in spaced.split() if word.strip("/")]
    if not parts:
        raise ValueError(f"{phrase!r} has no word to search for")
    number = prod(map(len, parts))
    if number > MAX_ALTERNATIVES:
        raise ValueError(f"{phrase!r} has {number} alternatives: divide it into phrases of at most {MAX_ALTERNATIVES}")
    return list(dict.fromkeys(" ".join(chosen) for chosen in product(*parts)))


# --- what is refused ------------------------------------------------------------------------------------------------


def refusal(words: str) -> str | None:
    """Returns why these words are not searched for: the words that unsafe_phrases.txt lists; None if it lists none."""
    unsafe_words = _unsafe_words_in(words)
    return f"unsafe words: {unsafe_words}" if unsafe_words else None


def _phrase_refusal(phrase: str) -> str | None:
    return next((reason for words in alternatives(phrase) if (reason := refusal(words))), None)


def _unsafe_words_in(words: str) -> str | None:
    text = unicodedata.normalize("NFKC", words).casefold()
    for part in _unsafe().parts:
        if part in text:
            return part
    tokens = [word for word in _WORD.findall(_POSSESSIVE.sub("", text)) if word not in _IGNORED_WORDS]
    forms = [_forms(word) for word in tokens]
    for start, first in enumerate(forms):
        for form in first:
            for phrase in _unsafe().phrases_by_first_word.get(form, ()):
                if length := _matched(phrase, forms[start:]):
                    return " ".join(tokens[start : start + length])
    return None


# For each word its accepted forms; None where up to MAX_WORDS_BETWEEN words may stand.
_UnsafePhrase = tuple[frozenset[str] | None, ...]


@dataclass(frozen=True)
class _Unsafe:
    """The unsafe phrases. parts: in languages without spaces between words. phrases_by_first_word: all others."""

    parts: tuple[str, ...]
    phrases_by_first_word: Mapping[str, list[_UnsafePhrase]]


_WORD = re.compile(r"[^\W_]+")
_POSSESSIVE = re.compile(r"['’]s?\b")
_IGNORED_WORDS = frozenset(
    {"a", "an", "the", "his", "her", "their", "my", "your", "its", "some", "one", "own", "at", "up"}
)
_WITHOUT_SPACES = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


@cache
def _unsafe() -> _Unsafe:
    groups: dict[str, list[str]] = {}
    parts: list[str] = []
    phrases_by_first_word: dict[str, list[_UnsafePhrase]] = {}
    for line in UNSAFE_PHRASES.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if " = " in text:
            name, _, words = text.partition(" = ")
            groups[name.strip()] = words.split()
        elif _WITHOUT_SPACES.search(text):
            parts.append(text)
        elif text:
            phrase = tuple(
                None if word == "*" else frozenset(groups.get(word) or word.split("|")) for word in text.split()
            )
            for first in phrase[0] or ():
                phrases_by_first_word.setdefault(first, []).append(phrase)
    return _Unsafe(tuple(parts), phrases_by_first_word)


def _matched(wanted: _UnsafePhrase, forms: Sequence[frozenset[str]]) -> int | None:
    """Returns how many leading words the unsafe phrase `wanted` matches; None if it does not match."""
    if not wanted:
        return 0
    if wanted[0] is None:
        for between in range(MAX_WORDS_BETWEEN + 1):
            if (rest := _matched(wanted[1:], forms[between:])) is not None:
                return between + rest
        return None
    if not forms or wanted[0].isdisjoint(forms[0]):
        return None
    rest = _matched(wanted[1:], forms[1:])
    return None if rest is None else 1 + rest


@cache
def _forms(word: str) -> frozenset[str]:
    """Returns the word and its possible base forms: of plurals, -ed, -ing, doubled consonants.

    Too many forms do no harm: a form that is not a word is not in the list.
    """
    forms = {word}
    for ending in ("s", "es", "d", "ed", "ing", "er", "ers"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2:
            forms |= {stem, f"{stem}e"}
            if stem[-1] == stem[-2]:
                forms.add(stem[:-1])
            if stem[-1] == "i":
                forms.add(f"{stem[:-1]}y")
    return frozenset(forms)
