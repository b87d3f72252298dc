"""Ranks clips by what was asked: words of captions and speech, vectors, or all of these joined; within filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from resources.explorer.clip_index import ClipIndex
from resources.explorer.query_vectors import NoVectors, QueryVectors
from resources.explorer.spoken_words import ranked_by_words
from resources.lake.search import TERMS, ExampleVector, joined_scores, rank_like

RANKED = 500  # clips of a ranking that are shown
CANDIDATES = 2_000  # of each ranking, of which filters leave some
MAX_SEARCHED_WITHIN = 2_000  # where filters leave so few clips, only these are ranked, so that none is missed


@dataclass(frozen=True)
class Ranked:
    """numbers: of the clips, best first. candidates: of the clips that would be ranked without some of the filters, for
    counts. notes: what the reader of the ranking should know.
    """

    numbers: np.ndarray
    candidates: np.ndarray
    notes: list[str] = field(default_factory=list)

    def without(self, numbers: np.ndarray) -> Ranked:
        """Returns the ranking without these clips."""
        left, candidates = (each[~np.isin(each, numbers)] for each in (self.numbers, self.candidates))
        return Ranked(left, candidates, self.notes)


NOTHING = np.zeros(0, np.int64)

# Ranks clips: ids of at most so many, best first; only these clips, or all.
_Ranking = Callable[[int, Sequence[str] | None], list[str]]


def by_text(index: ClipIndex, vectors: QueryVectors, text: str, matching: np.ndarray, *, filtered: bool) -> Ranked:
    """Ranks by the words of captions and speech, and by the text's vector once the model is there.

    matching: [clips] bool, the clips that may be in the ranking. filtered: whether that is not all of them.
    """
    captions = index.view.dataset("clip_captions")
    notes: list[str] = []
    vector: np.ndarray | None = None
    weight = 0.0
    try:
        vector, weight = vectors.of_text(index.view, text)
    except NoVectors as reason:
        notes.append(f"By words alone: {reason}.")

    def ranked(limit: int, only: Sequence[str] | None) -> list[str]:
        rankings = [
            (1.0, ranked_by_words(captions, text, TERMS, limit, only)),
            (1.0, index.spoken.ranked(text, limit, only)),
        ]
        if vector is not None:
            rankings.append((weight, rank_like(index.view.dataset, [ExampleVector(vector)], limit, only)))
        return list(joined_scores(rankings))

    return _within(index, ranked, matching, filtered, notes)


def by_examples(index: ClipIndex, examples: Sequence[ExampleVector], matching: np.ndarray, *, filtered: bool) -> Ranked:
    """Ranks by nearness to vectors of one example. matching, filtered: as of `by_text`."""

    def ranked(limit: int, only: Sequence[str] | None) -> list[str]:
        return rank_like(index.view.dataset, examples, limit, only)

    return _within(index, ranked, matching, filtered, [])


def _within(index: ClipIndex, ranked: _Ranking, matching: np.ndarray, filtered: bool, notes: list[str]) -> Ranked:
    """Ranks within the filters: where they leave few clips only these, else the best candidates of all."""
    if not filtered:
        numbers = index.numbers_of(ranked(RANKED, None))[:RANKED]
        return Ranked(numbers, numbers, notes)
    left = np.flatnonzero(matching)
    if len(left) > MAX_SEARCHED_WITHIN:
        candidates = index.numbers_of(ranked(CANDIDATES, None))
        return Ranked(candidates[matching[candidates]], candidates, notes)
    candidates = index.numbers_of(ranked(RANKED, None))
    numbers = index.numbers_of(ranked(MAX_SEARCHED_WITHIN, index.ids_of(left))) if len(left) else NOTHING
    return Ranked(numbers, candidates, notes)
