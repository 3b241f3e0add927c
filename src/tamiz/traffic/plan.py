"""What a traffic run is to do: its parameters, checked."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from tamiz.errors import UsageError
from tamiz.traffic.arrivals import UNPACED, make_arrivals
from tamiz.traffic.popularity import make_popularity

__all__ = ["Arrival", "Plan"]


class Arrival(NamedTuple):
    """A question that is to be asked."""

    n: int
    """Its number in the run, from 0."""
    at: float | None
    """When, in seconds from the start; `None` where there is no schedule."""
    rank: int
    """Which one, from 0."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a run. Equal plans over equally many questions give equal schedules."""

    total: int | None = None
    """Most events; `None`: as many as the duration holds."""
    duration: float | None = None
    """Seconds after which nothing is emitted any more; `None`: until the total."""
    arrivals: str = "poisson"
    rate: float = 100.0
    """Mean events a second."""
    popularity: str = "zipf"
    alpha: float = 1.0
    """Zipf's exponent."""
    seed: int = 0

    @property
    def paced(self) -> bool:
        """Whether there is a schedule."""
        return self.arrivals != UNPACED

    @property
    def lasts(self) -> float | None:
        """How many seconds events are emitted for; `None` where that is told by their number or a trace."""
        return self.duration if self.paced and self.total is None and not self.arrivals.startswith("trace:") else None

    def check(self) -> None:
        """Raise `UsageError` where a parameter is wrong, or the run would have no end."""
        self._check_end()
        make_arrivals(self.arrivals, self.rate, self.seed)
        make_popularity(self.popularity, 1, self.alpha, self.seed)

    def schedule(self, questions: int) -> Iterator[Arrival]:
        """Give the events over so many questions, one after another in the order of their times.

        They end with the total, the duration (which has no say where there is no schedule) or the trace. Raises
        `UsageError` as `check` does, and where there are no questions.
        """
        self._check_end()
        offsets = make_arrivals(self.arrivals, self.rate, self.seed)
        ranks = make_popularity(self.popularity, questions, self.alpha, self.seed)
        return self._schedule(offsets, ranks)

    def _schedule(self, offsets: Iterator[float], ranks: Iterator[int]) -> Iterator[Arrival]:
        total = math.inf if self.total is None else self.total
        ends = math.inf if self.duration is None or not self.paced else self.duration
        paced = self.paced
        for n, (at, rank) in enumerate(zip(offsets, ranks, strict=False)):
            if n >= total or at >= ends:
                return
            yield Arrival(n, at if paced else None, rank)

    def _check_end(self) -> None:
        if self.total is None and self.duration is None and not self.arrivals.startswith("trace:"):
            raise UsageError("the traffic would have no end: give --total N or --duration S")
        if self.total is not None and self.total < 0:
            raise UsageError(f"a total of {self.total} is out of range: 0 or more")
        if self.duration is not None and not (math.isfinite(self.duration) and self.duration > 0):
            raise UsageError(f"a duration of {self.duration:g} s is out of range: above 0")
