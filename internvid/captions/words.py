"""Counts a caption's words, and lists its nouns and verbs in dictionary form.

Belongs here: counting and tagging words. Does not belong here: statistics of them, which the reports make (Table 3 and
Figure 5 of the InternVid paper count distinct nouns and verbs).
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from HanTa.HanoverTagger import HanoverTagger

# A word is letters or digits, with inner hyphens and apostrophes; the model expects punctuation as tokens of its own.
_TOKEN = re.compile(r"\w+(?:[-'’.]\w+)*|[^\w\s]")
_WORD = re.compile(r"\w")
# English writes "isn't" and "dog's" as one word; the model was trained on two tokens each and misreads one.
_CLITIC = re.compile(r"^(\w+?)(n['’]t|['’](?:s|re|ve|ll|d|m))$", re.IGNORECASE)


@dataclass(frozen=True)
class Words:
    """The words of a caption. `nouns`, `verbs`: lower-case lemmas, each once, in order of appearance."""

    word_count: int
    nouns: list[str]
    verbs: list[str]


def nouns_and_verbs(caption: str) -> Words:
    """Counts the words of an English caption, and lists its nouns and verbs.

    Nouns are common and proper nouns. Verbs are content verbs in any form, so "a person cooking" counts "cook";
    "be", "have" and "do" are left out, as are modals: in a caption they are nearly always auxiliaries ("is cooking",
    "has fallen"), and counted they would head every list. A participle that the model reads as an adjective ("fried
    rice") or a noun ("frying pan") is not a verb.

    Part of speech and lemma are those of HanTa's English model (Wartena 2019, "A Probabilistic Morphology Model for
    German Lemmatization"; tags are those of the British National Corpus, C5), which ships in its wheel.
    """
    written = _TOKEN.findall(caption)
    tokens = [part for token in written for part in _split_clitic(token)]
    nouns: dict[str, None] = {}
    verbs: dict[str, None] = {}
    for _, lemma, tag in _tagger().tag_sent(tokens) if tokens else []:
        if tag.startswith(("NN", "NP")) and _WORD.search(lemma):
            nouns[lemma.lower()] = None
        elif tag.startswith("VV"):  # VB, VH, VD and VM are be, have, do and the modals
            verbs[lemma.lower()] = None
    return Words(sum(bool(_WORD.search(token)) for token in written), list(nouns), list(verbs))


def _split_clitic(token: str) -> list[str]:
    match = _CLITIC.match(token)
    return [match[1], match[2].replace("’", "'")] if match else [token]


@functools.cache
def _tagger() -> HanoverTagger:
    from HanTa import HanoverTagger

    return HanoverTagger.HanoverTagger("morphmodel_en.pgz")
