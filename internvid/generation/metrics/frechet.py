"""The Fréchet distance between two sets of vectors, each described by its mean and covariance, in bounded memory.

It is our own: `torch-fidelity` needs torchvision and loads weights of its own, and `torchmetrics` needs torch-fidelity.
"""

from __future__ import annotations

import numpy as np


class RunningGaussian:
    """The number, mean and covariance of vectors that are added in parts; memory grows with their width alone."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = np.zeros(0)
        self._scatter = np.zeros((0, 0))  # sum of the outer products of deviations from the mean

    def add(self, vectors: np.ndarray) -> None:
        """vectors: [n, width]. Raises ValueError for another width than before, and for values that are not finite."""
        rows = np.asarray(vectors, np.float64)
        if rows.ndim != 2 or (self.count and rows.shape[1] != len(self.mean)):
            raise ValueError(f"vectors of shape {rows.shape} were added to vectors of width {len(self.mean)}")
        if not np.isfinite(rows).all():
            raise ValueError("a vector has values that are not finite: the network or its weights are broken")
        if not len(rows):
            return
        mean = rows.mean(axis=0)
        deviations = rows - mean
        scatter = deviations.T @ deviations
        if not self.count:
            self.count, self.mean, self._scatter = len(rows), mean, scatter
            return
        total = self.count + len(rows)
        between = mean - self.mean
        self._scatter += scatter + np.outer(between, between) * (self.count * len(rows) / total)
        self.mean = self.mean + between * (len(rows) / total)
        self.count = total

    @property
    def covariance(self) -> np.ndarray:
        """[width, width] float64, divided by the count less one. Raises ValueError for fewer than two vectors."""
        if self.count < 2:
            raise ValueError(f"{self.count} vectors have no covariance: at least 2 are needed")
        return self._scatter / (self.count - 1)


def frechet_distance(left: RunningGaussian, right: RunningGaussian) -> float:
    """Returns the squared Fréchet distance of the two normal distributions: |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½).

    The trace of the root is that of (C1^½ C2 C1^½)^½, which is symmetric: its eigenvalues are real, also where there
    are fewer vectors than dimensions. Raises ValueError for sets of different width, or of fewer than two vectors.
    """
    if left.mean.shape != right.mean.shape:
        raise ValueError(f"vectors of width {len(left.mean)} have no distance to vectors of width {len(right.mean)}")
    values, vectors = np.linalg.eigh(left.covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    of_product = np.linalg.eigvalsh(root @ right.covariance @ root).clip(min=0)
    between = left.mean - right.mean
    traces = np.trace(left.covariance) + np.trace(right.covariance)
    return float(between @ between + traces - 2 * np.sqrt(of_product).sum())
