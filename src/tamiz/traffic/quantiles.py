"""Quantiles of many durations in little memory."""

import math
from typing import Final

__all__ = ["Quantiles"]

_GROWTH: Final = 1.01
_SCALE: Final = 1 / math.log(_GROWTH)
_LEAST: Final = 1e-6
"""Seconds; what is shorter counts as 0."""


class Quantiles:
    """Counts durations in buckets each 1 % wider than the one before, so that a quantile is true to 1 %.

    Memory is some 3,000 buckets at most, from a microsecond to a year.
    """

    def __init__(self) -> None:
        self.count = 0
        self.largest = 0.0
        self._buckets: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        """Count a duration; a negative one counts as 0."""
        bucket = int(math.log(seconds / _LEAST) * _SCALE) + 1 if seconds >= _LEAST else 0
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.largest = max(self.largest, seconds)

    def include(self, other: "Quantiles") -> None:
        """Count what the other one has counted, too."""
        for bucket, count in other._buckets.items():  # noqa: SLF001 - of its own kind
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.count += other.count
        self.largest = max(self.largest, other.largest)

    def quantile(self, share: float) -> float | None:
        """Give the least value that `share` of the durations do not exceed, to 1 %; `None` where there are none."""
        wanted = math.ceil(share * self.count)
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                middle = _LEAST * _GROWTH ** (bucket - 0.5) if bucket else 0.0
                return min(middle, self.largest)
        return None
