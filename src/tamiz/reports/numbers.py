"""Numbers and lists as people read them."""

from collections.abc import Sequence
from typing import Final

__all__ = ["count", "duration", "joined", "milliseconds", "number", "percent", "times"]

_WHOLE: Final = 100
"""From here on a number has no decimals."""
_TINY: Final = 0.001
"""Below it a number has an exponent."""
_LITTLE: Final = 0.1
"""Of a hundred."""
_SECOND: Final = 1000
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_LARGER: Final = {"s": _MINUTE, "min": _HOUR, "h": _DAY}
"""The unit after each, in seconds."""


def count(value: float) -> str:
    """Give a whole number with its thousands apart."""
    return f"{value:,.0f}"


def number(value: float) -> str:
    """Give three digits that count, without an exponent."""
    if value == 0:
        return "0"
    if abs(value) >= _WHOLE:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= _TINY else f"{value:.1e}"


def percent(share: float) -> str:
    """Give a share of 1 in percent; what is not all is never 100 %, and what is not nothing never 0 %."""
    value = 100 * share
    if 0 < value < _LITTLE:
        return "less than 0.1 %"
    if value >= 100 - _LITTLE / 2 and share < 1:
        return "more than 99.9 %"
    return f"{value:.1f} %".replace(".0 %", " %")


def milliseconds(value: float) -> str:
    """Give a latency with a fitting unit."""
    if value < 1:
        return f"{number(value * 1000)} µs" if value > 0 else "0 ms"
    if value < _SECOND:
        return f"{number(value)} ms"
    return duration(value / 1000)


def duration(seconds: float) -> str:
    """Give a span with a fitting unit."""
    if seconds < 1:
        return f"{number(seconds * 1000)} ms"
    for unit, size in (("s", 1), ("min", _MINUTE), ("h", _HOUR)):
        if seconds < 2 * _LARGER[unit]:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds / _DAY)} days"


def times(ratio: float) -> str:
    """Give a ratio."""
    return f"{number(ratio)} times"


def joined(words: Sequence[str]) -> str:
    """Give a list as part of a sentence."""
    if len(words) <= 2:  # noqa: PLR2004 - two need no comma
        return " and ".join(words)
    return ", ".join(words[:-1]) + " and " + words[-1]
