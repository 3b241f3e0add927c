"""The rules that tell what a refusal means: those of `refusals.toml` beside this file, and a user's own before them."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Final, NoReturn

import msgspec

from tamiz.errors import FailureKind, UsageError
from tamiz.models.said import Said

__all__ = ["TABLE", "Refusal", "Rule", "Verdict", "rules"]

TABLE: Final = Path(__file__).with_name("refusals.toml")
"""The shipped rules, and what each is for."""

_STOP: Final = "stop"
_KINDS: Final = (*(str(kind) for kind in FailureKind), _STOP)
_KEYS: Final = ("kind", "status", "code", "message", "param", "says")
_SAYS: Final = "{where} refuses every call to {model!r} ({said})"
_FILLED: Final = {"where": "http://localhost/v1", "model": "m", "said": "403: no"}
_RANGE: Final = re.compile(r"(\d{3})(?:\s*-\s*(\d{3}))?", re.ASCII)
_ALL: Final = range(100, 600)
_OK: Final = 200


class Refusal(msgspec.Struct, frozen=True):
    """No call will ever be answered; `text` tells why, with {where}, {model} and {said} to fill in."""

    text: str


Verdict = FailureKind | Refusal
"""What a refusal means for the flow: a failed call, or a server that is of no use as it is set up."""


class Rule(msgspec.Struct, frozen=True):
    """An entry of the table: fits where the status, the parameter, and the code or the message are as given.

    What is empty is not asked for. Status 0 is an error that came with a 200 and names no status of its own.
    """

    verdict: Verdict
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    messages: tuple[re.Pattern[str], ...] = ()
    params: frozenset[str] = frozenset()

    def fits(self, said: Said) -> bool:
        """Tell whether the rule speaks of this refusal."""
        if self.statuses and said.status not in self.statuses:
            return False
        if self.params and said.param not in self.params:
            return False
        if not self.codes and not self.messages:
            return True
        return bool(self.codes & said.codes) or any(pattern.search(said.message) for pattern in self.messages)


def rules(extra: Sequence[Mapping[str, object]] = ()) -> tuple[Rule, ...]:
    """Give all rules in the order in which they are asked: the `[[refusal]]` tables `extra`, then the shipped ones.

    Raises `UsageError` that names the table, the key, the value and what would do.
    """
    own = (_rule(entry, f"tamiz.toml: [[refusal]] number {number}") for number, entry in enumerate(extra, 1))
    return (*own, *_shipped())


@cache
def _shipped() -> tuple[Rule, ...]:
    entries = tomllib.loads(TABLE.read_text(encoding="utf-8"))["refusal"]
    return tuple(_rule(entry, f"{TABLE.name}: [[refusal]] number {number}") for number, entry in enumerate(entries, 1))


def _rule(entry: Mapping[str, object], where: str) -> Rule:
    for key, value in entry.items():
        if key not in _KEYS:
            raise UsageError(f"{where}: {key} = {value!r}: there is no such key; it may have {', '.join(_KEYS)}")
    rule = Rule(
        _verdict(entry, where),
        _statuses(entry, where),
        frozenset(text.casefold() for text in _texts(entry, "code", where)),
        tuple(_pattern(text, where) for text in _texts(entry, "message", where)),
        frozenset(_texts(entry, "param", where)),
    )
    if not (rule.codes or rule.messages or rule.params) and len(rule.statuses) in {0, len(_ALL)}:
        raise UsageError(f"{where}: it fits every refusal; give it a status, code, message or param")
    return rule


def _verdict(entry: Mapping[str, object], where: str) -> Verdict:
    kind = entry.get("kind")
    if kind not in _KINDS:
        _wrong(where, "kind", kind, f"one of {', '.join(_KINDS)}")
    if kind != _STOP:
        if "says" in entry:
            _wrong(where, "says", entry["says"], f'left out: only kind = "{_STOP}" says something')
        return FailureKind(str(kind))
    says = entry.get("says", _SAYS)
    wanted = "a text with no more than {where}, {model} and {said} to fill in"
    if not isinstance(says, str):
        _wrong(where, "says", says, wanted)
    try:
        names = {name for _, name, _, _ in Formatter().parse(says) if name is not None}
        says.format(**_FILLED)
    except (ValueError, LookupError, AttributeError):
        _wrong(where, "says", says, wanted)
    if not names <= _FILLED.keys():
        _wrong(where, "says", says, wanted)
    return Refusal(says)


def _statuses(entry: Mapping[str, object], where: str) -> frozenset[int]:
    if "status" not in entry:
        return frozenset()
    found: set[int] = set()
    for value in _listed(entry["status"]):
        match = None if isinstance(value, bool) else _RANGE.fullmatch(str(value))
        if match is None:
            _wrong(where, "status", value, 'numbers such as 429 and ranges such as "500-599"')
        low, high = int(match[1]), int(match[2] or match[1])
        if low > high or low not in _ALL or high not in _ALL:
            _wrong(where, "status", value, "within 100 to 599, the lower one first")
        found.update(range(low, high + 1))
    if not found:
        _wrong(where, "status", entry["status"], "a list that is not empty, or left out")
    # What came with a 200 has the status that its body names; 0 is that of a body that names none.
    return frozenset(0 if status == _OK else status for status in found)


def _texts(entry: Mapping[str, object], key: str, where: str) -> list[str]:
    if key not in entry:
        return []
    values = _listed(entry[key])
    texts = [str(value) for value in values if isinstance(value, str | int) and not isinstance(value, bool)]
    if not values or len(texts) < len(values) or not all(map(str.strip, texts)):
        _wrong(where, key, entry[key], "a text or a list of texts, none of them empty")
    return texts


def _pattern(text: str, where: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        _wrong(where, "message", text, f"a regular expression ({error})")
    if pattern.search(""):
        _wrong(where, "message", text, "a regular expression that does not fit every message")
    return pattern


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _wrong(where: str, key: str, value: object, wanted: str) -> NoReturn:
    raise UsageError(f"{where}: {key} = {value!r} is wrong; it is to be {wanted}")
