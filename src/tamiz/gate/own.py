"""A user's own checks: a regular expression, a longest answer, a JSON Schema, a Python function."""

import json
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from tamiz.errors import UsageError

__all__ = ["Check", "Entry", "Longest", "Matches", "Schema", "entry_point", "schema_check"]

_SHOWN: Final = 60


class Check(Protocol):
    """Looks at an answer. Deterministic, as scores have to be; raises nothing, whatever the texts are."""

    def __call__(self, question: str, answer: str) -> str | None:
        """Say what is wrong, as `CHECK: what` in plain words; `None` where nothing is."""


class Matches:
    """A regular expression that must be found somewhere in the answer, or (`wanted=False`) must not be."""

    def __init__(self, pattern: re.Pattern[str], *, wanted: bool) -> None:
        self._pattern = pattern
        self._wanted = wanted

    def __call__(self, question: str, answer: str) -> str | None:  # noqa: ARG002 - the protocol's
        """Search the answer."""
        found = self._pattern.search(answer)
        if self._wanted:
            return None if found else f"matches: nothing in it matches {_shown(self._pattern.pattern)}"
        return f"forbids: {_shown(found[0])} is in it" if found else None


class Longest:
    """The most characters, or words between blanks, that an answer may have."""

    def __init__(self, most: int, *, words: bool) -> None:
        self._most = most
        self._words = words

    def __call__(self, question: str, answer: str) -> str | None:  # noqa: ARG002 - the protocol's
        """Count."""
        count = len(answer.split()) if self._words else len(answer)
        if count <= self._most:
            return None
        unit = "words" if self._words else "characters"
        return f"length: it has {count:,} {unit}, {self._most:,} are allowed"


class Schema:
    """A JSON Schema that the answer must satisfy, read as JSON."""

    def __init__(self, errors: Callable[[object], str | None]) -> None:
        """`errors` gives the first error of a value, or `None`."""
        self._errors = errors

    def __call__(self, question: str, answer: str) -> str | None:  # noqa: ARG002 - the protocol's
        """Read the answer and validate it."""
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError) as error:
            return f"schema: it is not JSON ({error})"
        problem = self._errors(value)
        return None if problem is None else f"schema: {problem}"


class Entry:
    """A user's function `check(question, answer)` that gives what is wrong as a text, or `None`.

    One that raises has found a fault of its own, not the answer's: the exception goes on to the user.
    """

    def __init__(self, name: str, function: Callable[[str, str], object]) -> None:
        self._name = name
        self._function = function

    def __call__(self, question: str, answer: str) -> str | None:
        """Call it."""
        said = self._function(question, answer)
        if said is None or isinstance(said, str):
            return f"{self._name}: {said}" if said else None
        raise UsageError(f"--check python={self._name}: it returned {said!r}; a check returns a text, or None")


def schema_check(path: str) -> Schema:
    """Make the check of a schema file. Raises `UsageError` where it cannot be read, or is no schema."""
    try:
        jsonschema: Any = import_module("jsonschema")
    except ModuleNotFoundError:
        raise UsageError("--check schema=… needs a package that is not installed: pip install jsonschema") from None
    try:
        schema = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"--check schema={path}: it cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UsageError(f"--check schema={path}: it is not JSON ({error})") from None
    kind: Any = jsonschema.validators.validator_for(schema)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise UsageError(f"--check schema={path}: it is not a JSON Schema ({error.message})") from None
    validator = kind(schema)

    def first(value: object) -> str | None:
        errors = sorted(validator.iter_errors(value), key=lambda error: [str(part) for part in error.path])
        if not errors:
            return None
        where = "/".join(map(str, errors[0].path))
        return f"{where + ': ' if where else ''}{_shown(errors[0].message, 200)}"

    return Schema(first)


def entry_point(name: str) -> Entry:
    """Find `MODULE:FUNCTION`, in the current folder too. Raises `UsageError` where it is not there."""
    module, _, function = name.partition(":")
    if not module or not function:
        raise UsageError(f"--check python={name}: give MODULE:FUNCTION, such as python=my_checks:polite")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        raise UsageError(f"--check python={name}: there is no module {error.name!r} here or installed") from None
    except AttributeError:
        raise UsageError(f"--check python={name}: the module {module!r} has no {function!r}") from None
    if not callable(found):
        raise UsageError(f"--check python={name}: {function!r} is not a function")
    return Entry(name, found)


def _shown(text: str, most: int = _SHOWN) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= most else text[: most - 1] + "…") if most == _SHOWN else text[:most]
