"""Reads CSV and TSV."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from tamiz.datasets.columns import check_found, recognise
from tamiz.datasets.records import Record, Records
from tamiz.datasets.rows import BadRow, Read, Row, bad_row, shorten
from tamiz.datasets.source import Lines, Source
from tamiz.errors import UsageError
from tamiz.units import plural

__all__ = ["prepare"]


class _Layout(msgspec.Struct, frozen=True):
    """Which field of a record is what, by position."""

    header: bool
    width: int
    question: int
    content: int | None = None
    reference: int | None = None
    id: int | None = None


_YAHOO_ANSWERS: Final = _Layout(header=False, width=4, question=1, content=2, reference=3)
"""Class, title, content, best answer."""


def prepare(source: Source, delimiter: str, given: Mapping[str, str]) -> Read:
    """Find the columns and give what reads the rows. Raises `UsageError` for a file without question column or rows."""
    with source.open() as stream:
        records = iter(Records(Lines(stream), delimiter))
        first = next(records, None)
        if first is None:
            raise UsageError(f"{source.path!r} is empty; give a file with questions")
        _, names, flaw = first
        if not names:
            raise UsageError(f"{source.path!r}: {flaw}; fetch it again")
        layout = _layout(source.path, names, given)
        if layout.header and next(records, None) is None:
            raise UsageError(f"{source.path!r} is empty: it has a header and no rows; give a file with questions")
    return lambda: _rows(source, delimiter, layout)


def _layout(path: str, names: list[str], given: Mapping[str, str]) -> _Layout:
    found = recognise(names, given)
    if len(names) == _YAHOO_ANSWERS.width and not given and _is_data(names, found):
        return _YAHOO_ANSWERS
    check_found(path, names, given, found)
    return _Layout(header=True, width=len(names), **found)


def _is_data(names: list[str], found: Mapping[str, int]) -> bool:
    # an answer may happen to be a word such as "Title"; a class number in front tells a row from a header all the same
    return not found or ("question" not in found and names[0].isdecimal())


def _rows(source: Source, delimiter: str, layout: _Layout) -> Iterator[Row | BadRow]:
    file, width = source.path, layout.width
    question, content, reference, id_ = layout.question, layout.content, layout.reference, layout.id
    with source.open() as stream:
        records = iter(Records(Lines(stream), delimiter))
        if layout.header:
            next(records, None)
        for record in records:
            line, fields, flaw = record
            if flaw is not None or len(fields) != width or not (title := fields[question]) or title.isspace():
                yield _bad(file, record, layout)
                continue
            answer = None if reference is None else fields[reference]
            yield Row(
                file,
                line,
                None if id_ is None else fields[id_] or None,
                title,
                "" if content is None else fields[content],
                None if not answer or answer.isspace() else answer,
            )


def _bad(file: str, record: Record, layout: _Layout) -> BadRow:
    line, fields, flaw = record
    question, id_ = layout.question, layout.id
    title = fields[question] if question < len(fields) else ""
    if flaw is None and len(fields) != layout.width:
        start = shorten(fields[0])
        flaw = f"the row that starts with {start} has {plural(len(fields), 'column')} where {layout.width} are expected"
    return bad_row(
        file,
        line,
        flaw or f"the question {shorten(title)} is empty",
        id_=fields[id_] if id_ is not None and id_ < len(fields) else None,
        title=title,
    )
