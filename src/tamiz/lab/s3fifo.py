"""S3-FIFO (Yang et al., SOSP 2023): a small FIFO queue sorts out what is asked for once only."""

from collections import OrderedDict
from typing import Final

__all__ = ["S3Fifo"]

_SMALL: Final = 0.1
"""The small queue's share of the cache; the ghost queue remembers as many keys as the main queue has entries."""
_OFTEN: Final = 2
"""Hits in the small queue that lead on to the main one."""
_MOST: Final = 3
"""What a counter of two bits holds."""


class S3Fifo:
    """At most `size` entries.

    New entries go into the small queue; those whose key was evicted from there lately, into the main one. What leaves
    the small queue goes on to the main one if it was hit twice, and otherwise out. What would leave the main queue
    comes in again at its other end, with one hit less, as long as it has hits. As in the authors' simulator, a cache
    that was never full has what is new in the main queue once the small one is full.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._small_size = max(int(_SMALL * size), 1)
        self._main_size = max(size - self._small_size, 0)
        self._small: OrderedDict[int, list[float]] = OrderedDict()  # key: [value, hits]
        self._main: OrderedDict[int, list[float]] = OrderedDict()
        self._ghost: OrderedDict[int, None] = OrderedDict()
        self._was_full = False

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def get(self, key: int) -> float | None:
        """Give the entry's value, and count the hit; `None` where there is none."""
        entry = self._small.get(key) or self._main.get(key)
        if entry is None:
            return None
        entry[1] += 1
        return entry[0]

    def insert(self, key: int, value: float) -> None:
        """Add an entry that is not there."""
        remembered = key in self._ghost
        if remembered:
            del self._ghost[key]
        while len(self._small) + len(self._main) >= self._size:
            self._evict()
        spills = not self._was_full and len(self._small) >= self._small_size
        queue = self._main if (remembered or spills) and self._main_size else self._small
        queue[key] = [value, 0]

    def pop(self, key: int) -> None:
        """Remove an entry that is there."""
        del (self._small if key in self._small else self._main)[key]

    def _evict(self) -> None:
        self._was_full = True
        if len(self._main) > self._main_size or not self._small:
            self._evict_main()
        else:
            self._evict_small()

    def _evict_small(self) -> None:
        """Evict one; or none, where all were hit and have gone on to the main queue."""
        small, ghost = self._small, self._ghost
        while small:
            key, entry = small.popitem(last=False)
            if entry[1] >= _OFTEN:
                entry[1] = 0
                self._main[key] = entry
                continue
            if self._main_size:
                ghost[key] = None
                if len(ghost) > self._main_size:
                    ghost.popitem(last=False)
            return

    def _evict_main(self) -> None:
        main = self._main
        while True:
            key, entry = main.popitem(last=False)
            if not entry[1]:
                return
            entry[1] = min(entry[1], _MOST) - 1
            main[key] = entry
