"""Splits texts that are too long for a model into parts that fit. No text is lost or duplicated."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TypeVar

Piece = TypeVar("Piece")


def split_into_runs(pieces: Sequence[Piece], fits: Callable[[Sequence[Piece]], bool]) -> list[list[Piece]]:
    """Groups the pieces, in their order, into runs that fit, each as long as possible.

    fits: if it is true for a run, it must be true for a shorter one. Raises ValueError if a single piece does not fit.
    """
    runs = []
    remaining = list(pieces)
    while remaining:
        # Binary search instead of one call for each piece: a call tokenises a whole prompt.
        length = (
            len(remaining)
            if fits(remaining)
            else bisect_left(range(len(remaining)), True, key=lambda index: not fits(remaining[: index + 1]))
        )
        if length == 0:
            raise ValueError(f"this does not fit by itself: {remaining[0]!r:.100}")
        runs.append(remaining[:length])
        remaining = remaining[length:]
    return runs


def split_text(text: str, fits: Callable[[str], bool], language: str = "en") -> list[str]:
    """Splits a text into as few parts as possible: between sentences, else between words, else between characters.

    language: ISO 639-1 code. Raises ValueError if a single character does not fit.
    """
    if fits(text):
        return [text]
    pieces = [piece for sentence in sentences(text, language) for piece in _fitting(sentence, fits)]
    runs = split_into_runs(pieces, lambda run: fits("".join(run).strip()))
    return [part for run in runs if (part := "".join(run).strip())]


def sentences(text: str, language: str) -> list[str]:
    """Returns the text's sentences with the spaces after them; joined, they are the text. language: ISO 639-1 code."""
    from sentencex import segment

    return list(segment(language, text))


def _fitting(sentence: str, fits: Callable[[str], bool]) -> list[str]:
    """Returns the sentence if it fits, else its words; words that do not fit are split into characters."""
    if fits(sentence.strip()):
        return [sentence]
    words = re.findall(r"\s*\S+\s*", sentence)
    return [piece for word in words for piece in ([word] if fits(word.strip()) else list(word))]
