"""k-NN classification: how often the nearest train vectors of a video have its class."""

from __future__ import annotations

import numpy as np
import torch

from internvid.evaluation.classification import Accuracy, accuracy, ranks_of_labels

NEIGHBOURS = 20
TEMPERATURE = 0.07  # with 20 neighbours, as arXiv 2104.14294 (DINO) measures frozen vectors
VIDEOS_PER_BATCH = 256


def neighbour_accuracy(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    *,
    classes: int,
    neighbours: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> Accuracy:
    """Returns the accuracy of the class that most of the nearest train vectors have, by exp(cosine / temperature).

    train, test: [videos, d] float32, L2-normalised. labels: [videos] int, 0 to classes - 1. Vectors as near as the
    last neighbour vote too, so the order of the train vectors has no effect; ties between classes count as wrong.
    Raises ValueError if a part is empty, or a train label is not below `classes`.
    """
    for part, vectors, labels in (("train", train, train_labels), ("test", test, test_labels)):
        if len(vectors) == 0 or len(vectors) != len(labels):
            raise ValueError(f"the {part} part has {len(vectors)} videos and {len(labels)} labels")
    if np.min(train_labels) < 0 or np.max(train_labels) >= classes:
        raise ValueError(f"labels of the train part lie beyond the {classes} classes")
    known = torch.as_tensor(train).double()
    label_of = torch.as_tensor(np.asarray(train_labels, np.int64))
    ranks = []
    for start in range(0, len(test), VIDEOS_PER_BATCH):
        batch = torch.as_tensor(test[start : start + VIDEOS_PER_BATCH]).double()
        cosines = (batch @ known.T).float()  # rounded, so that equal vectors are equally near
        last = cosines.topk(min(neighbours, len(known)), dim=1).values[:, -1:]
        votes = (cosines.double() / temperature).exp() * (cosines >= last)
        scores = torch.zeros(len(batch), classes, dtype=torch.float64).index_add_(1, label_of, votes)
        ranks.append(ranks_of_labels(scores.numpy(), test_labels[start : start + VIDEOS_PER_BATCH]))
    return accuracy(np.concatenate(ranks), classes=classes)
