"""Query plans: what to search the web for. Phrases of actions, by themselves or with categories, in several languages.

Belongs here: reading files of phrases, making searches of them, and refusing those that no search should be made of.
Where and when is searched is not decided here.
"""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

ENGLISH, CHINESE = "en", "zh"
PHRASE_COLUMNS = ("search_word_id", "phrase", "query")  # the first of them that a file has holds its phrases
CHINESE_COLUMN = "search_word"  # of the released form: beside search_word_id
# Also the usual name of a number of the row. It is Indonesian where that language is asked for.
AMBIGUOUS = frozenset({"id"})
ALTERNATIVES_AT_MOST = 64  # that the slashes of one phrase make
WORDS_BETWEEN = 3  # that `*` stands for at most, in the list of what is refused
UNSAFE_PHRASES = Path(__file__).with_name("unsafe_phrases.txt")


@dataclass(frozen=True)
class Phrase:
    """What is searched for, as its file has it. translations: by ISO 639-1 code, without those that are empty."""

    text: str
    language: str = ENGLISH
    translations: Mapping[str, str] = field(default_factory=dict)

    @property
    def by_language(self) -> dict[str, str]:
        return {self.language: self.text, **self.translations}


@dataclass(frozen=True)
class Query:
    """A search. words: what is searched for. phrase: that they were made of, in its own language. category: None for
    the phrase by itself. number: its place in the plan, from 1. refused: why nobody searches for it; None where it is
    safe.
    """

    words: str
    phrase: str
    category: str | None
    language: str
    number: int
    refused: str | None = None


# --- files ----------------------------------------------------------------------------------------------------------


