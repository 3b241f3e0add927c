"""Reads files of answered questions: question, answer, reference, and where somebody judged it, a label."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tamiz.datasets.columns import check_found, check_given, recognise
from tamiz.datasets.jsonl import objects
from tamiz.datasets.parquet import rows_of
from tamiz.datasets.records import Records
from tamiz.datasets.rows import BadRow, bad_row, reference_of, shorten, text_of
from tamiz.datasets.sniff import check_file, check_text_file, kind_of
from tamiz.datasets.source import Lines, Source, standard_input
from tamiz.errors import UsageError
from tamiz.units import plural

__all__ = ["ROLES", "Answered", "is_good", "read_answered"]

ROLES: Final[dict[str, tuple[str, ...]]] = {
    "question": ("question", "title", "prompt", "query", "input"),
    "answer": ("answer", "llm_answer", "response", "output", "prediction", "completion"),
    "reference": ("reference", "best_answer", "expected", "ground_truth", "target"),
    "label": ("label", "good", "correct", "right", "accepted"),
    "id": ("id", "message_id"),
}
"""The names that a column is recognised by, whatever their case; of several the earlier one in this list is taken."""

_TRUE: Final = frozenset({"1", "1.0", "true", "yes", "y", "good", "right", "correct", "accepted", "ok"})
_FALSE: Final = frozenset({"0", "0.0", "false", "no", "n", "bad", "wrong", "incorrect", "exhausted", "failed"})

_LOOKED_AT: Final = 100
_SHAPES: Final = 1_000

_Record = tuple[int, dict[str, Any] | str]
"""A line's number, and its values by the names of their columns, or what is wrong with it."""


class Answered(msgspec.Struct, frozen=True):
    """An answer to judge."""

    line: int
    """Where its row starts, from 1; in Parquet its number, from 1."""
    question: str
    answer: str
    reference: str | None
    label: str | None
    """What somebody found of it, as the file says it: see `is_good`."""
    id: str | None


def read_answered(path: str, columns: Mapping[str, str] | None = None) -> Iterator[Answered | BadRow]:
    """Give the rows of a .csv, .tsv, .jsonl or .parquet file, also .gz; `-` is JSON Lines on standard input.

    `columns` names a role's column. A reference that is a list (in JSON Lines, Parquet) has its elements for accepted
    forms. A row that is no answer is given as a `BadRow`, and those after it still come. Raises `UsageError` where the
    file cannot be read at all, or none of its first hundred rows has an answer column.
    """
    given = dict(columns or {})
    check_given(given, ROLES)
    if path == "-":
        return _rows(path, objects(path, Lines(standard_input())), given)
    check_file(path)
    kind, gz = kind_of(path)
    source = Source(path, gz)
    if kind == "parquet":
        return _rows(path, rows_of(source), given)
    check_text_file(source, kind)
    return _rows(path, _text_rows(source, kind), given)


def is_good(row: Answered, path: str) -> bool | None:
    """Tell what a row's label says; `None` where nobody looked. Raises `UsageError` where it says neither."""
    text = (row.label or "").strip().lower()
    if not text:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise UsageError(f"{path!r}, line {row.line}: the label {shorten(text)} is neither good nor bad: write 1 or 0")


def _rows(path: str, records: Iterator[_Record], given: Mapping[str, str]) -> Iterator[Answered | BadRow]:
    seen: list[_Record] = []
    names: dict[str, None] = {}
    found: Mapping[str, int] = {}
    for line, values in records:
        seen.append((line, values))
        names.update(dict.fromkeys(values if isinstance(values, dict) else ()))
        found = recognise(list(names), given, ROLES)
        if ("answer" in found and given.keys() <= found.keys()) or len(seen) >= _LOOKED_AT:
            break
    if not seen:
        raise UsageError(f"{path!r} is empty; give a file with answers")
    if names:
        check_found(path, list(names), given, found, "answer")
    shapes: dict[tuple[str, ...], dict[str, str]] = {}
    for line, values in itertools.chain(seen, records):
        if isinstance(values, str):
            yield bad_row(path, line, values)
            continue
        shape = tuple(values)
        if shape not in shapes:
            if len(shapes) >= _SHAPES:
                shapes.clear()
            shapes[shape] = {role: shape[at] for role, at in recognise(shape, given, ROLES).items()}
        yield _answered(path, line, {role: values[name] for role, name in shapes[shape].items()})


def _text_rows(source: Source, kind: str) -> Iterator[_Record]:
    with source.open() as stream:
        lines = Lines(stream)
        if kind == "jsonl":
            yield from objects(source.path, lines)
        else:
            yield from _table(source.path, Records(lines, "," if kind == "csv" else "\t"))


def _table(path: str, records: Records) -> Iterator[_Record]:
    names: list[str] | None = None
    for line, fields, flaw in records:
        if flaw is not None and names is None:
            raise UsageError(f"{path!r}, line {line}: {flaw}")
        if flaw is not None:
            yield line, flaw
        elif names is None:
            names = fields
        elif len(fields) != len(names):
            yield line, f"the row has {plural(len(fields), 'column')}, not {len(names)}"
        else:
            yield line, dict(zip(names, fields, strict=True))


def _answered(path: str, line: int, value: Mapping[str, Any]) -> Answered | BadRow:
    id_ = value.get("id")
    try:
        answer = text_of("answer", value.get("answer"))
        if answer is None:
            raise ValueError("the row has no answer (it is absent or null)")  # noqa: TRY301 - like those of `text_of`
        return Answered(
            line=line,
            question=text_of("question", value.get("question")) or "",
            answer=answer,
            reference=reference_of(value.get("reference")),
            label=text_of("label", value.get("label")),
            id=text_of("id", id_) or None,
        )
    except ValueError as error:
        return bad_row(path, line, str(error), id_=str(id_) if isinstance(id_, str | int) else None)
