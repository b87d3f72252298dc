"""Counts a caption's words, and lists its nouns and verbs in dictionary form, where there is a tagger for its language.

Belongs here: counting and tagging words. Does not belong here: statistics of them, which the reports make (Table 3 and
Figure 5 of the InternVid paper count distinct nouns and verbs).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from internvid.speech.language import caption_language
from internvid.text.languages import NAMES
from internvid.text.search_terms import is_without_spaces

if TYPE_CHECKING:
    from HanTa.HanoverTagger import HanoverTagger

# A word is letters or digits, with inner hyphens and apostrophes; the model expects punctuation as tokens of its own.
_TOKEN = re.compile(r"\w+(?:[-'’.]\w+)*|[^\w\s]")
_WORD = re.compile(r"\w")
MAX_WORD_CHARACTERS = 40  # a longer one is none, and the model takes 24 s for one of 900
# English writes "isn't" and "dog's" as one word; the model was trained on two tokens each and misreads one.
_CLITIC = re.compile(r"^(\w+?)(n['’]t|['’](?:s|re|ve|ll|d|m))$", re.IGNORECASE)


@dataclass(frozen=True)
class Words:
    """The words of a caption. `nouns`, `verbs`: lower-case lemmas, each once, in order of appearance.

    word_count: None where the script writes no spaces between words. nouns, verbs: None where the caption's language
    has no tagger here; `why_no_words` says so.
    """

    word_count: int | None
    nouns: list[str] | None
    verbs: list[str] | None
    why_no_words: str | None = None


@dataclass(frozen=True)
class TaggedWord:
    """A noun or a content verb of a text. start, end: its characters in the text. lemma: lower-case."""

    start: int
    end: int
    lemma: str
    part: Literal["noun", "verb"]


@dataclass(frozen=True)
class _Tags:
    """A model of HanTa. nouns, verbs: how the tags of nouns and of content verbs begin.

    auxiliaries: lemmas that are no content verbs, where the tags do not tell.
    """

    model: str
    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    auxiliaries: frozenset[str] = frozenset()


_TAGS = {
    # VB, VH, VD and VM are be, have, do and the modals.
    "en": _Tags("morphmodel_en.pgz", ("NN", "NP"), ("VV",)),
    "de": _Tags("morphmodel_ger.pgz", ("NN", "NE"), ("VV",)),  # VA and VM are auxiliaries and modals
    "nl": _Tags(
        "morphmodel_dutch.pgz",
        ("N(",),
        ("WW(",),
        frozenset(("zijn", "hebben", "worden", "zullen", "kunnen", "mogen", "moeten", "willen", "doen")),
    ),
}


def nouns_and_verbs(caption: str) -> Words:
    """Counts the words of a caption, and lists its nouns and verbs by the grammar of its language.

    Nouns are common and proper nouns. Verbs are content verbs in any form, so "a person cooking" counts "cook";
    "be", "have" and "do" are left out, as are modals: in a caption they are nearly always auxiliaries ("is cooking",
    "has fallen"), and counted they would head every list. A participle that the model reads as an adjective ("fried
    rice") or a noun ("frying pan") is not a verb.

    Part of speech and lemma are those of HanTa's models of English, German and Dutch (Wartena 2019, "A Probabilistic
    Morphology Model for German Lemmatization"; tags of English are those of the British National Corpus, C5), which
    ship in its wheel. Captions in other languages have neither.
    """
    count = None if is_without_spaces(caption) else _count(caption)
    language = caption_language(caption)
    if language not in _TAGS:
        name = NAMES.get(language or "", language) or "an unknown language"
        return Words(count, None, None, f"there is no tagger for {name}")
    tagged = _tagged(caption, language)
    nouns = dict.fromkeys(word.lemma for word in tagged if word.part == "noun")
    verbs = dict.fromkeys(word.lemma for word in tagged if word.part == "verb")
    return Words(count, list(nouns), list(verbs))


def tagged_words(caption: str) -> list[TaggedWord]:
    """Returns the nouns and verbs of `nouns_and_verbs` where they stand, in order; none without a tagger."""
    language = caption_language(caption)
    return _tagged(caption, language) if language in _TAGS else []


def part_of(word: str) -> Literal["noun", "verb"] | None:
    """Returns what an English word is by itself, without the words around it: stays is a verb. None: neither."""
    if len(word) > MAX_WORD_CHARACTERS or not word.isascii():
        return None
    tags = _TAGS["en"]
    _, tag = _tagger(tags.model).analyze(word)
    return "noun" if tag.startswith(tags.nouns) else "verb" if tag.startswith(tags.verbs) else None


def _tagged(caption: str, language: str) -> list[TaggedWord]:
    tags = _TAGS[language]
    written = [
        part
        for token in _TOKEN.finditer(caption)
        if len(token[0]) <= MAX_WORD_CHARACTERS
        for part in (_split_clitic(token) if language == "en" else [(*token.span(), token[0])])
    ]
    if not written:
        return []
    tokens = [text for _, _, text in written]
    words = []
    for (start, end, _), (_, lemma, tag) in zip(written, _tagger(tags.model).tag_sent(tokens), strict=True):
        lemma_of_word = lemma.lower()
        if tag.startswith(tags.nouns) and _WORD.search(lemma):
            words.append(TaggedWord(start, end, lemma_of_word, "noun"))
        elif tag.startswith(tags.verbs) and lemma_of_word not in tags.auxiliaries:
            words.append(TaggedWord(start, end, lemma_of_word, "verb"))
    return words


def _count(caption: str) -> int:
    """Counts words. Vowel signs, of Hindi for instance, are no letters to `re`, and would divide them."""
    letters = "".join(letter for letter in caption if unicodedata.category(letter) not in ("Mn", "Mc"))
    return sum(bool(_WORD.search(token)) for token in _TOKEN.findall(letters))


def _split_clitic(token: re.Match[str]) -> list[tuple[int, int, str]]:
    """Returns the parts of a token: where each begins and ends, and how the model knows it."""
    match = _CLITIC.match(token[0])
    start, end = token.span()
    if match is None:
        return [(start, end, token[0])]
    between = start + match.end(1)
    return [(start, between, match[1]), (between, end, match[2].replace("’", "'"))]


@functools.cache
def _tagger(model: str) -> HanoverTagger:
    from HanTa import HanoverTagger

    return HanoverTagger.HanoverTagger(model)