def read_phrases(path: str | Path, language: str = ENGLISH) -> Iterator[Phrase]:
    """The phrases of a file, by the end of its name: .txt, .csv, .tsv, .jsonl.

    txt: one a line; lines that begin with # are comments. The others have a column search_word_id, phrase or query, and
    columns named by an ISO 639-1 code hold translations. In the form that InternVid released (queries.jsonl),
    search_word_id is English and search_word beside it Chinese.
    language: of the phrases.
    Raises ValueError for a file of another kind, without such a column, or with a line that cannot be read.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".txt":
            rows = _lines(path)
        case ".csv" | ".tsv":
            rows = _csv_rows(path)
        case ".jsonl":
            rows = _json_rows(path)
        case _:
            raise ValueError(f"{path} is no list of phrases: its name has to end in .txt, .csv, .tsv or .jsonl")
    found = False
    for line, row in rows:
        found = True
        yield _phrase(path, line, row, language)
    if not found:
        raise ValueError(f"{path} holds no phrase")


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with _opened(path) as file:
        for line, text in enumerate(file, 1):
            phrase = text.strip()
            if phrase and not phrase.startswith("#"):
                yield line, {"phrase": phrase}


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with _opened(path) as file:
        reader = csv.DictReader(file, dialect="excel-tab" if path.suffix.lower() == ".tsv" else "excel", strict=True)
        try:
            for row in reader:
                if None in row:
                    raise ValueError(f"{path}:{reader.line_num}: more cells than the first line has columns")
                yield reader.line_num, row
        except csv.Error as error:
            raise ValueError(f"{path}: after line {reader.line_num}: {error}") from error


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with _opened(path) as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}:{line}: not JSON: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path}:{line}: not a JSON object")
            yield line, row


def _opened(path: Path) -> Any:
    return path.open(encoding="utf-8-sig", newline="" if path.suffix.lower() in (".csv", ".tsv") else None)


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
    """In one line and in one form."""
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
    """Every phrase with every category in every language it is translated to, each search once, as a stream.

    categories: none for the phrases by themselves. In a language that a category has no word in, the phrase is searched
    for by itself. languages: all that are there, unless some are named.
    Alternatives ("open/close door") become a search each; a hyphen ("slide-along") is a space, for a search reads one
    before a word as "without".
    Raises ValueError for a phrase without a word, and for one with more than 64 alternatives.
    """
    taken: set[str] = set()
    number = 0
    for phrase in phrases:
        refused = {language: _refusal_of_any(text) for language, text in phrase.by_language.items()}
        by_itself: Sequence[Phrase | None] = [None]
        for category, language in product(categories or by_itself, phrase.by_language):
            if language not in languages if languages else language in AMBIGUOUS:
                continue
            # In another language the list may not know the words: what is refused in one is refused in all.
            elsewhere = next((why for other, why in refused.items() if other != language and why), None)
            for words, category_words in _searches(phrase, category, language):
                if words.casefold() in taken:
                    continue
                taken.add(words.casefold())
                number += 1
                yield Query(words, phrase.text, category_words, language, number, refusal(words) or elsewhere)


def _searches(phrase: Phrase, category: Phrase | None, language: str) -> Iterator[tuple[str, str | None]]:
    """The words of each search, and the category as it stands in them."""
    word = category.by_language.get(language) if category else None
    for alternative in alternatives(phrase.by_language[language]):
        yield (f"{alternative} {word}" if word else alternative), (word or None)


def alternatives(phrase: str) -> list[str]:
    """The phrases that its slashes make, each slash between two words; hyphens as spaces.

    >>> alternatives("open/close sliding-door")
    ['open sliding door', 'close sliding door']
    """
    spaced = re.sub(r"\s*/\s*", "/", re.sub(r"[-‐‑–—]", " ", phrase))
    parts = [[part for part in word.split("/") if part] for word in spaced.split() if word.strip("/")]
    if not parts:
        raise ValueError(f"{phrase!r} has no word to search for")
    number = prod(map(len, parts))
    if number > ALTERNATIVES_AT_MOST:
        raise ValueError(
            f"{phrase!r} has {number} alternatives: divide it into phrases of at most {ALTERNATIVES_AT_MOST}"
        )
    return list(dict.fromkeys(" ".join(chosen) for chosen in product(*parts)))


# --- what is refused ------------------------------------------------------------------------------------------------


def refusal(words: str) -> str | None:
    """Why nobody searches for these words: those of them that unsafe_phrases.txt lists; None where it lists none."""
    found = _unsafe_words_in(words)
    return f"unsafe words: {found}" if found else None


def _refusal_of_any(phrase: str) -> str | None:
    return next((why for words in alternatives(phrase) if (why := refusal(words))), None)


def _unsafe_words_in(words: str) -> str | None:
    text = unicodedata.normalize("NFKC", words).casefold()
    for part in _unsafe().parts:
        if part in text:
            return part
    tokens = [word for word in _WORD.findall(_POSSESSIVE.sub("", text)) if word not in _PASSED_OVER]
    forms = [_forms(word) for word in tokens]
    for start, first in enumerate(forms):
        for form in first:
            for phrase in _unsafe().by_first_word.get(form, ()):
                if length := _matched(phrase, forms[start:]):
                    return " ".join(tokens[start : start + length])
    return None


# The forms that each word may have; None where some words may stand between.
_UnsafePhrase = tuple[frozenset[str] | None, ...]


@dataclass(frozen=True)
class _Unsafe:
    """The list. parts: of texts whose language writes no spaces between words. by_first_word: the rest."""

    parts: tuple[str, ...]
    by_first_word: Mapping[str, list[_UnsafePhrase]]


_WORD = re.compile(r"[^\W_]+")
_POSSESSIVE = re.compile(r"['’]s?\b")
_PASSED_OVER = frozenset(
    {"a", "an", "the", "his", "her", "their", "my", "your", "its", "some", "one", "own", "at", "up"}
)
_WITHOUT_SPACES = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


@cache
def _unsafe() -> _Unsafe:
    groups: dict[str, list[str]] = {}
    parts: list[str] = []
    by_first_word: dict[str, list[_UnsafePhrase]] = {}
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
                by_first_word.setdefault(first, []).append(phrase)
    return _Unsafe(tuple(parts), by_first_word)


def _matched(wanted: _UnsafePhrase, forms: Sequence[frozenset[str]]) -> int | None:
    """How many words from the first on are the wanted ones; None if they are not."""
    if not wanted:
        return 0
    if wanted[0] is None:
        for between in range(WORDS_BETWEEN + 1):
            if (rest := _matched(wanted[1:], forms[between:])) is not None:
                return between + rest
        return None
    if not forms or wanted[0].isdisjoint(forms[0]):
        return None
    rest = _matched(wanted[1:], forms[1:])
    return None if rest is None else 1 + rest


@cache
def _forms(word: str) -> frozenset[str]:
    """The word, and what it may be an inflected form of: plurals, -ed, -ing, doubled consonants.

    Rather too many than too few: a form that is no word is in no list.
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
