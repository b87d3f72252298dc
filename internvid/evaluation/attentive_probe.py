"""An attentive probe: a classifier that attends to several frozen vectors of a video with a learnt query."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from internvid.evaluation.classification import Accuracy, accuracy, ranks_of_labels

EPOCHS = 40
MIN_STEPS = 1000  # for small train parts
BATCH = 256
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01
HEADS = 4


class AttentivePool(nn.Module):
    """Scores classes from tokens, [b, k, w]: one learnt query attends to them, and a linear map follows."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.heads = HEADS if width % HEADS == 0 else 1
        self.query = nn.Parameter(torch.randn(width) * width**-0.5)
        self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.scores = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        key, value = (
            part(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (self.key, self.value)
        )  # [b, heads, k, w / heads]
        query = self.query.unflatten(0, (self.heads, 1, -1)).expand(len(tokens), -1, -1, -1)
        pooled = functional.scaled_dot_product_attention(query, key, value).flatten(1)  # [b, w]
        return self.scores(self.norm(pooled))


def attentive_probe(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    *,
    classes: int,
    seed: int = 0,
    epochs: int | None = None,
) -> Accuracy:
    """Trains the classifier on the train part's tokens, and returns its accuracy on the test part.

    train, test: [videos, tokens, w], any float type; columns are standardised by the mean and deviation of the
    train part, and only the rows of a batch are read at once. labels: [videos] int, 0 to classes - 1. epochs: None:
    EPOCHS, or as many as give MIN_STEPS. Raises ValueError if a part is empty, or a label is not below classes.
    """
    for part, tokens, labels in (("train", train, train_labels), ("test", test, test_labels)):
        if len(tokens) == 0 or len(tokens) != len(labels):
            raise ValueError(f"the {part} part has {len(tokens)} videos and {len(labels)} labels")
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"labels of the {part} part lie beyond the {classes} classes")
    mean, deviation = _moments(train)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AttentivePool(train.shape[2], classes)
    batches = -(-len(train) // BATCH)
    epochs = epochs or max(EPOCHS, -(-MIN_STEPS // batches))
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * batches)
    targets = torch.as_tensor(np.asarray(train_labels, np.int64))
    for _ in range(epochs):
        for rows in torch.randperm(len(train), generator=generator).split(BATCH):
            optimiser.zero_grad()
            scores = model(_standardised(train[rows.numpy()], mean, deviation))
            functional.cross_entropy(scores, targets[rows]).backward()
            optimiser.step()
            schedule.step()
    model.eval()
    with torch.inference_mode():
        parts = [
            model(_standardised(test[start : start + BATCH], mean, deviation)) for start in range(0, len(test), BATCH)
        ]
    return accuracy(ranks_of_labels(torch.cat(parts).double().numpy(), test_labels), classes=classes)


def _moments(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and deviation of each column over videos and tokens, [w] float32; in parts, for tokens are many."""
    total = np.zeros(tokens.shape[2])
    squares = np.zeros(tokens.shape[2])
    for start in range(0, len(tokens), BATCH):
        part = tokens[start : start + BATCH].astype(np.float64).reshape(-1, tokens.shape[2])
        total += part.sum(0)
        squares += (part**2).sum(0)
    count = tokens.shape[0] * tokens.shape[1]
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean.astype(np.float32), np.where(deviation > 1e-6, deviation, 1).astype(np.float32)


def _standardised(tokens: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> Tensor:
    return torch.from_numpy((tokens.astype(np.float32) - mean) / deviation)
