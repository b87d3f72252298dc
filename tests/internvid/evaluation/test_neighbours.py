"""k-NN classification against a computation by hand, with ties between videos and between classes."""

import numpy as np
import pytest

from internvid.evaluation import neighbours
from internvid.evaluation.neighbours import neighbour_accuracy


def unit(vectors: np.ndarray) -> np.ndarray:
    array = np.asarray(vectors, np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def by_hand(train, train_labels, test, test_labels, classes, count, temperature) -> tuple[float, float]:
    """Video by video, in plain Python."""
    hits = {1: 0, 5: 0}
    for vector, label in zip(test, test_labels, strict=True):
        cosines = [float(np.float32(np.dot(vector.astype(float), other.astype(float)))) for other in train]
        last = sorted(cosines, reverse=True)[min(count, len(train)) - 1]
        scores = [0.0] * classes
        for cosine, train_label in zip(cosines, train_labels, strict=True):
            if cosine >= last:
                scores[train_label] += np.exp(cosine / temperature)
        rank = sum(np.float32(score) >= np.float32(scores[label]) for score in scores)
        hits = {k: hit + (rank <= k) for k, hit in hits.items()}
    return hits[1] / len(test), hits[5] / len(test)


@pytest.mark.parametrize("count", [1, 5, 20, 500])
def test_accuracies_are_those_of_a_computation_by_hand(monkeypatch, count):
    monkeypatch.setattr(neighbours, "VIDEOS_PER_BATCH", 7)
    rng = np.random.default_rng(3)
    train_labels, test_labels = rng.integers(0, 8, 120), rng.integers(0, 8, 40)
    centres = rng.normal(size=(8, 6))
    train = unit(centres[train_labels] + rng.normal(size=(120, 6)))
    test = unit(centres[test_labels] + rng.normal(size=(40, 6)))
    train[10:20] = train[0]  # equal vectors of several classes
    measured = neighbour_accuracy(train, train_labels, test, test_labels, classes=8, neighbours=count)
    assert (measured.top_1, measured.top_5) == by_hand(train, train_labels, test, test_labels, 8, count, 0.07)
    assert 0.2 < measured.top_1 < 1
    order = rng.permutation(120)
    assert (
        neighbour_accuracy(train[order], train_labels[order], test, test_labels, classes=8, neighbours=count)
        == measured
    )


def test_classes_that_tie_count_as_wrong_and_a_label_outside_them_is_refused():
    train = unit([[1, 0], [1, 0], [0, 1]])
    tied = neighbour_accuracy(train, np.array([0, 1, 2]), train[:1], np.array([0]), classes=3, neighbours=1)
    assert (tied.top_1, tied.top_5) == (0.0, 1.0)
    with pytest.raises(ValueError, match="beyond the 2 classes"):
        neighbour_accuracy(train, np.array([0, 1, 2]), train, np.array([0, 1, 2]), classes=2)
    with pytest.raises(ValueError, match="test part has 0 videos"):
        neighbour_accuracy(train, np.array([0, 1, 2]), train[:0], np.array([], int), classes=3)
