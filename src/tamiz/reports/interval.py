"""Means with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

__all__ = ["CONFIDENCE", "Mean", "mean_of"]

CONFIDENCE: Final = 0.95
_RESAMPLES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of `n` repetitions, with the bounds of its interval; of a single one both are the value itself."""

    value: float
    low: float
    high: float
    n: int

    def apart(self, other: "Mean") -> bool:
        """Tell whether the intervals do not meet. Single values are never apart: nobody knows how they vary."""
        return min(self.n, other.n) > 1 and (self.low > other.high or self.high < other.low)


def mean_of(values: Sequence[float]) -> Mean | None:
    """Give the mean with its 95 % percentile bootstrap interval, or `None` of no values.

    The percentile interval of Efron (1979). The same values give the same one, in whatever order they come. Of few
    values it is too narrow: of five it holds the true mean of a normal distribution in some 84 of 100 cases, not in 95.
    """
    numbers = np.asarray(values, dtype=np.float64)
    found = np.sort(numbers[np.isfinite(numbers)])
    if not found.size:
        return None
    value = float(found.mean())
    if found.size == 1:
        return Mean(value, value, value, 1)
    draws = np.random.default_rng(2008).integers(0, found.size, (_RESAMPLES, found.size))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(found[draws].mean(axis=1), [tail, 100 - tail])
    return Mean(value, float(low), float(high), int(found.size))
