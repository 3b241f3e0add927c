"""Writes the questions of dead letters, in a form that `tamiz run` reads."""

import contextlib
import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from tamiz.errors import UsageError
from tamiz.scoring import as_given
from tamiz.store.lives import Dead

__all__ = ["open_questions"]

_COLUMNS: Final = ("id", "question", "content", "reference", "kind", "reason", "message_id")


@contextlib.contextmanager
def open_questions(path: str | None, *, not_this: str | None) -> Iterator[Callable[[Sequence[Dead]], None]]:
    """Open a file for questions by the end of its name, and give the function that writes some.

    `None` and `-` are JSON Lines on standard output. `not_this` is a file that must not be written over, if any.
    Raises `UsageError` where the file is that one, is of another kind than .jsonl and .csv, or cannot be written.
    """
    encode = _csv if path is not None and path.lower().endswith(".csv") else _json_lines
    if path is None or path == "-":
        yield _writer(sys.stdout.buffer, encode)
        return
    if not path.lower().endswith((".csv", ".jsonl")):
        raise UsageError(f"{path!r} is of no known kind; --out writes .jsonl and .csv")
    if not_this is not None and Path(path).exists() and Path(path).samefile(not_this):
        raise UsageError(f"{path!r} is the state file, which would be lost; give another --out")
    try:
        file = Path(path).open("wb")  # noqa: SIM115 - closed below; only the opening is a matter of usage
    except OSError as error:
        raise UsageError(f"{path!r} cannot be written: {error.strerror}; give another --out") from error
    with file:
        if encode is _csv:
            file.write(_csv([_COLUMNS]))
        yield _writer(file, encode)


def _writer(file: BinaryIO, encode: Callable[[Sequence[Sequence[Any]]], bytes]) -> Callable[[Sequence[Dead]], None]:
    def write(letters: Sequence[Dead]) -> None:
        file.write(encode([[getattr(letter, name) for name in _COLUMNS] for letter in letters]))
        file.flush()

    return write


def _json_lines(rows: Sequence[Sequence[Any]]) -> bytes:
    told = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    return msgspec.json.Encoder().encode_lines([{**row, "reference": as_given(row["reference"])} for row in told])


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
