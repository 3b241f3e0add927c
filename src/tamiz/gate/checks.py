"""Reads `--check`: which of the gate's checks are off, and the user's own."""

import re
from collections.abc import Sequence
from typing import Final

from tamiz.errors import UsageError
from tamiz.gate.heads import CHECKS
from tamiz.gate.own import Check, Longest, Matches, entry_point, schema_check

__all__ = ["parse_checks"]

_OWN: Final = ("matches", "forbids", "max-characters", "max-words", "schema", "python")


def parse_checks(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[Check, ...]]:
    """Read `NAME=off` and a user's own checks; give the names that are off, and the own checks, in their order.

    Own checks are `matches=REGEX`, `forbids=REGEX`, `max-characters=N`, `max-words=N`, `schema=FILE` and
    `python=MODULE:FUNCTION`. Raises `UsageError`, which names the text and what it may be.
    """
    off: list[str] = []
    own: list[Check] = []
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not value.strip():
            raise UsageError(f"--check {text!r} is not NAME=off or KIND=VALUE; {_choices()}")
        if name in CHECKS:
            if value.strip() not in {"off", "on"}:
                raise UsageError(f"--check {text!r}: {name} is on or off, not {value!r}")
            off = [each for each in off if each != name] + ([name] if value.strip() == "off" else [])
        elif name in _OWN:
            own.append(_own(text, name, value))
        else:
            raise UsageError(f"--check {text!r}: there is no check {name!r}; {_choices()}")
    if set(off) == set(CHECKS):
        raise UsageError("--check: every check of the gate is off, so nothing is left to score; leave one on")
    return tuple(off), tuple(own)


def _own(text: str, name: str, value: str) -> Check:
    match name:
        case "matches" | "forbids":
            try:
                return Matches(re.compile(value), wanted=name == "matches")
            except re.error as error:
                raise UsageError(f"--check {text!r}: {value!r} is not a regular expression ({error})") from None
        case "max-characters" | "max-words":
            if not value.strip().isdecimal():
                raise UsageError(f"--check {text!r}: {value!r} is not a whole number")
            return Longest(int(value), words=name == "max-words")
        case "schema":
            return schema_check(value.strip())
        case _:
            return entry_point(value.strip())


def _choices() -> str:
    return f"NAME is one of {', '.join(CHECKS)} (=off), KIND one of {', '.join(_OWN)}"
