"""Reads files of answered questions: question, answer, reference, and where somebody judged it, a label."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from tamiz.datasets.records import Records
from tamiz.datasets.rows import shorten
from tamiz.datasets.sniff import check_file, check_text_file, kind_of
from tamiz.datasets.source import Lines, Source
from tamiz.errors import UsageError
from tamiz.scoring import joined

__all__ = ["ROLES", "Answered", "read_answered"]

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


class Answered(msgspec.Struct, frozen=True):
    """An answer to judge. `label` tells whether somebody found it good; `None` where nobody looked."""

    line: int
    """Where its row starts, from 1; in Parquet its number, from 1."""
    question: str
    answer: str
    reference: str | None
    label: bool | None
    id: str | None


def read_answered(path: str, columns: Mapping[str, str] | None = None) -> Iterator[Answered]:
    """Give the rows of a .csv, .tsv, .jsonl or .parquet file, also .gz; `columns` names a role's column.

    A reference that is a list (in JSON Lines, Parquet) has its elements for accepted forms. Raises `UsageError`, which
    names the line, where the file has no answer column or a row cannot be read.
    """
    given = dict(columns or {})
    for role in given:
        if role not in ROLES:
            raise UsageError(f"--columns: {role!r} is not a role; the roles are {', '.join(ROLES)}")
    check_file(path)
    kind, gz = kind_of(path)
    source = Source(path, gz)
    if kind != "parquet":
        check_text_file(source, kind)
    found: dict[str, str] | None = None
    for line, row in _records(source, kind):
        if found is None or kind == "jsonl":
            found = _columns(path, list(row), given)
        yield _answered(path, line, {role: row.get(name) for role, name in found.items()})
    if found is None:
        raise UsageError(f"{path!r} is empty; give a file with answers")


def _records(source: Source, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if kind == "parquet":
        yield from _parquet(source)
        return
    with source.open() as stream:
        lines = Lines(stream)
        if kind == "jsonl":
            for number, raw in enumerate(lines, 1):
                if raw.strip():
                    yield number, _object(source.path, number, raw)
        else:
            names: list[str] | None = None
            for line, fields, flaw in Records(lines, "," if kind == "csv" else "\t"):
                if flaw is not None:
                    raise UsageError(f"{source.path!r}, line {line}: {flaw}")
                if names is None:
                    names = fields
                elif len(fields) != len(names):
                    raise UsageError(
                        f"{source.path!r}, line {line}: the row has {len(fields)} columns, not {len(names)}"
                    )
                else:
                    yield line, dict(zip(names, fields, strict=True))
        if lines.broken:
            raise UsageError(f"{source.path!r}: {lines.broken}")


def _object(path: str, number: int, raw: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path!r}, line {number}: it is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path!r}, line {number}: {shorten(value)} is not a JSON object")
    return value


def _parquet(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        import pyarrow.parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError("Parquet needs pyarrow, which is not installed: pip install 'tamiz[lab]'") from error
    if source.gz:
        raise UsageError(f"{source.path!r}: decompress it first, Parquet is compressed by itself")
    try:
        with pyarrow.parquet.ParquetFile(source.path) as table:
            number = 0
            for batch in table.iter_batches(512):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (OSError, pyarrow.ArrowException) as error:
        raise UsageError(f"{source.path!r} is no Parquet, or damaged: {str(error).splitlines()[0]}") from error


def _columns(path: str, names: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Give the name of each role's column."""
    plain = {name.strip().casefold().replace(" ", "_").replace("-", "_"): name for name in reversed(names)}
    found = {}
    for role, choices in ROLES.items():
        if role in given:
            if given[role] not in names:
                raise UsageError(
                    f"{path!r} has no column {given[role]!r} for {role}; its columns are {', '.join(names)}"
                )
            found[role] = given[role]
        elif choice := next((each for each in choices if each in plain and plain[each] not in given.values()), None):
            found[role] = plain[choice]
    if "answer" not in found:
        raise UsageError(
            f"{path!r} has no answer column; its columns are {', '.join(names)}. Name it: --columns answer=NAME"
        )
    return found


def _answered(path: str, line: int, values: Mapping[str, Any]) -> Answered:
    reference = values.get("reference")
    forms = [
        _text(path, line, "reference", each) for each in (reference if isinstance(reference, list) else [reference])
    ]
    id_ = _text(path, line, "id", values.get("id"))
    return Answered(
        line=line,
        question=_text(path, line, "question", values.get("question")),
        answer=_text(path, line, "answer", values.get("answer")),
        reference=joined(forms),
        label=_label(path, line, values.get("label")),
        id=id_ or None,
    )


def _text(path: str, line: int, role: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        raise UsageError(f"{path!r}, line {line}: the {role} {shorten(value)} is not a text")
    return value if isinstance(value, str) else str(value)


def _label(path: str, line: int, value: object) -> bool | None:
    text = str(value).strip().lower() if value is not None else ""
    if not text:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise UsageError(f"{path!r}, line {line}: the label {shorten(value)} is neither good nor bad: write 1 or 0")
