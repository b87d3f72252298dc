"""A linear probe: how well the classes of labelled videos are told apart by a plane in the frozen vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from internvid.evaluation.classification import Accuracy, accuracy, ranks_of_labels

# C, the inverse of the L2 penalty: each is tried, the best on the held-out part is taken.
STRENGTHS = tuple(10.0**power for power in range(-4, 5))
HELD_OUT = 0.2
STEPS = 200  # of LBFGS, for each C; it starts from the one before


@dataclass(frozen=True)
class Probe:
    """accuracy: on the test part. strength: the chosen C. held_out: C -> top-1 on the held-out part of train."""

    accuracy: Accuracy
    strength: float
    held_out: dict[float, float]


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
    """Logistic regression on the train part, with C chosen on a held-out fifth of it, measured on the test part.

    train, test: [videos, d] float32, as the model gives them; each column is brought to mean 0 and deviation 1 of the
    train part. labels: [videos] int, 0 to classes - 1. The loss is the sum of cross-entropies times C, plus half the
    squared norm of the weights (not of the biases). Of several C that do equally well on the held-out part the smallest
    is taken; where classes are too small to hold anything out, the middle one of all.
    Raises ValueError where a part is empty, or a label is none of the classes.
    """
    for what, vectors, labels in (("train", train, train_labels), ("test", test, test_labels)):
        if len(vectors) == 0 or len(vectors) != len(labels):
            raise ValueError(f"the {what} part has {len(vectors)} videos and {len(labels)} labels")
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"labels of the {what} part lie beyond the {classes} classes")
    y = torch.as_tensor(np.asarray(train_labels, np.int64), device=device)
    fitted_on, held = _split(np.asarray(train_labels), seed)
    held_out: dict[float, float] = {}
    if len(held) and len(strengths) > 1:
        scale = _Scale(train[fitted_on], device)
        x = scale(train[fitted_on])
        model: Tensor | None = None
        for strength in sorted(strengths):
            model = _fit(x, y[fitted_on], classes, strength, start=model)
            scores = _scores(scale(train[held]), model)
            held_out[strength] = accuracy(ranks_of_labels(scores, train_labels[held]), classes=classes).top_1
    chosen = (
        max(held_out, key=lambda strength: held_out[strength]) if held_out else sorted(strengths)[len(strengths) // 2]
    )
    scale = _Scale(train, device)
    scores = _scores(scale(test), _fit(scale(train), y, classes, chosen))
    return Probe(accuracy(ranks_of_labels(scores, test_labels), classes=classes), chosen, held_out)


class _Scale:
    """Brings columns to the mean 0 and deviation 1 of the vectors it was made from."""

    def __init__(self, vectors: np.ndarray, device: str) -> None:
        x = torch.as_tensor(vectors, device=device).double()
        self._mean, deviation = x.mean(0), x.std(0, correction=0)
        self._deviation = deviation.where(deviation > 1e-12, 1.0)  # a constant column says nothing

    def __call__(self, vectors: np.ndarray) -> Tensor:
        x = torch.as_tensor(vectors, device=self._mean.device).double()
        return ((x - self._mean) / self._deviation).float()


def _split(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions to fit on and positions held out: of each class a fifth, rounded down where only one would remain."""
    rng = np.random.default_rng(seed)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        positions = rng.permutation(np.flatnonzero(labels == label))
        held[positions[: min(round(HELD_OUT * len(positions)), len(positions) - 1)]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _fit(x: Tensor, y: Tensor, classes: int, strength: float, *, start: Tensor | None = None) -> Tensor:
    """[d + 1, classes] weights, the last row the biases, that minimise the regularised loss (which is convex)."""
    model = torch.zeros(x.shape[1] + 1, classes, device=x.device) if start is None else start.clone()
    model.requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [model], max_iter=STEPS, tolerance_grad=1e-6, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        # Divided by C and the number of videos: the same minimum, at a size that suits the tolerances.
        value = cross_entropy(x @ model[:-1] + model[-1], y) + model[:-1].square().sum() / (2 * strength * len(x))
        value.backward()
        return value

    optimiser.step(loss)  # type: ignore[arg-type]  # a closure may return a tensor
    return model.detach()


def _scores(x: Tensor, model: Tensor) -> np.ndarray:
    return (x @ model[:-1] + model[-1]).double().cpu().numpy()
