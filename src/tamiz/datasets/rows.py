"""What a question file gives: rows, and the rows that are no questions."""

import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

import msgspec

from tamiz.scoring import joined

__all__ = ["FIELD_CAP", "BadRow", "Read", "Row", "bad_row", "make_row", "reference_of", "shorten", "text_of"]

FIELD_CAP: Final = 10_000_000
"""The longest field that is accepted, in bytes of UTF-8."""

_TITLE_CAP: Final = 1_000
_SHOWN: Final = 40


class Row(msgspec.Struct, frozen=True, gc=False):
    """A question as its file has it: nothing is stripped or altered.

    Texts are valid UTF-8 without NUL characters, each of at most `FIELD_CAP` bytes; `title` is never blank.
    """

    file: str
    line: int
    """The line where the row starts, from 1; in Parquet the row's number, from 1."""
    id: str | None
    title: str
    content: str = ""
    reference: str | None = None
    """Its accepted forms where it has several (see `tamiz.scoring.forms`)."""


class BadRow(msgspec.Struct, frozen=True, gc=False):
    """A row that is not a question, and why. `id` and `title` are what could be read of them, made valid UTF-8."""

    file: str
    line: int
    """Where the row starts, as in `Row`."""
    id: str | None
    problem: str
    """A sentence that names the value, shortened, and what is wrong with it."""
    title: str = ""


Read = Callable[[], Iterator[Row | BadRow]]
"""Reads a file's rows from its start."""


def shorten(value: object) -> str:
    """Give a value for a message: quoted, printable, at most about forty characters."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def bad_row(file: str, line: int, problem: str, *, id_: str | None = None, title: str = "") -> BadRow:
    """Make a `BadRow`, whatever the texts hold: what UTF-8 cannot carry is replaced, and long texts are cut."""
    return BadRow(file, line, _clean(id_) if id_ else None, problem, _clean(title))


def make_row(  # noqa: PLR0917 (the order of `Row`, which is called once a row)
    file: str, line: int, id_: object, title: object, content: object, reference: object
) -> Row | BadRow:
    """Make a row of values of any type: numbers become text, null is absent, anything else is a `BadRow`.

    A reference may be a list of its accepted forms.
    """
    try:
        return Row(
            file,
            line,
            text_of("id", id_) or None,
            _not_blank(text_of("question", title)),
            text_of("content", content) or "",
            reference_of(reference),
        )
    except ValueError as error:
        shown = str(id_) if isinstance(id_, str | int) else None
        return bad_row(file, line, str(error), id_=shown, title=title if isinstance(title, str) else "")


def text_of(role: str, value: object) -> str | None:
    """Give a value as text; `None` stays `None`, as does NaN (a missing number in Parquet).

    Raises `ValueError` with the problem where the value is not a text, or one that no row may have.
    """
    if value is None:
        return None
    if isinstance(value, bytes):
        value = _decoded(role, value)
    if isinstance(value, str):
        _refuse_text(role, value)
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, int | float | Decimal):
        return str(value)
    raise ValueError(_not_text(role, value))


def _decoded(role: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        shown = shorten(value.decode(errors="replace"))
        raise ValueError(f"the {role} {shown} is not UTF-8 (byte 0x{value[error.start]:02x})") from error


def _refuse_text(role: str, text: str) -> None:
    if "\0" in text:
        raise ValueError(f"the {role} {shorten(text)} contains a NUL character")
    # a character is one to four bytes of UTF-8, so most texts need not be encoded to know that they fit
    if len(text) * 4 > FIELD_CAP and len(text.encode(errors="replace")) > FIELD_CAP:
        raise ValueError(f"the {role} {shorten(text)} is over 10 MB")


def _not_text(role: str, value: object) -> str:
    kind = "an object" if isinstance(value, dict) else f"a {type(value).__name__}"
    return f"the {role} {shorten(value)} is {kind}, not a text"


def _not_blank(title: str | None) -> str:
    if title is None:
        raise ValueError("the row has no question (it is absent or null)")
    if not title or title.isspace():
        raise ValueError(f"the question {shorten(title)} is empty")
    return title


def reference_of(value: object) -> str | None:
    """Give a reference as text, one form or a list of them; `None` where it is blank. Raises `ValueError` likewise."""
    if isinstance(value, list):
        text = joined(text_of("reference", form) for form in value)
        if text is not None:
            _refuse_text("reference", text)  # all forms together
        return text
    text = text_of("reference", value)
    return None if not text or text.isspace() else text


def _clean(text: str) -> str:
    return text[:_TITLE_CAP].replace("\0", "\ufffd").encode(errors="replace").decode()
