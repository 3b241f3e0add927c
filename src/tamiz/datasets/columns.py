"""Which column of a file is what: recognised by its name, or given by the user."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from tamiz.datasets.rows import shorten
from tamiz.errors import UsageError

__all__ = ["ROLES", "NoSuchColumn", "check_found", "check_given", "parse_columns", "parse_pairs", "recognise"]

ROLES: Final[dict[str, tuple[str, ...]]] = {
    "question": ("question", "title", "prompt", "query", "input"),
    "content": ("content", "body", "context"),
    "reference": ("reference", "best_answer", "answer", "expected", "ground_truth"),
    "id": ("id",),
}
"""The names that a column is recognised by; where a file has several of a role, the earlier one in this list wins."""

_PART: Final = re.compile(
    r"""\s*(?P<role>[^=,]*?)\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^,"'][^,]*?)?)\s*(?:,|$)"""
)
_SHOWN: Final = 30


class NoSuchColumn(UsageError):
    """A column that was asked for is not there."""


def parse_columns(text: str) -> dict[str, str]:
    """Read `question=Question,reference="Best Answer"`: the columns of a file by their role.

    Quotes (single or double) keep a comma in a name. Raises `UsageError`, which names the bad part and the roles.
    """
    columns = parse_pairs(text)
    check_given(columns)
    return columns


def parse_pairs(text: str, roles: Sequence[str] = tuple(ROLES)) -> dict[str, str]:
    """Read `ROLE=NAME,…` as `parse_columns` does, whatever the roles are; `roles` are named in errors."""
    columns: dict[str, str] = {}
    at = 0
    while at < len(text) or not columns:
        part = _PART.match(text, at)
        if part is None:
            raise UsageError(f"--columns: {_part_at(text, at)} is not ROLE=NAME; the roles are {', '.join(roles)}")
        role = part["role"].lower()
        name = part["double"] or part["single"] or part["bare"] or ""
        if role in columns:
            raise UsageError(f"--columns: {_part_at(text, at)} gives {role} for the second time; give it once")
        columns[role] = name
        at = part.end()
    return columns


def check_given(columns: Mapping[str, str], roles: Collection[str] = ROLES) -> None:
    """Raise `UsageError` where a key is not a role or a name is blank."""
    for role, name in columns.items():
        if role not in roles:
            raise UsageError(
                f"--columns: {role!r} (in {f'{role}={name}'!r}) is not a role; the roles are {', '.join(roles)}"
            )
        if not name.strip():
            raise UsageError(f"--columns: {f'{role}={name}'!r} names no column; write {role}=NAME")


def recognise(
    names: Sequence[str], given: Mapping[str, str], roles: Mapping[str, Sequence[str]] = ROLES
) -> dict[str, int]:
    """Give the position of each role's column; a role without one is absent. `roles` have their names, best first.

    A given column is found by its exact name, else by the same rules as a recognised one: case, blanks around it, and
    whether its words are joined by blanks, hyphens or underscores do not matter.
    """
    plain = [_plain(name) for name in names]
    found: dict[str, int] = {}
    for role, name in given.items():
        if name in names:
            found[role] = names.index(name)
        elif _plain(name) in plain:
            found[role] = plain.index(_plain(name))
    taken = set(found.values())
    for role, alternatives in roles.items():
        if role not in given:
            free = (plain.index(name) for name in alternatives if name in plain)
            position = next((at for at in free if at not in taken), None)
            if position is not None:
                found[role] = position
    return found


def check_found(
    path: str, names: Sequence[str], given: Mapping[str, str], found: Mapping[str, int], needed: str = "question"
) -> None:
    """Raise `UsageError`, which lists the columns there are, where a given one or the needed one is not among them.

    Where it is a given one, it is `NoSuchColumn`.
    """
    for role, name in given.items():
        if role not in found:
            raise NoSuchColumn(f"{path!r} has no column {name!r} for {role}; {_there_are(names)}. Correct --columns.")
    if needed not in found:
        raise UsageError(
            f"{path!r} has no {needed} column; {_there_are(names)}. Name it: --columns {needed}=NAME{_hint(names)}"
        )


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()


def _part_at(text: str, at: int) -> str:
    return repr(text[at:].split(",", 1)[0].strip())


def _there_are(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"its columns are {', '.join(shorten(name) for name in names[:_SHOWN])}{more}"


def _hint(names: Sequence[str]) -> str:
    if len(names) == 1:
        for delimiter, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if delimiter in names[0]:
                return f" (are the columns separated by {called}? .csv is by commas, .tsv by tabs)"
    return ""
