"""What happened lately: counts and latencies by steps of time, the last so many of them."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from tamiz.traffic.quantiles import Quantiles

__all__ = ["Moment", "Series", "Span", "in_ms", "quantiles"]


class Moment:
    """What happened within one step."""

    __slots__ = ("asked", "cached", "ended", "latencies", "reused", "trouble")

    def __init__(self) -> None:
        self.asked = 0
        """Questions that came in."""
        self.ended = 0
        """Questions that got their outcome."""
        self.reused = 0
        """Those of them that cost no call, `cached` of these from the cache in memory."""
        self.cached = 0
        self.latencies = Quantiles()
        """From the submission to the outcome."""
        self.trouble: dict[str, int] = {}
        """Calls that failed, by kind, and answers that were refused."""


class Series(msgspec.Struct, frozen=True):
    """Points of time, the last one last; `None` is before the first, and for percentiles where nothing ended."""

    step: float
    """Seconds from one to the next."""
    asked: list[float | None]
    """Questions a second; `ended` is outcomes a second."""
    ended: list[float | None]
    p50: list[float | None]
    """Milliseconds."""
    p95: list[float | None]
    p99: list[float | None]


class _Point(msgspec.Struct, frozen=True, gc=False):
    asked: float | None
    ended: float | None
    p50: float | None
    p95: float | None
    p99: float | None


_UNKNOWN = _Point(None, None, None, None, None)
_NOTHING = _Point(0.0, 0.0, None, None, None)


class Span:
    """The last `length` steps of `step` seconds each, and the one that is going on.

    Memory is bounded by `length`: a step that is over keeps its counts, and its latencies as long as it is among the
    last `keep`.
    """

    def __init__(self, step: float, length: int, keep: int) -> None:
        self.step = step
        self._points = deque([_UNKNOWN] * length, maxlen=length)
        self._kept: deque[Moment] = deque(maxlen=keep)
        self._number: int | None = None
        self._moment = Moment()

    def at(self, now: float) -> Moment:
        """Give the step that is going on at `now`, in seconds of a clock that never goes back."""
        number = int(now // self.step)
        if number != self._number:
            self._advance(number)
        return self._moment

    def last(self, count: int) -> Iterator[Moment]:
        """Give up to `count` of the last steps that are over, the latest first."""
        return islice(reversed(self._kept), count)

    def series(self) -> Series:
        """Give the steps that are over."""
        columns = zip(*(msgspec.structs.astuple(point) for point in self._points), strict=True)
        return Series(self.step, *(list(column) for column in columns))

    def _advance(self, number: int) -> None:
        if self._number is not None:
            self._kept.append(self._moment)
            self._points.append(_point(self._moment, self.step))
            gone = min(number - self._number - 1, len(self._points))
            self._points.extend([_NOTHING] * gone)
            self._kept.extend(Moment() for _ in range(gone))
        self._number, self._moment = number, Moment()


def quantiles(moments: Iterable[Moment]) -> Quantiles:
    """Give the latencies of several steps together."""
    together = Quantiles()
    for moment in moments:
        together.include(moment.latencies)
    return together


def in_ms(found: Quantiles) -> tuple[float | None, float | None, float | None]:
    """Give the 50th, 95th and 99th percentile in milliseconds, to 1 %."""
    p50, p95, p99 = (_ms(found.quantile(share)) for share in (0.5, 0.95, 0.99))
    return p50, p95, p99


def _point(moment: Moment, step: float) -> _Point:
    return _Point(round(moment.asked / step, 2), round(moment.ended / step, 2), *in_ms(moment.latencies))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else float(f"{seconds * 1000:.3g}")
