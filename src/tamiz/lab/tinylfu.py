"""W-TinyLFU (Einziger, Friedman, Manes, ACM ToS 2017): who comes in was asked for more often than who has to go."""

from collections import OrderedDict
from typing import Final

__all__ = ["WTinyLfu"]

_WINDOW: Final = 0.01
_PROTECTED: Final = 0.8
_SAMPLE: Final = 10
"""Requests for each place in the cache, after which all counts are halved."""
_MOST: Final = 15
"""What a counter of four bits holds."""


class WTinyLfu:
    """At most `size` entries.

    A window of one per cent, by LRU, takes whatever is new. Who leaves it may take the place of the first to go of the
    main part (a segmented LRU: four fifths for those hit there), if it was asked for more often of late. The published
    one estimates these counts in a sketch; here they are exact, capped and halved as there.
    """

    def __init__(self, size: int) -> None:
        self._window_size = max(round(_WINDOW * size), 1)
        self._main_size = size - self._window_size
        self._protected_size = int(_PROTECTED * self._main_size)
        self._window: OrderedDict[int, float] = OrderedDict()
        self._probation: OrderedDict[int, float] = OrderedDict()
        self._protected: OrderedDict[int, float] = OrderedDict()
        self._counts: dict[int, int] = {}
        self._counted = 0
        self._sample = _SAMPLE * size

    def __len__(self) -> int:
        return len(self._window) + len(self._probation) + len(self._protected)

    def get(self, key: int) -> float | None:
        """Give the entry's value, and count the request whether or not there is one; `None` where there is none."""
        self._count(key)
        if key in self._protected:
            self._protected.move_to_end(key)
            return self._protected[key]
        if key in self._probation:
            return self._promote(key)
        if key in self._window:
            self._window.move_to_end(key)
            return self._window[key]
        return None

    def insert(self, key: int, value: float) -> None:
        """Add an entry that is not there."""
        self._window[key] = value
        if len(self._window) > self._window_size:
            self._admit(*self._window.popitem(last=False))

    def pop(self, key: int) -> None:
        """Remove an entry that is there."""
        for part in (self._window, self._probation, self._protected):
            if key in part:
                del part[key]

    def _promote(self, key: int) -> float:
        value = self._probation.pop(key)
        self._protected[key] = value
        if len(self._protected) > self._protected_size:
            oldest, its_value = self._protected.popitem(last=False)
            self._probation[oldest] = its_value
        return value

    def _admit(self, candidate: int, value: float) -> None:
        if len(self._probation) + len(self._protected) >= self._main_size:
            victims = self._probation or self._protected
            if not victims:  # a cache of one place is all window
                return
            victim = next(iter(victims))
            if self._counts.get(candidate, 0) <= self._counts.get(victim, 0):
                return
            del victims[victim]
        self._probation[candidate] = value

    def _count(self, key: int) -> None:
        count = self._counts.get(key, 0)
        if count < _MOST:
            self._counts[key] = count + 1
        self._counted += 1
        if self._counted >= self._sample:
            self._counts = {each: half for each, count in self._counts.items() if (half := count // 2)}
            self._counted //= 2
