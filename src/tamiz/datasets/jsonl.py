"""Reads JSON Lines: one object a line, in a file or on standard input."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final

import msgspec

from tamiz.datasets.columns import check_found, recognise
from tamiz.datasets.rows import BadRow, Read, Row, bad_row, make_row, shorten
from tamiz.datasets.sniff import check_text
from tamiz.datasets.source import ROW_CAP, Lines, Source
from tamiz.errors import UsageError

__all__ = ["objects", "prepare", "prepare_stdin"]

_LOOKED_AT: Final = 100
_SHAPES: Final = 1_000
_SALVAGED: Final = 1_000_000
_TOO_LONG: Final = "the row is over 32 MB"


def prepare(source: Source, given: Mapping[str, str]) -> Read:
    """Check the first lines and give what reads the rows.

    Raises `UsageError` where the file is not JSON Lines, or none of its first hundred objects has a question.
    """
    with source.open() as stream:
        lines = Lines(stream)
        _look(source.path, lines, iter(lines), given)

    def read() -> Iterator[Row | BadRow]:
        with source.open() as stream:
            lines = Lines(stream)
            yield from _Reader(source.path, given).rows(lines, iter(lines))

    return read


def prepare_stdin(stream: BinaryIO, given: Mapping[str, str]) -> Read:
    """Do as `prepare` with a stream that can be read once; no more of it is read ahead than is needed to check it."""
    lines = Lines(stream)
    rest = iter(lines)
    seen = _look("-", lines, rest, given)
    rows = iter(_Reader("-", given).rows(lines, itertools.chain(seen, rest)))
    unread = [rows]

    def read() -> Iterator[Row | BadRow]:
        if not unread:
            raise UsageError("standard input can be read only once; write it to a .jsonl file and give that")
        return unread.pop()

    return read


def objects(path: str, lines: Lines) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Give the objects of lines, each with its number; in place of what is none, a sentence that says why.

    Raises `UsageError` where the first line does not even begin like one.
    """
    decode = msgspec.json.Decoder().decode
    number = 0
    started = False
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line:
            continue
        if not started:
            _check_first(path, line)
            started = True
        if len(raw) > ROW_CAP:
            yield number, _TOO_LONG
            continue
        try:
            value = decode(raw)
        except (ValueError, RecursionError) as error:
            yield number, _why(raw, error)
        else:
            yield number, value if isinstance(value, dict) else f"{shorten(value)} is not a JSON object"
    if lines.broken:
        yield number + 1, lines.broken


def _look(path: str, lines: Lines, raws: Iterator[bytes], given: Mapping[str, str]) -> list[bytes]:
    """Read lines until every column that is asked for has been seen, and give them."""
    seen: list[bytes] = []
    names: dict[str, None] = {}
    started = False
    for raw in raws:
        seen.append(raw)
        line = raw.strip()
        if not line:
            continue
        if not started:
            _check_first(path, line)
            started = True
        value = _decoded(raw)
        names.update(dict.fromkeys(value if isinstance(value, dict) else ()))
        found = recognise(list(names), given)
        if ("question" in found and given.keys() <= found.keys()) or len(seen) >= _LOOKED_AT:
            break
    if not started:
        why = f": {lines.broken}; fetch it again" if lines.broken else " is empty; give a file with questions"
        raise UsageError(f"{path!r}{why}")
    if names:
        check_found(path, list(names), given, recognise(list(names), given))
    return seen


def _check_first(path: str, line: bytes) -> None:
    check_text(path, line[:_LOOKED_AT], "jsonl")
    if line.startswith(b"["):
        raise UsageError(f"{path!r} is a JSON list; JSONL has one object a line: jq -c '.[]' makes it of a list")
    if line == b"{":
        raise UsageError(f"{path!r} is JSON over several lines; JSONL has one object a line: jq -c . makes it so")
    if not line.startswith(b"{"):
        shown = shorten(line[:_LOOKED_AT].decode(errors="replace"))
        raise UsageError(f"{path!r} is not JSONL: it starts with {shown}, not with an object; is it CSV?")


def _decoded(raw: bytes) -> object:
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return None


class _Reader:
    """Makes rows of lines; objects with the same keys are looked up only once."""

    def __init__(self, file: str, given: Mapping[str, str]) -> None:
        self._file = file
        self._given = given
        self._shapes: dict[tuple[str, ...], tuple[str | None, ...]] = {}

    def rows(self, lines: Lines, raws: Iterable[bytes]) -> Iterator[Row | BadRow]:
        """Give the rows of `raws`, which are the lines of `lines`."""
        decode = msgspec.json.Decoder().decode
        number = 0
        for number, raw in enumerate(raws, 1):
            if len(raw) > ROW_CAP:
                yield self._bad(number, raw, _TOO_LONG)
                continue
            try:
                value = decode(raw)
            except (ValueError, RecursionError) as error:
                if raw.strip():
                    yield self._bad(number, raw, _why(raw, error))
                continue
            yield self._row(number, value)
        if lines.broken:
            yield bad_row(self._file, number + 1, lines.broken)

    def _row(self, number: int, value: object) -> Row | BadRow:
        if not isinstance(value, dict):
            return bad_row(self._file, number, f"{shorten(value)} is not a JSON object")
        question, content, reference, id_ = self._keys(tuple(value))
        get = value.get
        return make_row(self._file, number, get(id_), get(question), get(content), get(reference))

    def _keys(self, names: tuple[str, ...]) -> tuple[str | None, ...]:
        keys = self._shapes.get(names)
        if keys is None:
            found = recognise(names, self._given)
            roles = ("question", "content", "reference", "id")
            keys = tuple(names[found[role]] if role in found else None for role in roles)
            if len(self._shapes) < _SHAPES:
                self._shapes[names] = keys
        return keys

    def _bad(self, number: int, raw: bytes, problem: str) -> BadRow:
        """Report a line that cannot be decoded, with the id and the question where a more lenient reader finds them."""
        try:
            value = json.loads(raw[:_SALVAGED].decode(errors="replace"), strict=False)
        except (ValueError, RecursionError):
            value = None
        row = self._row(number, value) if isinstance(value, dict) else None
        title = row.title if row else ""
        return bad_row(self._file, number, problem, id_=row.id if row else None, title=title)


def _why(raw: bytes, error: Exception) -> str:
    shown = shorten(raw[:_LOOKED_AT].decode(errors="replace").strip())
    try:
        raw.decode()
    except UnicodeDecodeError as undecodable:
        around = raw[max(0, undecodable.start - 20) : undecodable.start + 20].decode(errors="replace")
        return f"{shorten(around)} is not UTF-8 (byte 0x{raw[undecodable.start]:02x})"
    if b"\0" in raw:
        return f"{shown} contains a NUL character"
    if b"\\ud" in raw.lower() and _is_lenient_json(raw):
        return f"{shown} has half of a surrogate pair (such as \\ud800), which is no character"
    if isinstance(error, RecursionError):
        return f"{shown} is nested too deeply"
    return f"{shown} is not JSON ({error})"


def _is_lenient_json(raw: bytes) -> bool:
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return True
