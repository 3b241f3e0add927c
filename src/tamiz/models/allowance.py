"""What a server says is left of its rate limits, so that they are kept and not run into."""

import math
from collections.abc import Sequence
from typing import Final

from tamiz.models.base import RateLimit

__all__ = ["Allowance"]

_LONGEST: Final = 300.0
"""Seconds that a statement is believed for; after it a refusal has to say so."""
_WEIGHT: Final = 0.1


class Allowance:
    """How many calls may start before a stated limit is used up.

    Of the calls in flight when an answer came, none is taken to have been counted by the server yet, and each to use as
    many tokens as calls did lately. So the limit is reached from below. After its reset nothing is known until the next
    answer. Times are seconds since the epoch. Pure: no clock, no I/O.
    """

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}  # of requests or some tokens: calls left, until when
        self.told_at = 0.0
        """When the server last said something."""
        self._newest = -1
        self._tokens = 0.0  # a call, lately

    def told(self, limits: Sequence[RateLimit], number: int, in_flight: int, tokens: int, now: float) -> None:
        """Take note of what came with the answer to call `number`, which used `tokens`."""
        if tokens:
            self._tokens += (tokens - self._tokens) * (_WEIGHT if self._tokens else 1.0)
        if not limits or number < self._newest:  # an older answer knows less
            return
        self._newest = number
        self._left = {
            limit.what: (limit.remaining / self._cost(limit.what) - in_flight, min(limit.resets_at, now + _LONGEST))
            for limit in limits
        }
        self.told_at = now

    def spend(self) -> None:
        """Take note that a call starts."""
        if self._left:
            self._left = {what: (left - 1, resets_at) for what, (left, resets_at) in self._left.items()}

    def room(self, now: float) -> float:
        """Give how many calls may start now."""
        return min((left for left, resets_at in self._left.values() if resets_at > now), default=math.inf)

    def resets_at(self, now: float) -> float:
        """Give when a limit that is used up is back; 0 where none is."""
        return max((resets_at for left, resets_at in self._left.values() if left < 1 and resets_at > now), default=0.0)

    def _cost(self, what: str) -> float:
        return max(self._tokens, 1.0) if "token" in what else 1.0
