"""Writes question files and reads result rows, in every format."""

import csv
import gzip
import importlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["COLUMNS", "read_rows", "rows_of", "write_questions"]

COLUMNS: Final = [
    "id",
    "question",
    "answer",
    "outcome",
    "score",
    "source",
    "attempts",
    "retries",
    "reason",
    "model",
    "latency_ms",
    "message_id",
]
"""A result row's fields, in order."""

_NUMBERS: Final[dict[str, type]] = {"score": float, "latency_ms": float, "attempts": int, "retries": int}


def write_questions(path: Path, questions: Sequence[Mapping[str, str | None]]) -> Path:
    """Write questions, all with the same columns, in the format of the file's name."""
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    names = [*questions[0]]
    if kind == "jsonl":
        data = "".join(json.dumps(question) + "\n" for question in questions).encode()
    elif kind == "parquet":
        arrow = importlib.import_module("pyarrow")
        buffer = io.BytesIO()
        importlib.import_module("pyarrow.parquet").write_table(
            arrow.table({name: [question[name] for question in questions] for name in names}), buffer
        )
        data = buffer.getvalue()
    else:
        text = io.StringIO()
        writer = csv.DictWriter(text, names, delimiter="\t" if kind == "tsv" else ",")
        writer.writeheader()
        writer.writerows(questions)
        data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def rows_of(text: str) -> list[dict[str, Any]]:
    """Decode JSON Lines, each line of which must be whole."""
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a file of result rows in the format of its name; CSV's empty fields are `None`."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if ".parquet" in path.suffixes:
        table = importlib.import_module("pyarrow.parquet").read_table(io.BytesIO(data))
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows
    text = data.decode()
    if ".csv" not in path.suffixes:
        return rows_of(text)
    return [
        {name: _NUMBERS.get(name, str)(value) if value else None for name, value in row.items()}
        for row in csv.DictReader(io.StringIO(text, newline=""))
    ]
