"""Events over time, in a bounded number of bins however long it was."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["BINS", "Timeline"]

BINS: Final = 120
"""At most so many bins."""
_NARROWEST: Final = 0.05

Floats = NDArray[np.float64]


class Timeline:
    """Counts of events by kind; when they no longer fit, bins are joined in pairs.

    Times are seconds from the start; what is before it counts as the start.
    """

    def __init__(self) -> None:
        self.width = _NARROWEST
        """Of a bin, in seconds."""
        self.last = 0.0
        """The latest time seen."""
        self._counts: dict[str, NDArray[np.int64]] = {}

    def add(self, kind: str, times: Floats) -> None:
        """Take events of a kind in."""
        times = times[np.isfinite(times)]
        if not times.size:
            return
        times = np.maximum(times, 0.0)
        self.last = max(self.last, float(times.max()))
        while self.last >= self.width * BINS:
            self.width *= 2
            self._counts = {name: counts.reshape(-1, 2).sum(axis=1) for name, counts in self._padded().items()}
        bins = (times / self.width).astype(np.int64)
        counted = np.bincount(bins, minlength=BINS)
        before = self._counts.get(kind)
        self._counts[kind] = counted if before is None else self._fit(before) + counted

    def counts(self, kind: str) -> NDArray[np.int64]:
        """Give the events in each bin up to the last one that has any, of whatever kind."""
        return self._fit(self._counts.get(kind, np.zeros(0, np.int64)))[: int(self.last / self.width) + 1]

    def kinds(self) -> list[str]:
        """Name the kinds there are, in alphabetical order."""
        return sorted(self._counts)

    def starts(self) -> Floats:
        """Give when each bin starts."""
        return np.arange(int(self.last / self.width) + 1, dtype=np.float64) * self.width

    def _padded(self) -> dict[str, NDArray[np.int64]]:
        return {name: self._fit(counts) for name, counts in self._counts.items()}

    @staticmethod
    def _fit(counts: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.pad(counts, (0, BINS - counts.size))
