"""The Inception Score of Salimans et al. (2016): how sure a classifier is of each picture, and how much they differ."""

from __future__ import annotations

import numpy as np

SPLITS = 10  # of the published figures: the score is the mean over as many parts
MIN_PER_SPLIT = 100  # a score is at most the number of its pictures: with fewer in a part, the parts are not divided


class RunningInceptionScore:
    """Running sums of the probabilities of pictures, dealt out to SPLITS parts in turn. Score: at least 1."""

    def __init__(self) -> None:
        self.count = 0
        self._probabilities: np.ndarray | None = None  # [splits, classes], summed
        self._negative_entropy = np.zeros(SPLITS)
        self._counts = np.zeros(SPLITS, np.int64)

    def add(self, probabilities: np.ndarray) -> None:
        """probabilities: [n, classes]; each row sums to 1. Raises ValueError where one does not."""
        rows = np.asarray(probabilities, np.float64)
        if rows.ndim != 2 or (rows < 0).any() or not np.allclose(rows.sum(axis=1), 1, atol=1e-3):
            raise ValueError("these are no probabilities of classes: a row has to be positive and to sum to 1")
        if self._probabilities is None:
            self._probabilities = np.zeros((SPLITS, rows.shape[1]))
        parts = (self.count + np.arange(len(rows))) % SPLITS
        np.add.at(self._probabilities, parts, rows)
        np.add.at(self._negative_entropy, parts, _times_log(rows).sum(axis=1))
        np.add.at(self._counts, parts, 1)
        self.count += len(rows)

    @property
    def splits(self) -> int:
        """Number of parts that the score is the mean over."""
        return SPLITS if self.count >= SPLITS * MIN_PER_SPLIT else 1

    @property
    def score(self) -> float:
        """Raises ValueError where nothing was added."""
        if self._probabilities is None:
            raise ValueError("no picture was added")
        sums, entropies, counts = self._probabilities, self._negative_entropy, self._counts
        if self.splits == 1:
            sums, entropies, counts = (part.sum(axis=0, keepdims=True) for part in (sums, entropies, counts))
        marginal = _times_log(sums / counts[:, None]).sum(axis=1)
        return float(np.exp(entropies / counts - marginal).mean())


def _times_log(probabilities: np.ndarray) -> np.ndarray:
    """Returns p log p, which is 0 where p is 0."""
    return probabilities * np.log(np.where(probabilities > 0, probabilities, 1.0))
