"""Numbers and lists as people read them."""

from collections.abc import Sequence

__all__ = ["count", "duration", "joined", "milliseconds", "number", "percent", "plural", "times"]


def count(value: float) -> str:
    """Give a whole number with its thousands apart."""
    return f"{value:,.0f}"


def number(value: float) -> str:
    """Give three digits that count, without an exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1e}"


def percent(share: float) -> str:
    """Give a share of 1 in percent; what is not all is never 100 %, and what is not nothing never 0 %."""
    value = 100 * share
    if 0 < value < 0.1:
        return "less than 0.1 %"
    if 99.95 <= value < 100:
        return "more than 99.9 %"
    return f"{value:.1f} %".replace(".0 %", " %")


def milliseconds(value: float) -> str:
    """Give a latency with a fitting unit."""
    if value < 1:
        return f"{number(value * 1000)} µs" if value > 0 else "0 ms"
    if value < 1000:
        return f"{number(value)} ms"
    return duration(value / 1000)


def duration(seconds: float) -> str:
    """Give a span with a fitting unit."""
    if seconds < 1:
        return f"{number(seconds * 1000)} ms"
    if seconds < 120:
        return f"{number(seconds)} s"
    if seconds < 2 * 3600:
        return f"{number(seconds / 60)} min"
    return f"{number(seconds / 3600)} h" if seconds < 2 * 86400 else f"{number(seconds / 86400)} days"


def times(ratio: float) -> str:
    """Give a ratio."""
    return f"{number(ratio)} times"


def plural(value: float, one: str, many: str | None = None) -> str:
    """Give a number with its noun."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def joined(words: Sequence[str]) -> str:
    """Give a list as part of a sentence."""
    if len(words) < 3:
        return " and ".join(words)
    return ", ".join(words[:-1]) + " and " + words[-1]
