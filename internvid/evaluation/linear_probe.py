"""A linear probe: accuracy of a linear classifier trained on frozen video vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from internvid.evaluation.classification import Accuracy, accuracy, ranks_of_labels

# C, the inverse of the L2 penalty: the best one on the held-out part is used.
STRENGTHS = tuple(10.0**power for power in range(-4, 5))
HELD_OUT = 0.2
STEPS = 200  # of LBFGS, for each C; starts from the solution of the previous C


@dataclass(frozen=True)
class Probe:
    """accuracy: on the test part. strength: the chosen C. held_out_top_1: C -> top-1 on the held-out part of train."""

    accuracy: Accuracy
    strength: float
    held_out_top_1: dict[float, float]


def linear_probe(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    *,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 0,
    device: str = "cpu",
) -> Probe:
    """Fits logistic regression on the train part, with C chosen on a held-out fifth of it, and tests it.

    train, test: [videos, d] float32; columns are standardised by the mean and deviation of the train part.
    labels: [videos] int, 0 to classes - 1. The loss is the sum of cross-entropies times C, plus half the squared norm
    of the weights (without the biases). Among equally good C the smallest is chosen; if classes are too small for a
    held-out part, the middle one of `strengths`.
    Raises ValueError if a part is empty, or a label is not below `classes`.
    """
    for part, vectors, labels in (("train", train, train_labels), ("test", test, test_labels)):
        if len(vectors) == 0 or len(vectors) != len(labels):
            raise ValueError(f"the {part} part has {len(vectors)} videos and {len(labels)} labels")
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"labels of the {part} part lie beyond the {classes} classes")
    y = torch.as_tensor(np.asarray(train_labels, np.int64), device=device)
    fit_positions, held_out_positions = _split(np.asarray(train_labels), seed)
    held_out_top_1: dict[float, float] = {}
    if len(held_out_positions) and len(strengths) > 1:
        scale = _Scale(train[fit_positions], device)
        x = scale(train[fit_positions])
        model: Tensor | None = None
        for strength in sorted(strengths):
            model = _fit(x, y[fit_positions], classes, strength, start=model)
            scores = _scores(scale(train[held_out_positions]), model)
            held_out_top_1[strength] = accuracy(
                ranks_of_labels(scores, train_labels[held_out_positions]), classes=classes
            ).top_1
    best_strength = (
        max(held_out_top_1, key=lambda strength: held_out_top_1[strength])
        if held_out_top_1
        else sorted(strengths)[len(strengths) // 2]
    )
    scale = _Scale(train, device)
    scores = _scores(scale(test), _fit(scale(train), y, classes, best_strength))
    return Probe(accuracy(ranks_of_labels(scores, test_labels), classes=classes), best_strength, held_out_top_1)


class _Scale:
    """Standardises columns by the mean and the deviation of the vectors that it was created with."""

    def __init__(self, vectors: np.ndarray, device: str) -> None:
        x = torch.as_tensor(vectors, device=device).double()
        self._mean, deviation = x.mean(0), x.std(0, correction=0)
        self._deviation = deviation.where(deviation > 1e-12, 1.0)  # a constant column has no information

    def __call__(self, vectors: np.ndarray) -> Tensor:
        x = torch.as_tensor(vectors, device=self._mean.device).double()
        return ((x - self._mean) / self._deviation).float()


def _split(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns positions to fit on and held-out positions: a fifth of each class, but never all of a class."""
    rng = np.random.default_rng(seed)
    is_held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        positions = rng.permutation(np.flatnonzero(labels == label))
        is_held_out[positions[: min(round(HELD_OUT * len(positions)), len(positions) - 1)]] = True
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _fit(x: Tensor, y: Tensor, classes: int, strength: float, *, start: Tensor | None = None) -> Tensor:
    """Minimises the regularised loss, which is convex. Returns weights [d + 1, classes]; the last row is the biases."""
    model = torch.zeros(x.shape[1] + 1, classes, device=x.device) if start is None else start.clone()
    model.requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [model], max_iter=STEPS, tolerance_grad=1e-6, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        # Divided by C and the number of videos: the same minimum, at a scale that suits the tolerances.
        value = cross_entropy(x @ model[:-1] + model[-1], y) + model[:-1].square().sum() / (2 * strength * len(x))
        value.backward()
        return value

    optimiser.step(loss)  # type: ignore[arg-type]  # a closure may return a tensor
    return model.detach()


def _scores(x: Tensor, model: Tensor) -> np.ndarray:
    return (x @ model[:-1] + model[-1]).double().cpu().numpy()
