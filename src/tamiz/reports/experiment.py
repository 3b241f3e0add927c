"""The report of an experiment."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tamiz.errors import UsageError
from tamiz.reports.document import Document, Figure, Table
from tamiz.reports.grid import Grid, named, shown
from tamiz.reports.numbers import count, number
from tamiz.reports.plots.along import hits, scale, thresholds
from tamiz.reports.plots.choices import choices
from tamiz.reports.plots.depth import Depth, depth
from tamiz.reports.plots.flow import ARRIVED, flow
from tamiz.reports.plots.latency import latency
from tamiz.reports.plots.measures import measures
from tamiz.reports.plots.scores import Scores, scores
from tamiz.reports.spread import Spread
from tamiz.reports.timeline import Timeline
from tamiz.units import plural

__all__ = ["experiment_report"]

_LABELS: Final = 7
"""Values of an axis that are drawn as lines of their own."""
_CELLS: Final = 400
"""Rows of the table of all cells."""
_HELD: Final = {2: 50, 3: 75, 4: 79, 5: 84, 6: 86, 7: 87, 8: 89, 9: 89}
"""Of 100 bootstrap intervals of so many values of a normal distribution, those that hold its mean."""
_ENOUGH: Final = 10
"""Repetitions from which a bootstrap interval holds about what it says."""


def experiment_report(folder: Path) -> Document:
    """Read an experiment's folder, the questions in memory that does not grow with their number.

    Raises `UsageError` where its files are not those of an experiment.
    """
    path = folder / "experiment.json"
    try:
        about = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error}") from error
    grid = Grid.read(folder, about)
    parameters = about.get("parameters") or {}
    document = Document(
        title=f"Experiment {about.get('name', folder.name)}",
        lead=_lead(about, grid),
        facts=_facts(about, grid),
        parameters=[(name, _text(value)) for name, value in parameters.items()]
        + [(f"axis {name}", ", ".join(map(shown, values))) for name, values in grid.axes.items()],
        machine=[(name, _text(value)) for part in ("machine", "versions") for name, value in _pairs(about.get(part))],
        preset=str(about.get("preset") or ""),
    )
    questions = _Questions(grid, parameters)
    if (folder / "questions.parquet").is_file():
        questions.read(folder / "questions.parquet")
    if (folder / "series.parquet").is_file():
        questions.read_series(folder / "series.parquet")
    document.figures = [figure for figure in _figures(grid, questions) if figure is not None]
    document.tables = [_cells(grid)]
    if not document.figures:
        document.missing.append("None of the measured values has a plot; the table has them all.")
    wanted = about.get("runs")
    if isinstance(wanted, int) and len(grid.rows) < wanted:
        document.missing.append(
            f"{count(len(grid.rows))} of {count(wanted)} runs are measured: `tamiz experiment` as before goes on."
        )
    if grid.repetitions() == 1:
        document.missing.append("Each cell was measured once: how much of a difference is chance is not known.")
    elif grid.repetitions() < _ENOUGH:
        document.missing.append(
            f"{grid.repetitions()} repetitions are few. The bootstrap interval of so few holds the true mean in some "
            f"{_HELD[grid.repetitions()]} of 100 cases, not in 95 (of a normal distribution); intervals that do not "
            "overlap may be chance."
        )
    return document


def _figures(grid: Grid, questions: "_Questions") -> Iterator[Figure | None]:
    own = [hits(grid), thresholds(grid), scale(grid)]
    yield from own
    if not any(own) and any(grid.numeric(axis) for axis in grid.axes):
        yield from measures(grid)
    elif not any(own):
        yield choices(grid)
    yield from questions.figures()


class _Questions:
    """What single questions tell, by the values of the axis that the labels are of."""

    def __init__(self, grid: Grid, parameters: Mapping[str, Any]) -> None:
        self._axis = next((a for a, v in grid.axes.items() if len(v) <= _LABELS and not grid.numeric(a)), None) or next(
            (a for a, v in grid.axes.items() if len(v) <= _LABELS), None
        )
        self._labels = {
            row.get("cell"): named(self._axis, row[self._axis]) if self._axis else "all" for row in grid.rows
        }
        self._single = len(self._labels) == 1
        found = parameters.get("threshold")
        self._threshold = float(found) if isinstance(found, int | float) and "threshold" not in grid.axes else None
        self._by_source: dict[str, Spread] = {}
        self._by_label: dict[str, Spread] = {label: Spread() for label in dict.fromkeys(self._labels.values())}
        self._scores = Scores()
        self._timeline = Timeline()
        self._depths: dict[str, Depth] = {}

    def read(self, path: Path) -> None:
        """Read the questions."""
        wanted = (
            "cell",
            "repetition",
            "at_s",
            "started_s",
            "ended_s",
            "outcome",
            "score",
            "source",
            "latency_ms",
            "attempts",
        )
        for batch in _batches(path, wanted):
            outcome, source = _texts(batch, "outcome"), _texts(batch, "source")
            took = _floats(batch, "latency_ms")
            answered = outcome != "failed"
            for name in np.unique(source[answered & (source != "")]).tolist():
                self._by_source.setdefault(name, Spread()).add(took[answered & (source == name)])
            cells = np.array(batch.get("cell", [None] * len(outcome)), dtype=object)
            for cell in set(cells.tolist()):
                label = self._labels.get(cell)
                if label is not None:
                    self._by_label[label].add(took[answered & (cells == cell)])
            own = (source == "model") & answered
            self._scores.add(
                _floats(batch, "score")[own],
                outcome[own] == "accepted",
                np.zeros(int(own.sum()), dtype=bool),
                self._threshold,
            )
            if self._single:
                first = _floats(batch, "repetition") == 0
                came = _floats(batch, "at_s")
                self._timeline.add(ARRIVED, np.where(np.isnan(came), _floats(batch, "started_s"), came)[first])
                for name in np.unique(outcome[first]).tolist():
                    self._timeline.add(name, _floats(batch, "ended_s")[first & (outcome == name)])

    def read_series(self, path: Path) -> None:
        """Read the samples over time."""
        for batch in _batches(path, ("cell", "t_s", "queue_depth")):
            if "queue_depth" not in batch or "t_s" not in batch:
                return
            cells = np.array(batch.get("cell", [None] * len(batch["t_s"])), dtype=object)
            times, depths = _floats(batch, "t_s"), _floats(batch, "queue_depth")
            known = np.isfinite(times) & np.isfinite(depths)
            for cell in set(cells.tolist()):
                label = self._labels.get(cell)
                here = known & (cells == cell)
                if label is not None and here.any():
                    self._depths.setdefault(label, Depth()).add(times[here], depths[here])

    def figures(self) -> Iterator[Figure | None]:
        """Give the plots that there are values for."""
        whole = "Accepted and exhausted questions of all cells and repetitions."
        if sum(map(bool, map(len, self._by_label.values()))) > 1:
            title = f"From question to outcome, by {self._axis}"
            yield latency("latency", title, "answers", whole, self._by_label)
        yield latency("latency-source", "From question to outcome, by source of the answer", "answers", whole,
                      dict(sorted(self._by_source.items())))  # fmt: skip
        yield scores(self._scores, self._threshold, "The answers that models' questions ended with, of all cells.")
        if self._single:
            yield flow(self._timeline, how="The first repetition.")
        yield depth(dict(self._depths))


def _batches(path: Path, wanted: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    try:
        with pq.ParquetFile(path) as file:
            there = [name for name in wanted if name in file.schema_arrow.names]
            for batch in file.iter_batches(50_000, columns=there):
                yield batch.to_pydict()
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(f"{str(path)!r} cannot be read as Parquet: {error}") from error


def _floats(batch: Mapping[str, list[Any]], name: str) -> NDArray[np.float64]:
    rows = len(next(iter(batch.values())))
    return np.array(batch.get(name, [None] * rows), dtype=float)


def _texts(batch: Mapping[str, list[Any]], name: str) -> NDArray[np.str_]:
    rows = len(next(iter(batch.values())))
    return np.array([value or "" for value in batch.get(name, [""] * rows)], dtype=str)


def _lead(about: Mapping[str, Any], grid: Grid) -> str:
    axes = " by ".join(f"{name} ({len(values)})" for name, values in grid.axes.items())
    said = str(about.get("description") or "").strip()
    over = f"The grid: {axes}." if axes else "One cell."
    return f"{said} {over}".strip()


def _facts(about: Mapping[str, Any], grid: Grid) -> list[tuple[str, str]]:
    cells = len({row.get("cell", index) for index, row in enumerate(grid.rows)})
    facts = [("cells", count(cells)), ("repetitions", count(grid.repetitions())), ("runs", count(len(grid.rows)))]
    started, ended = about.get("started"), about.get("ended")
    if isinstance(started, int | float):
        facts.append(("started", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(started))))
        if isinstance(ended, int | float):
            facts.append(("ended", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(ended))))
    elif started:
        facts.append(("started", str(started)))
    return facts


def _cells(grid: Grid) -> Table:
    points = grid.points(list(grid.axes))
    rows = []
    for point in points[:_CELLS]:
        means = [grid.mean(metric, point) for metric in grid.metrics]
        rows.append([*(shown(v) for v in point.values()), *("" if m is None else number(m.value) for m in means)])
    more = f" The first {plural(_CELLS, 'cell')} of {count(len(points))}." if len(points) > _CELLS else ""
    note = f"Means over the repetitions. Latencies and lateness are in milliseconds.{more}"
    return Table("All cells", [*grid.axes, *grid.metrics], rows, note)


def _pairs(value: object) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return [("machine", value)] if value else []


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    return shown(value)
