"""Rates: what one unit costs, and what each run costs beside its units, fitted to the recorded runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_RATIO_OF_SIZES = 1.5  # of the largest to the smallest run: below it, a start cannot be told from the units
# Quantiles of Student's distribution for intervals of 95 %, by degrees of freedom.
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
STUDENT_OF_MANY = 2.0


@dataclass(frozen=True)
class Rate:
    """Cost as start + each * amount.

    start: of a run. each: of a unit of the amount. runs, amount: what was measured. lowest, highest: cost of a unit in
    the cheapest and the dearest run. relative_error: half the interval of 95 % around `each`, as a share of it; None
    where there are too few runs to know. is_of_one_size: whether all runs were of about the same size, so that a start
    is not told from the units.
    """

    start: float
    each: float
    runs: int
    amount: float
    lowest: float
    highest: float
    relative_error: float | None
    is_of_one_size: bool

    def of(self, amount: float, runs: float) -> float:
        """Returns the cost of an amount that is worked on in so many runs."""
        return (self.start * runs if amount else 0.0) + self.each * amount


def fitted(amounts: Sequence[float], costs: Sequence[float]) -> Rate:
    """Fits a rate to runs of these amounts and costs, by least squares with weights of 1 / amount.

    The variance of a sum of units grows with their number, so that is their weight; through the origin it gives the sum
    of the costs over the sum of the amounts. Neither the start nor the cost of a unit is negative. Raises ValueError
    where there is no run, or an amount that is not positive.
    """
    x, y = np.asarray(amounts, float), np.asarray(costs, float)
    if not len(x) or (x <= 0).any():
        raise ValueError("a rate is fitted to runs that worked on something")
    is_of_one_size = len(x) < 2 or bool(x.max() < MIN_RATIO_OF_SIZES * x.min())
    start, each, parameters = 0.0, float(y.sum() / x.sum()), 1
    if not is_of_one_size:
        weights = 1 / x
        x_mean, y_mean = np.average(x, weights=weights), np.average(y, weights=weights)
        slope = float((weights * (x - x_mean) * (y - y_mean)).sum() / (weights * (x - x_mean) ** 2).sum())
        intercept = float(y_mean - slope * x_mean)
        if slope < 0:
            start, each = float(y.mean()), 0.0
        elif intercept > 0:
            start, each, parameters = intercept, slope, 2
    of_unit = np.maximum(0.0, y - start) / x
    return Rate(
        start,
        each,
        len(x),
        float(x.sum()),
        float(of_unit.min()),
        float(of_unit.max()),
        _relative_error(x, y, start, each, parameters),
        is_of_one_size,
    )


def _relative_error(x: np.ndarray, y: np.ndarray, start: float, each: float, parameters: int) -> float | None:
    freedom = len(x) - parameters
    if freedom < 1 or not each:
        return None
    variance = ((y - start - each * x) ** 2 / x).sum() / freedom
    spread_of_sizes = x.sum() if parameters == 1 else ((x - len(x) / (1 / x).sum()) ** 2 / x).sum()
    quantile = STUDENT[freedom - 1] if freedom <= len(STUDENT) else STUDENT_OF_MANY
    return float(quantile * np.sqrt(variance / spread_of_sizes) / each)
