"""Reads recorded arrival times."""

import math
from array import array
from pathlib import Path

import msgspec

from tamiz.errors import UsageError

__all__ = ["read_trace"]


class _Event(msgspec.Struct):
    at_s: float | None = None
    sent_s: float | None = None


def read_trace(path: str) -> "array[float]":
    """Read the times of a trace, in seconds, as offsets from its first.

    A line is a number, or an event of an earlier run's `events.jsonl`: its `at_s`, or `sent_s` where that had no
    schedule. Empty lines are skipped. Events are put in the order of their times, since a log is in that of their
    endings. Raises `UsageError` that names the line where one is neither, or a number is less than the one before it.
    """
    if not path:
        raise UsageError("--arrivals trace: names no file; write it like trace:times.txt")
    times = array("d")
    try:
        with Path(path).open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if text := line.strip():
                    time = _time(text, path, number)
                    if times and time < times[-1] and not text.startswith("{"):
                        raise UsageError(
                            f"the trace {path!r} goes back in line {number}: {time:g} after {times[-1]:g}; it needs "
                            "the times of arrivals, not the gaps between them, in ascending order"
                        )
                    times.append(time)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the trace {path!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not times:
        raise UsageError(f"the trace {path!r} is empty: it needs a time in seconds on each line")
    ordered = sorted(times)
    return array("d", (time - ordered[0] for time in ordered))


def _time(text: str, path: str, number: int) -> float:
    try:
        if text.startswith("{"):
            event = msgspec.json.decode(text, type=_Event)
            value = event.at_s if event.at_s is not None else event.sent_s
        else:
            value = float(text)
    except (ValueError, msgspec.DecodeError):
        value = None
    if value is None or not math.isfinite(value):
        raise UsageError(
            f"the trace {path!r} has no time in line {number}: {text[:40]!r}; it needs a number of seconds, or at_s"
        )
    return value
