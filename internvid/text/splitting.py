"""What is too long for a model to read at once, in parts that are not: nothing is cut off, nothing said twice."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TypeVar

Piece = TypeVar("Piece")


def in_runs(pieces: Sequence[Piece], fits: Callable[[Sequence[Piece]], bool]) -> list[list[Piece]]:
    """The pieces in their order as runs that fit, each as long as it can be.

    A shorter run must fit where a longer one does. Raises ValueError where a piece by itself does not fit.
    """
    runs = []
    rest = list(pieces)
    while rest:
        # Few looks instead of one for each piece: a look makes and counts the tokens of a whole prompt.
        length = (
            len(rest) if fits(rest) else bisect_left(range(len(rest)), True, key=lambda at: not fits(rest[: at + 1]))
        )
        if length == 0:
            raise ValueError(f"this does not fit by itself: {rest[0]!r:.100}")
        runs.append(rest[:length])
        rest = rest[length:]
    return runs


def text_in_parts(text: str, fits: Callable[[str], bool], language: str = "en") -> list[str]:
    """The text in as few parts as fit: split at the ends of sentences, where a sentence does not fit between words,
    and where a word does not, within it.

    language: ISO 639-1 code. Raises ValueError where not even one character fits.
    """
    if fits(text):
        return [text]
    pieces = [piece for sentence in sentences(text, language) for piece in _fitting(sentence, fits)]
    runs = in_runs(pieces, lambda run: fits("".join(run).strip()))
    return [part for run in runs if (part := "".join(run).strip())]


def sentences(text: str, language: str) -> list[str]:
    """The text's sentences with the spaces after them: joined they are the text. language: ISO 639-1 code."""
    from sentencex import segment

    return list(segment(language, text))


def _fitting(sentence: str, fits: Callable[[str], bool]) -> list[str]:
    """The sentence, or its words, or of words that do not fit the characters."""
    if fits(sentence.strip()):
        return [sentence]
    words = re.findall(r"\s*\S+\s*", sentence)
    return [piece for word in words for piece in ([word] if fits(word.strip()) else list(word))]
