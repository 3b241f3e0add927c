"""The scores of the last answers, for the histogram and for what another threshold would have made of them."""

from bisect import bisect_right
from collections import deque
from typing import Final

import msgspec

__all__ = ["STEPS", "Scores", "ScoresSeen"]

STEPS: Final = 100
"""Of a threshold: it is set in hundredths."""
_KEPT: Final = 2_000

_EDGES: Final = [step / STEPS for step in range(1, STEPS + 1)]


class ScoresSeen(msgspec.Struct, frozen=True):
    """Counts by score: entry n is of scores in [n / 100, (n + 1) / 100), the last one of 1.0.

    So a threshold of n / 100 accepts exactly what is counted from entry n on.
    """

    accepted: list[int]
    refused: list[int]
    """Questions whose best answer was not good enough."""
    unscored: int
    """Accepted or not, those that could not be scored."""


class Scores:
    """Counts the scores of the last 2,000 answers to questions without a threshold of their own."""

    def __init__(self) -> None:
        self._last: deque[tuple[int | None, bool]] = deque()
        self._counts = [0] * (STEPS + 1), [0] * (STEPS + 1)
        self._unscored = 0

    def add(self, score: float | None, *, accepted: bool) -> None:
        """Count an answer."""
        place = None if score is None else bisect_right(_EDGES, score)
        self._last.append((place, accepted))
        self._count(place, accepted, 1)
        if len(self._last) > _KEPT:
            self._count(*self._last.popleft(), -1)

    def seen(self) -> ScoresSeen:
        """Give the counts."""
        refused, accepted = self._counts
        return ScoresSeen([*accepted], [*refused], self._unscored)

    def _count(self, place: int | None, accepted: bool, by: int) -> None:  # noqa: FBT001 - as they are kept
        if place is None:
            self._unscored += by
        else:
            self._counts[accepted][place] += by
