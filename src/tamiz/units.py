"""Quantities as people write them."""

import re
from typing import Final

from tamiz.errors import UsageError

__all__ = ["plural", "seconds"]

_UNITS: Final = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-z]*)\s*")


def seconds(text: str, what: str) -> float:
    """Read a duration such as `50ms`, `2s`, `1.5m`, `1h`, or `0.5` (seconds).

    Raises `UsageError`, which names `what` it was for.
    """
    found = _DURATION.fullmatch(text)
    if found is None or found[2] not in _UNITS:
        raise UsageError(f"{what}: {text!r} is not a duration: write it like 50ms, 2s, 1.5m or 1h")
    return float(found[1]) * _UNITS[found[2]]


def plural(value: float, one: str, many: str | None = None) -> str:
    """Give a number with its noun, such as `1 row` or `1,200 rows`."""
    return f"{value:,.0f} {one if value == 1 else many or one + 's'}"
