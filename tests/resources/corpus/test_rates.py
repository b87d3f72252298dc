"""Rates fitted to runs: what a run costs beside its units, and how well that is known."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from resources.corpus.estimate.rates import fitted


def test_a_start_is_told_from_units_by_runs_of_different_sizes() -> None:
    rate = fitted([1, 4, 10], [3.5, 5.0, 8.0])
    assert (rate.start, rate.each) == (pytest.approx(3), pytest.approx(0.5))
    assert rate.of(100, runs=2) == pytest.approx(2 * 3 + 50)
    assert rate.of(0, runs=2) == 0
    assert rate.is_of_one_size is False
    json.dumps(asdict(rate))  # numbers of Python, for the estimate is written as JSON


@pytest.mark.parametrize("amounts", [[5], [10, 10], [10, 12]])
def test_runs_of_one_size_tell_no_start(amounts: list[float]) -> None:
    rate = fitted(amounts, [amount * 0.5 for amount in amounts])
    assert (rate.start, rate.each, rate.is_of_one_size) == (0, pytest.approx(0.5), True)


def test_neither_a_start_nor_a_unit_costs_less_than_nothing() -> None:
    cheaper_in_large_runs = fitted([1, 10], [5.0, 4.0])
    assert (cheaper_in_large_runs.start, cheaper_in_large_runs.each) == (4.5, 0.0)
    dearer_in_large_runs = fitted([1, 10], [1.0, 21.0])
    assert (dearer_in_large_runs.start, dearer_in_large_runs.each) == (0.0, pytest.approx(2.0))


def test_the_error_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    for start in (0.0, 20.0):
        covered = 0
        for _ in range(400):
            amounts = random.uniform(10, 100, 6)
            costs = start + 2.0 * amounts + random.normal(0, 0.2 * np.sqrt(amounts))
            rate = fitted(amounts, costs)
            assert rate.relative_error is not None
            covered += abs(rate.each - 2.0) <= rate.relative_error * rate.each
        assert 0.90 <= covered / 400 <= 0.99


def test_few_runs_have_a_wide_error_or_none() -> None:
    assert fitted([10], [5.0]).relative_error is None
    assert fitted([10, 20], [7.0, 9.0]).relative_error is None  # a line through two points
    two = fitted([10, 10], [4.9, 5.1]).relative_error
    five = fitted([10] * 5, [4.9, 5.1, 4.9, 5.1, 5.0]).relative_error
    assert two is not None
    assert five is not None
    assert two > 5 * five


def test_a_run_that_worked_on_nothing_is_no_run() -> None:
    for amounts in ([], [0.0], [1.0, 0.0]):
        with pytest.raises(ValueError, match="worked on something"):
            fitted(amounts, [1.0] * len(amounts))
