"""What is wrong with a part of a request, always in one form: its name, what it is, and what it must be."""

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import inspect

from tamiz.errors import UsageError
from tamiz.http.kinds import choices, expected, listed
from tamiz.http.problems import Problem

__all__ = ["UNREADABLE", "Reading", "missing", "naming", "no_json", "of_query", "reading", "shown", "unknown", "wrong"]

T = TypeVar("T")

UNREADABLE: Final = (msgspec.DecodeError, UnicodeError)
"""What decoding a body raises."""

_BODY: Final = "body"
_UNKNOWN: Final = object()  # a value that cannot be looked up
_NAMED: Final = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_LONGEST: Final = 40


class Reading(Generic[T]):
    """Reads bodies as JSON of a type, strictly: a text is no number."""

    def __init__(self, kind: type[T]) -> None:
        self.decode = msgspec.json.Decoder(kind).decode
        """Decodes a body, without a word of what is wrong with it; for who asks `problem` for that."""
        self._kind = kind

    def __call__(self, body: bytes) -> T:
        """Read a body. Raises `Problem` that names what is wrong."""
        try:
            return self.decode(body)
        except UNREADABLE as error:
            raise self.problem(body, error) from None

    def problem(self, body: bytes, error: Exception) -> Problem:
        """Give what is wrong with a body whose decoding raised this."""
        if isinstance(error, msgspec.ValidationError):
            return wrong(error, self._kind, _loosely(body))
        return _problem("", no_json(body, error), f"it must be JSON: {expected(inspect.type_info(self._kind))}")


@lru_cache
def reading(kind: type[T]) -> Reading[T]:
    """Give what reads bodies as a type."""
    return Reading(kind)


def wrong(error: msgspec.ValidationError, kind: type, value: object, *, under: str = "", code: str = "") -> Problem:
    """Give what is wrong with a value that was to be of a type; `under` is the field that it is in."""
    what, at, path = str(error).rpartition(" - at `$")
    what, path = (what, path.removesuffix("`")) if at else (path, "")
    node, found = _follow(inspect.type_info(kind), value, path)
    field = (under + path).removeprefix(".")
    if (named := _NAMED.fullmatch(what)) is None:
        return _problem(field, _is(found), _must_be(node), code)
    name = named[2][:_LONGEST]
    fields = {each.encode_name: each.type for part in choices(node) for each in getattr(part, "fields", ())}
    field = f"{field}.{name}" if field else name
    if name in fields:
        return _problem(field, "is missing", _must_be(fields[name]), code)
    return unknown(field, [*fields], name, code)


def unknown(field: str, known: Sequence[str], name: str = "", code: str = "") -> Problem:
    """Give what is wrong with a field that is none of those that are known; `name` is the last part of it."""
    near = difflib.get_close_matches(name or field, known, n=1)
    instead = f"did you mean {near[0]}?" if near else f"there is {listed(known) if known else 'none that it takes'}"
    return _problem(field[:_LONGEST] or "''", "is not known", instead, code)


def missing(field: str, kind: Any) -> Problem:  # noqa: ANN401 - any annotation
    """Give what is wrong with a field that was to be of a type and is not there."""
    return _problem(field, "is missing", _must_be(inspect.type_info(kind)))


def of_query(field: str, values: Sequence[str], kind: Any) -> Problem:  # noqa: ANN401 - any annotation
    """Give what is wrong with a parameter of a URL, which may be given several times where it is a list."""
    node = inspect.type_info(kind)
    node = next((each.item_type for each in choices(node) if isinstance(each, inspect.ListType)), node)
    right = {each.value for each in node.cls} if isinstance(node, inspect.EnumType) else set()
    value = next((each for each in values if each not in right), "")
    return _problem(field, f"is {value[:_LONGEST]!r}", _must_be(node))


def _problem(field: str, what: str, instead: str, code: str = "") -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, f"{field or 'the body'} {what}; {instead}", field=field or _BODY, code=code)


@contextmanager
def naming(field: str) -> Iterator[None]:
    """Have what is found wrong within the block told as wrong with a field."""
    try:
        yield
    except UsageError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{field}: {error}", field=field) from None


def shown(value: object) -> str:
    """Give a value as messages have it."""
    match value:
        case None | bool() | int() | float():
            return json.dumps(value)[:_LONGEST]
        case str() if len(value) > _LONGEST:
            return f"the text {value[:_LONGEST]!r}… of {len(value):,} characters"
        case str():
            return f"the text {value!r}"
        case list():
            return f"a list of {len(value):,}"
        case _:
            return "an object"


def _is(value: object) -> str:
    return "is wrong" if value is _UNKNOWN else f"is {shown(value)}"


def _must_be(node: inspect.Type | None) -> str:
    return "it is not what it must be" if node is None else f"it must be {expected(node)}"


def _follow(node: inspect.Type | None, value: object, path: str) -> tuple[inspect.Type | None, object]:
    """Give the type and the value at a path, as msgspec writes it."""
    for name, index in _STEP.findall(path):
        node = next(filter(None, (_below(each, name) for each in choices(node))), None)
        match value:
            case dict() if name:
                value = value.get(name, _UNKNOWN)
            case list() if index.isdigit() and int(index) < len(value):
                value = value[int(index)]
            case _:
                value = _UNKNOWN
    return node, value


def _below(node: inspect.Type, name: str) -> inspect.Type | None:
    """Give the type of a field, or without a name that of the items."""
    match node:
        case inspect.StructType(fields=fields) if name:
            return next((each.type for each in fields if each.encode_name == name), None)
        case inspect.ListType(item_type=item) if not name:
            return item
        case inspect.DictType(value_type=item) if not name:
            return item
        case _:
            return None


def _loosely(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # there is more in JSON than Python reads
        return _UNKNOWN


def no_json(body: bytes, error: Exception) -> str:
    """Say what keeps a body from being JSON."""
    if not body.strip():
        return "is empty"
    try:
        json.loads(body.decode())
    except UnicodeDecodeError as flaw:
        return f"is not UTF-8 (byte 0x{body[flaw.start]:02x} at {flaw.start:,})"
    except json.JSONDecodeError as flaw:
        return f"cannot be read: {flaw}"
    except (ValueError, RecursionError):
        return f"cannot be read: {error}"
    half = b"\\ud" in body.lower()
    return "has half of a surrogate pair, such as \\ud800, which is no text" if half else f"cannot be read: {error}"
