"""The cells of an experiment: each a point of its grid, measured some times."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tamiz.errors import UsageError
from tamiz.reports.interval import Mean, mean_of
from tamiz.reports.numbers import number

__all__ = ["Grid", "means_of", "named", "of_all", "shown"]

_OTHER: Final = frozenset({"cell", "repetition", "seed"})

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Grid:
    """The rows of `cells.parquet`, one a cell and repetition."""

    rows: Sequence[Row]
    axes: Mapping[str, Sequence[Any]]
    """The axes along which the cells differ, with their values in order."""

    @classmethod
    def read(cls, folder: Path, about: Mapping[str, Any]) -> "Grid":
        """Read the cells. Raises `UsageError` where there are none."""
        rows = [_with_shares(row) for row in _rows(folder / "cells.parquet")]
        if not rows:
            raise UsageError(f"{str(folder)!r} holds no cells yet: let the experiment finish at least one")
        named = about.get("axes") or {}
        given = {name: list(named[name]) if isinstance(named, dict) else [] for name in named if name in rows[0]}
        axes = {
            name: _ordered(list({_key(row[name]): row[name] for row in rows}.values()), values)
            for name, values in given.items()
        }
        return cls(rows, {name: values for name, values in axes.items() if len(values) > 1})

    @property
    def metrics(self) -> list[str]:
        """Name the columns that were measured."""
        return [
            name
            for name in self.rows[0]
            if name not in self.axes
            and name not in _OTHER
            and any(isinstance(row[name], int | float) and not isinstance(row[name], bool) for row in self.rows)
        ]

    def varied(self, metrics: Iterable[str]) -> list[str]:
        """Give those of the metrics that were measured and are not the same everywhere, in their order."""
        there = self.metrics
        return [name for name in metrics if name in there and len({row.get(name) for row in self.rows}) > 1]

    def has_share(self, metric: str) -> bool:
        """Tell whether a count was measured as a share of the questions, too."""
        return any(name in self.metrics for name in (f"{metric}_share", f"{metric}_per_question"))

    def numeric(self, axis: str) -> bool:
        """Tell whether an axis is one of numbers."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.axes[axis])

    def mean(self, metric: str, where: Row) -> Mean | None:
        """Give the mean of a metric over the rows with these values; `None` where there are none."""
        return mean_of(
            [
                float(row[metric])
                for row in self.rows
                if isinstance(row.get(metric), int | float) and all(row[axis] == value for axis, value in where.items())
            ]
        )

    def points(self, axes: Sequence[str]) -> list[dict[str, Any]]:
        """Give all combinations of the values of these axes that were measured, in the axes' order."""
        combined = itertools.product(*(self.axes[axis] for axis in axes))
        points = [dict(zip(axes, values, strict=True)) for values in combined]
        return [point for point in points if any(all(row[a] == v for a, v in point.items()) for row in self.rows)]

    def repetitions(self) -> int:
        """Give the most rows that a cell has."""
        counts: dict[str, int] = {}
        for row in self.rows:
            key = json.dumps([row[axis] for axis in self.axes], default=str)
            counts[key] = counts.get(key, 0) + 1
        return max(counts.values())


def means_of(grid: Grid) -> str:
    """Say what the values of a table are."""
    if grid.repetitions() == 1:
        return "Measured once, so without intervals."
    return f"Means over up to {grid.repetitions()} repetitions, with 95 % bootstrap intervals where there are several."


def of_all(grid: Grid, metrics: Iterable[str]) -> str:
    """Say that measured latencies are those of failed questions, too, where there are some; else nothing."""
    failed = any(row.get("failed") for row in grid.rows)
    some = failed and any(name.startswith("latency") for name in metrics)
    return " These latencies are of all questions, failed ones included." if some else ""


def named(axis: str, value: Any) -> str:  # noqa: ANN401
    """Give a value of an axis so that it can stand alone: `lru`, but `size 100`."""
    text = shown(value)
    return text if isinstance(value, str) and text[:1].isalpha() and text != "none" else f"{axis} {text}"


def shown(value: Any) -> str:  # noqa: ANN401 - an axis has values of any kind
    """Give a value of an axis as text."""
    if value is None:
        return "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return number(value) if isinstance(value, float) else str(value)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except FileNotFoundError as error:
        raise UsageError(
            f"{str(path.parent)!r} has no {path.name} yet: a `tamiz experiment` that was killed gathers its cells when "
            "the same command is given again"
        ) from error
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(f"{str(path)!r} cannot be read as Parquet: {error}") from error
    return found


def _with_shares(row: dict[str, Any]) -> dict[str, Any]:
    failed, questions = row.get("failed"), row.get("questions")
    return {**row, "failed_share": failed / questions} if failed is not None and questions else row


def _key(value: Any) -> str:  # noqa: ANN401
    return json.dumps(value, default=str)


def _ordered(found: list[Any], given: list[Any]) -> list[Any]:
    """Sort numbers; leave other values in the order of the experiment's file, or of the cells."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in found):
        return sorted(found)
    return sorted(found, key=lambda value: given.index(value) if value in given else len(given))
