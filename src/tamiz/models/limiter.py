"""How many calls an endpoint may have in flight: as many as it takes, found by trying, at most the user's ceiling."""

from collections import deque
from math import log
from typing import Final

import msgspec

__all__ = ["Limiter", "Place"]

_MOST_PATIENT: Final = 1024
_A_FEW: Final = 5
_REMEMBERED: Final = 200
"""Calls whose fate is remembered."""
_REFUSED_WHEN_FULL: Final = 0.6
"""The share of calls that a full server is taken to refuse; the others are those that got a place just set free."""
_SURE: Final = log(20)
"""The logarithm of how much more likely a full server has to be than one that refuses by chance."""


class Place(msgspec.Struct, gc=False):
    """A call's place in flight."""

    number: int
    """How many calls were started before it."""
    level: int
    """How many calls the server held when it started, itself included, as far as that is known by now."""


class Limiter:
    """Finds the number of concurrent calls that a server takes without refusing any.

    A kin of TCP's congestion control and of Netflix's concurrency-limits (AIMD), with two changes that calls allow.
    A refusal leaves exactly those calls in flight that the server holds, so the limit falls to that number at once and
    not by a factor. And a server that refuses for reasons of its own, whatever the load, is told from a full one: it
    refuses as many at low levels as at high ones. Its refusals cost one place until the next accepted call.

    Beyond the highest level that is thought to be accepted (`proven`) one more call is tried after so many accepted
    ones (`patience`). Where calls there are refused, nothing more is tried until all that were in flight then have
    ended: if that level turned out to be accepted the patience falls by a factor of four, else it doubles. At 1 every
    accepted call adds one, which doubles the limit each round trip (slow start).

    Pure: no clock, no I/O. Each place that `start` gives is handed back once, by one of the methods below it.
    """

    def __init__(self, ceiling: int, start: int) -> None:
        """Begin with `start` calls at once; `ceiling` is never exceeded."""
        self.limit = min(start, ceiling)
        """How many calls may be in flight now, from 1 to the ceiling."""
        self._ceiling = ceiling
        self._places: dict[int, Place] = {}
        self._started = 0
        self._proven = 1
        self._fates: deque[tuple[int, bool]] = deque(maxlen=_REMEMBERED)  # levels, and whether they were accepted
        self._patience = 1
        self._accepted = 0
        self._burst_ends = 0  # calls from this number on were started after the last refusal beyond `proven`
        self._refused_from: int | None = None  # calls from this number on were started after the first of some refusals
        self._refused_since = 0  # how many of those were refused
        self._doubted: int | None = None  # the level of it, as long as that burst has still to show what it meant

    @property
    def in_flight(self) -> int:
        """How many calls are in flight."""
        return len(self._places)

    @property
    def takes_nothing(self) -> bool:
        """Whether the server refuses all that it is sent: a call with no other in flight, or the last few of them."""
        if not self._places:
            return True
        newest = next(reversed(self._places))
        return self._refused_since >= _A_FEW and self._refused_from is not None and newest < self._refused_from

    def start(self) -> Place:
        """Take note that a call starts, whether there was room for it or not."""
        place = Place(self._started, len(self._places) + 1)
        self._places[self._started] = place
        self._started += 1
        return place

    def accepted(self, place: Place) -> None:
        """Take note that the server took a call, whatever it made of it."""
        self._fates.append((place.level, True))
        self._end(place)
        if place.level > self._proven and self._takes(self._proven + 1, place.level):
            self._proven = place.level
            if self._doubted is None or place.level >= self._doubted:
                self._patience = max(self._patience // 4, 1)
                self._doubted = None
        if self._refused_from is not None and place.number >= self._refused_from:
            self._refused_from = None
        if self.limit < self._proven:
            self.limit += 1
        elif 2 * place.level > self.limit and self._may_try():
            self._accepted += 1
            if self._accepted >= self._patience:
                self._accepted = 0
                self.limit = min(self.limit + 1, self._ceiling)

    def refused(self, place: Place) -> None:
        """Take note that the server was too busy for a call."""
        for other in self._places.values():
            other.level -= other.number > place.number  # the server never held this one
        self._fates.append((place.level, False))
        self._end(place)
        self.limit = max(min(self.limit, len(self._places)), 1)
        if self._refused_from is None:
            self._refused_from, self._refused_since = self._started, 0
        self._refused_since += place.number >= self._refused_from
        if place.level <= 1 or self._takes(place.level, self._started):
            return
        self._proven = min(self._proven, place.level - 1)
        self._accepted = 0
        self._doubt(place.level)

    def timed_out(self, place: Place) -> None:
        """Take note that a call was not answered in time: perhaps it waited behind too many others."""
        self._end(place)
        if place.number >= self._burst_ends:  # once for all calls that were in flight together
            self.limit = max(self.limit * 3 // 4, 1)
            self._proven = min(self._proven, self.limit)
            self._doubt(self.limit + 1)

    def lost(self, place: Place) -> None:
        """Take note that a call ended in a way that says nothing about load."""
        self._end(place)

    def _takes(self, lowest: int, highest: int) -> bool:
        """Tell whether the server takes calls at these levels, but for some by chance.

        The likelihood ratio of two explanations for what became of them: that the server is full there, or that it
        refuses as many of them as it does below.

        A level may be too high, since an answer can be on its way while its call still counts; it is never too low.
        """
        below, refused_below, refused, accepted = 1.0, 0.1, 0, 0
        for each, was_accepted in self._fates:
            if each < lowest:
                below += 1
                refused_below += not was_accepted
            elif each <= highest:
                accepted += was_accepted
                refused += not was_accepted
        chance = min(refused_below / below, _REFUSED_WHEN_FULL)
        full = refused * log(_REFUSED_WHEN_FULL / chance) + accepted * log((1 - _REFUSED_WHEN_FULL) / (1 - chance))
        return full < _SURE

    def _may_try(self) -> bool:
        return self._doubted is None and (self._patience == 1 or self.limit == self._proven)

    def _doubt(self, level: int) -> None:
        self._burst_ends = self._started
        self._doubted = level if self._doubted is None else min(self._doubted, level)

    def _end(self, place: Place) -> None:
        del self._places[place.number]
        if self._doubted is not None and next(iter(self._places), self._started) >= self._burst_ends:
            self._doubted = None
            self._patience = min(self._patience * 2, _MOST_PATIENT)
