"""The distribution of millions of values in a few kilobytes."""

import math
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["RESOLUTION", "Spread"]

RESOLUTION: Final = 0.01
"""Values that differ by less than this share of themselves may fall together."""
_STEP: Final = math.log1p(RESOLUTION)
_LEAST: Final = 1e-4
"""Everything below it falls together."""
_BINS: Final = int(math.log(1e12 / _LEAST) / _STEP) + 2

Floats = NDArray[np.float64]


class Spread:
    """Counts of values in bins of which each is 1 % wider than the one before; a quantile is exact to 1 %.

    Values are 0 or more, up to 1e12; what is not a number is left out, what is below 0 counts as 0.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, dtype=np.int64)
        self.least = math.inf
        self.largest = -math.inf

    def add(self, values: Floats) -> None:
        """Take values in."""
        values = values[np.isfinite(values)]
        if not values.size:
            return
        values = np.maximum(values, 0.0)
        self.least = min(self.least, float(values.min()))
        self.largest = max(self.largest, float(values.max()))
        bins = np.ceil(np.log(np.maximum(values, _LEAST) / _LEAST) / _STEP).astype(np.int64)
        self._counts += np.bincount(np.minimum(bins, _BINS - 1), minlength=_BINS)

    def __len__(self) -> int:
        return int(self._counts.sum())

    def quantile(self, q: float) -> float:
        """Give the smallest value that at least the share `q` of all do not exceed (nearest rank)."""
        rank = max(1, math.ceil(q * len(self)))
        found = int(np.searchsorted(np.cumsum(self._counts), rank))
        return min(max(_LEAST * math.exp(found * _STEP), self.least), self.largest)

    def cumulative(self) -> tuple[Floats, Floats]:
        """Give the steps of the cumulative distribution: values, and the share that does not exceed each."""
        filled = np.flatnonzero(self._counts)
        values = np.clip(_LEAST * np.exp(filled * _STEP), self.least, self.largest)
        return values, np.cumsum(self._counts[filled]) / len(self)

    def merged(self, other: Self) -> "Spread":
        """Give the distribution of both together."""
        both = Spread()
        both._counts = self._counts + other._counts
        both.least, both.largest = min(self.least, other.least), max(self.largest, other.largest)
        return both
