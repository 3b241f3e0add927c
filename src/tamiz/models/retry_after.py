"""When a provider says to try again: response headers and messages in, one due time out."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from tamiz.models.base import RateLimit

__all__ = ["CAP", "limits_of", "retry_at", "seconds_in"]

CAP: Final = 24 * 3600.0
"""No wait is longer than this many seconds, whatever a provider says."""

_ABSURD: Final = 366 * 24 * 3600.0  # more than a year is a mistake, not a wait
_EPOCH: Final = 1e9  # a plain number from here on is a point in time, not a duration
_EPOCH_MS: Final = 1e12
_LONGEST_MESSAGE: Final = 2000  # characters of it that are searched
_MAX_CHARS: Final = 100  # a longer value is no time; it also bounds the work of the patterns below

_UNITS: Final = {
    "d": 86400.0,
    "h": 3600.0,
    "hour": 3600.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "ms": 0.001,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(hour|minute|min|second|sec|ms|us|µs|ns|d|h|m|s)s?", re.IGNORECASE)
# Possessive: "ms" is also "m" with the plural's s, and trying both for every part would take for ever.
_DURATION: Final = re.compile(rf"(?:{_PART.pattern}\s*)++", re.IGNORECASE)
_AGAIN_IN: Final = re.compile(
    rf"(?:again|retry|available|resets?) (?:in|after) ((?:{_PART.pattern}[\s,]*)++)", re.IGNORECASE
)
_ACCESS_ON: Final = re.compile(r"access on (\d{4}-\d\d-\d\d) at (\d\d:\d\d) UTC", re.ASCII)  # Anthropic's
# Azure writes x-rate-limit-reset-tokens beside x-ratelimit-remaining-tokens.
_RESET: Final = re.compile(r"(?:\w+-)?rate-?limit-reset(?:-([\w-]+))?|\w+-ratelimit-([\w-]+)-reset", re.IGNORECASE)


def retry_at(headers: Mapping[str, str], now: float, said: str = "", delay: str | None = None) -> float | None:
    """Give when to try again, in seconds since the epoch, at most `CAP` after `now`, or `None` where nobody says.

    The first of these that makes sense counts: `retry-after-ms`, `retry-after` (seconds or an HTTP date), a wait that
    the message `said` names ("try again in 6m0s"), a `delay` or moment that the body has a field for, and the reset
    header of the limit that is nearest to exhausted.
    `headers` must be lower case or fold case. Values that are negative, absurd or unreadable are ignored.
    """
    wait = _number(headers.get("retry-after-ms", ""), 0.001)
    if wait is None:
        wait = _retry_after(headers, now)
    if wait is None:  # before the field, from which Google cuts the fraction off: who comes so early is refused again
        wait = _from_message(said, now)
    if wait is None and delay is not None:
        wait = _reset(delay, now)
    if wait is None:
        wait = _from_resets(headers, now)
    return None if wait is None else now + min(wait, CAP)


def limits_of(headers: Mapping[str, str], now: float) -> tuple[RateLimit, ...]:
    """Give what the headers of an answer say of rate limits: those with a reset and a count of what is left."""
    limits = []
    for name, value in headers.items():
        if "ratelimit" not in name and "ratelimit" not in name.lower():
            continue
        match = _RESET.fullmatch(name)
        wait = None if match is None else _reset(value, now)
        if match is None or wait is None:
            continue
        remaining = _number(headers.get(name.lower().replace("reset", "remaining"), ""))
        if remaining is not None:
            limits.append(RateLimit(match[1] or match[2] or "requests", remaining, now + wait))
    return tuple(limits)


def seconds_in(text: str) -> float | None:
    """Give a duration such as `6m0s`, `20ms`, `1h2m3.5s` or `12` in seconds, or `None` where it is none."""
    text = text.strip()
    if len(text) > _MAX_CHARS:
        return None
    if _DURATION.fullmatch(text):
        return _sane(sum(float(amount) * _UNITS[unit.lower()] for amount, unit in _PART.findall(text)))
    return _number(text)


def _sane(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) and 0 <= seconds <= _ABSURD else None


def _number(text: str, unit: float = 1.0) -> float | None:
    try:
        return _sane(float(text) * unit)
    except ValueError:
        return None


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    value = headers.get("retry-after", "")
    wait = seconds_in(value)
    if wait is not None:
        return wait
    due = _http_date(value)
    if due is None:
        return None
    # The server's own idea of now, where it gives it: its clock and ours may differ by more than the wait.
    sent = _http_date(headers.get("date", ""))
    return _sane(due - (now if sent is None else sent))


def _http_date(text: str) -> float | None:
    if not text or len(text) > _MAX_CHARS:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _from_message(said: str, now: float) -> float | None:
    said = said[:_LONGEST_MESSAGE]
    if found := _AGAIN_IN.search(said):
        return seconds_in(found[1].replace(",", " ").strip())
    found = _ACCESS_ON.search(said)
    return _until(f"{found[1]}T{found[2]}", now) if found else None


def _from_resets(headers: Mapping[str, str], now: float) -> float | None:
    # Of several limits (requests, tokens) the one with the least left is the one that refused.
    waits: list[tuple[float, float]] = []
    for name, value in headers.items():
        match = _RESET.fullmatch(name)
        if match is None:
            continue
        wait = _reset(value, now)
        if wait is not None:
            waits.append((_share_left(headers, name.lower()), wait))
    if not waits:
        return None
    least = min(share for share, _ in waits)
    return max(wait for share, wait in waits if share == least)


def _share_left(headers: Mapping[str, str], reset: str) -> float:
    left = _number(headers.get(reset.replace("reset", "remaining"), ""))
    limit = _number(headers.get(reset.replace("reset", "limit"), ""))
    if left is None:
        return 1.0
    return left / limit if limit else min(left, 1.0)


def _reset(value: str, now: float) -> float | None:
    try:
        number = float(value)
    except ValueError:
        wait = seconds_in(value)
        return _until(value, now) if wait is None else wait
    if number >= _EPOCH_MS:
        return _sane(number / 1000 - now)
    if number >= _EPOCH:
        return _sane(number - now)
    return _sane(number)


def _until(value: str, now: float) -> float | None:
    try:
        moment = datetime.fromisoformat(value.strip()[:_MAX_CHARS])
    except ValueError:
        return None
    return _sane((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
