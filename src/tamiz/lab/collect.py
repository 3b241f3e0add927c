"""Gathers the cells of an experiment into Parquet files."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from tamiz.lab.cells import Cell, Columns, Measured
from tamiz.lab.preset import Value
from tamiz.reports.interval import mean_of

__all__ = ["collect", "read_measured", "write_measured"]

_COUNTS: Final = frozenset({"attempts", "retries", "queue_depth", "in_flight", "arrivals", "outcomes"})
_TEXTS: Final = frozenset({"outcome", "source"})
_FEWEST: Final = 2


def write_measured(path: Path, measured: Measured) -> None:
    """Write what a cell gave: the file is there whole, or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(msgspec.msgpack.encode(measured))
    part.replace(path)


def read_measured(path: Path) -> Measured:
    """Read what `write_measured` wrote."""
    return msgspec.msgpack.decode(path.read_bytes(), type=Measured)


def collect(folder: Path, cells: Iterable[tuple[Cell, Path]]) -> None:
    """Write `cells.parquet`, `summary.parquet`, and `questions.parquet` and `series.parquet` where there are any.

    Each file takes the place of the one before whole. Memory holds the questions of one cell at a time.
    """
    rows: list[dict[str, Value]] = []
    axes: set[str] = set()
    with _Table(folder / "questions.parquet") as questions, _Table(folder / "series.parquet") as series:
        for cell, path in cells:
            measured = read_measured(path)
            axes |= set(cell.axes)
            rows.append({"cell": cell.number, "repetition": cell.repetition, "seed": cell.seed, **cell.axes,
                         **measured.metrics})  # fmt: skip
            questions.add(cell, measured.questions)
            series.add(cell, measured.series)
    _write(folder / "cells.parquet", rows)
    _write(folder / "summary.parquet", _summary(rows, {"cell", "repetition", "seed", *axes}))


def _summary(rows: Sequence[dict[str, Value]], others: Collection[str]) -> list[dict[str, Any]]:
    """Give the mean of each metric of each cell over its repetitions, with its interval; `others` are no metrics."""
    by_cell: dict[Value, list[dict[str, Value]]] = {}
    for row in rows:
        by_cell.setdefault(row["cell"], []).append(row)
    found = []
    for number, repetitions in by_cell.items():
        for metric in repetitions[0]:
            values = [value for row in repetitions if (value := _number(row.get(metric))) is not None]
            if metric not in others and (mean := mean_of(values)) is not None:
                sure = {"low": mean.low, "high": mean.high} if mean.n > 1 else {"low": None, "high": None}
                found.append({"cell": number, "metric": metric, "mean": mean.value, **sure, "n": mean.n})
    return found


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    part = path.with_name(f"{path.name}.part")
    pq.write_table(pa.table(columns), part)
    part.replace(path)


def _column(values: list[Any]) -> Any:  # noqa: ANN401 - pyarrow has no types
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and len(kinds) == _FEWEST:
        return pa.array(values, pa.float64())
    if len(kinds) > 1:  # an axis of texts and numbers
        return pa.array([None if value is None else str(value) for value in values])
    return pa.array(values)


class _Table:
    """A Parquet file that grows by the columns of one cell at a time; no file where nothing was added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._writer: Any = None
        self._schema: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()
            if error[0] is None:
                self._part.replace(self._path)
            self._part.unlink(missing_ok=True)

    def add(self, cell: Cell, columns: Columns) -> None:
        count = len(next(iter(columns.values()), []))
        if not count:
            return
        if self._writer is None:
            kinds = {**dict.fromkeys(_COUNTS, pa.int64()), **dict.fromkeys(_TEXTS, pa.string())}
            fields = [(name, kinds.get(name, pa.float64())) for name in columns]
            self._schema = pa.schema([("cell", pa.int64()), ("repetition", pa.int64()), *fields])
            self._writer = pq.ParquetWriter(self._part, self._schema)
        whole = {"cell": [cell.number] * count, "repetition": [cell.repetition] * count, **columns}
        self._writer.write_table(pa.table(whole, schema=self._schema))
