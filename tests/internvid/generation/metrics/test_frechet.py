"""The Fréchet distance and the Inception Score in parts, against whole computations by other ways."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from internvid.generation.metrics.frechet import RunningGaussian, frechet_distance
from internvid.generation.metrics.inception_score import RunningInceptionScore


def in_parts(vectors: np.ndarray, *sizes: int) -> RunningGaussian:
    running = RunningGaussian()
    for part in np.split(vectors, np.cumsum(sizes)):
        running.add(part)
    return running


def features(count: int, width: int, seed: int) -> np.ndarray:
    """Correlated, not centred, of different spread, and in float32 as networks give them."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, width)) @ rng.normal(size=(width, width))
    return (mixed * rng.uniform(0.1, 3, width) + rng.normal(size=width) * 5).astype(np.float32)


def by_scipy(left: np.ndarray, right: np.ndarray) -> float:
    left, right = left.astype(np.float64), right.astype(np.float64)
    covariances = np.cov(left, rowvar=False), np.cov(right, rowvar=False)
    root = sqrtm(covariances[0] @ covariances[1]).real
    between = left.mean(0) - right.mean(0)
    return float(between @ between + np.trace(covariances[0] + covariances[1] - 2 * root))


@pytest.mark.parametrize("width", [1, 7, 40])
def test_the_distance_is_that_of_an_independent_computation(width):
    left, right = features(300, width, 1), features(211, width, 2)
    expected = by_scipy(left, right) if width > 1 else _of_one_dimension(left, right)
    assert frechet_distance(in_parts(left, 1, 99, 0, 150), in_parts(right, 200)) == pytest.approx(expected, rel=1e-6)


def _of_one_dimension(left: np.ndarray, right: np.ndarray) -> float:
    """For which there is a formula without matrices."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    return (left.mean() - right.mean()) ** 2 + (left.std(ddof=1) - right.std(ddof=1)) ** 2


def test_fewer_vectors_than_dimensions_have_a_distance_too():
    left, right = features(9, 30, 1), features(12, 30, 2)
    product = np.cov(left, rowvar=False) @ np.cov(right, rowvar=False)
    root = np.sqrt(np.linalg.eigvals(product).real.clip(min=0)).sum()
    between = left.mean(0).astype(np.float64) - right.mean(0)
    traces = sum(np.trace(np.cov(part, rowvar=False)) for part in (left, right))
    distance = frechet_distance(in_parts(left, 4), in_parts(right, 5))
    assert distance == pytest.approx(float(between @ between + traces - 2 * root), rel=1e-4)
    assert frechet_distance(in_parts(left, 4), in_parts(left, 2)) == pytest.approx(0, abs=1e-4)


def test_one_vector_other_widths_and_broken_networks_are_refused():
    with pytest.raises(ValueError, match="at least 2"):
        frechet_distance(in_parts(features(1, 3, 0)), in_parts(features(5, 3, 0)))
    with pytest.raises(ValueError, match="no distance"):
        frechet_distance(in_parts(features(5, 4, 0)), in_parts(features(5, 3, 0)))
    with pytest.raises(ValueError, match="width 3"):
        in_parts(features(5, 3, 0)).add(features(5, 4, 0))
    with pytest.raises(ValueError, match="not finite"):
        in_parts(np.array([[np.nan, 1.0]]))


def probabilities(count: int, seed: int) -> np.ndarray:
    raised = np.exp(np.random.default_rng(seed).normal(size=(count, 6)) * 3)
    return raised / raised.sum(axis=1, keepdims=True)


def score(rows: np.ndarray) -> float:
    return float(np.exp((rows * (np.log(rows) - np.log(rows.mean(0)))).sum(1).mean()))


def test_the_inception_score_of_parts_is_that_of_all_at_once():
    few, many = probabilities(130, 0), probabilities(2_000, 1)
    running = RunningInceptionScore()
    for part in np.array_split(few, 7):
        running.add(part)
    assert (running.splits, running.count) == (1, 130)
    assert running.score == pytest.approx(score(few))
    running = RunningInceptionScore()
    for part in np.array_split(many, 13):
        running.add(part)
    assert running.splits == 10
    assert running.score == pytest.approx(np.mean([score(many[split::10]) for split in range(10)]))


def test_an_inception_score_is_one_for_equal_pictures_and_the_classes_for_sure_ones():
    running = RunningInceptionScore()
    running.add(np.tile([[0.2, 0.8]], (5, 1)))
    assert running.score == pytest.approx(1)
    running = RunningInceptionScore()
    running.add(np.eye(4))
    assert running.score == pytest.approx(4)
    with pytest.raises(ValueError, match="sum to 1"):
        running.add(np.ones((1, 4)))
