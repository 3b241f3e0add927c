"""How sure a mean is: bootstrap confidence intervals."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

__all__ = ["CONFIDENCE", "Interval", "bootstrap"]

CONFIDENCE: Final = 0.95
_RESAMPLES: Final = 2_000


class Interval(msgspec.Struct, frozen=True):
    """A mean with the bounds of its interval, of `n` values; `None` bounds where a single value has none."""

    mean: float
    low: float | None
    high: float | None
    n: int


def bootstrap(values: Sequence[float], seed: int = 0) -> Interval | None:
    """Give the mean of some values with its percentile bootstrap interval (Efron 1979), or `None` of none.

    The same values give the same interval. Of few values it is too narrow: of five it holds the true mean of a normal
    distribution in some 84 of 100 cases, not in 95.
    """
    found = np.asarray(values, dtype=float)
    if not found.size:
        return None
    if found.size == 1:
        return Interval(float(found[0]), None, None, 1)
    draws = np.random.default_rng(seed).integers(0, found.size, (_RESAMPLES, found.size))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(np.sort(found)[draws].mean(axis=1), [tail, 100 - tail])
    return Interval(float(found.mean()), float(low), float(high), int(found.size))
