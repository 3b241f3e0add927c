"""Values measured along an axis of the grid: hit ratio by size, outcomes by threshold, throughput by scale."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tamiz.reports.document import Figure, Table
from tamiz.reports.grid import Grid, means_of, named, shown
from tamiz.reports.interval import Mean
from tamiz.reports.numbers import number, percent, times
from tamiz.reports.plots.curves import Curve, Panel, bands, draw_panels, height, trend
from tamiz.reports.plots.ranking import ahead

__all__ = ["Along", "along", "hits", "scale", "thresholds"]

_PANELS: Final = 6
_SERIES: Final = 7
_BOUNDS: Final = frozenset({"belady", "opt", "optimal", "min"})
"""Policies that know the future: a bound, no rival."""
_SCALES: Final = ("workers", "partitions", "parallelism", "concurrency", "processes")
_OF_THRESHOLD: Final[Mapping[str, str]] = {
    "accepted_share": "share of accepted answers",
    "accepted": "accepted answers",
    "regenerations": "regenerations",
    "calls_per_question": "model calls a question",
    "calls": "model calls",
    "mean_score": "mean score",
}


def hits(grid: Grid) -> Figure | None:
    """Show the hit ratio by cache size; `None` where it was not measured."""
    if "hit_ratio" not in grid.metrics or "size" not in grid.axes or not grid.numeric("size"):
        return None
    return along(
        grid,
        Along(
            name="hits",
            title="Hit ratio by cache size",
            metric="hit_ratio",
            axis="size",
            lines=("policy",),
            xlabel="cache size, in answers",
            ylabel="hit ratio",
            says=_of_hits,
            shares=True,
        ),
    )


def scale(grid: Grid) -> Figure | None:
    """Show the throughput by what there is more of; `None` where it was not measured."""
    axis = next((name for name in _SCALES if name in grid.axes and grid.numeric(name)), None)
    if "throughput" not in grid.metrics or axis is None:
        return None
    return along(
        grid,
        Along(
            name="scale",
            title=f"Throughput by {axis}",
            metric="throughput",
            axis=axis,
            lines=_SCALES,
            xlabel=axis,
            ylabel="questions a second",
            says=_of_scale,
        ),
    )


def thresholds(grid: Grid) -> Figure | None:
    """Show what became of the questions at each threshold; `None` where that was not measured."""
    if "threshold" not in grid.axes or not grid.numeric("threshold"):
        return None
    metrics = [name for name in _OF_THRESHOLD if name in grid.metrics and not grid.has_share(name)]
    others = [axis for axis in grid.axes if axis != "threshold"]
    points = grid.points(others)[:_SERIES]
    if not metrics:
        return None
    panels, said = [], []
    for metric in metrics:
        label = _OF_THRESHOLD[metric]
        curves = [_curve(_label(point) or label, grid, metric, "threshold", point) for point in points]
        panels.append(Panel(label, [Curve("", c.points) if len(points) == 1 else c for c in curves], label))
        for curve in curves:
            if len(curve.points) > 1:
                (low, first), (high, last) = curve.points[0], curve.points[-1]
                who = f"{label} ({curve.label})" if len(points) > 1 else label
                said.append(
                    f"{who[:1].upper() + who[1:]}: {number(first.value)} at threshold {number(low)}, "
                    f"{number(last.value)} at {number(high)}; {trend(curve.points)}."
                )
    return Figure(
        name="thresholds",
        title="Accepted answers, regenerations and calls by threshold",
        draw=draw_panels(panels, "threshold"),
        says=" ".join(said),
        how=bands(grid.repetitions()) + _left_out(len(grid.points(others)), len(points)),
        table=_table(grid, [*others, "threshold"], metrics, "By threshold"),
        height=height(len(panels), narrow=False),
        narrow_height=height(len(panels), narrow=True),
    )


@dataclass(frozen=True, slots=True)
class Along:
    """A plot of a metric along an axis of numbers."""

    name: str
    title: str
    metric: str
    axis: str
    lines: Sequence[str]
    """The axes whose values are lines, the first of them that there is; those of other axes are panels."""
    xlabel: str
    ylabel: str
    says: Callable[[Sequence[Curve], str], str]
    shares: bool = False
    how: str = ""


def along(grid: Grid, plot: Along) -> Figure:
    """Draw it: lines in panels, with what `plot.says` says of each panel."""
    others = [other for other in grid.axes if other != plot.axis]
    series = next((other for other in plot.lines if other in others), others[0] if others else None)
    frames = [other for other in others if other != series]
    points = grid.points(frames)
    inner = grid.points([series] if series else [])[:_SERIES]
    panels = []
    for point in points[:_PANELS]:
        curves = [
            _curve(_label(each) or plot.ylabel, grid, plot.metric, plot.axis, {**point, **each}) for each in inner
        ]
        panels.append(
            Panel(_label(point), [curve for curve in curves if curve.points], plot.ylabel, shares=plot.shares)
        )
    said = []
    for panel in panels:
        text = plot.says(panel.curves, plot.axis)
        said.append(f"{panel.title}: {text}" if panel.title else text[:1].upper() + text[1:])
    return Figure(
        name=plot.name,
        title=plot.title,
        draw=draw_panels(panels, plot.xlabel),
        says="\n".join(said),
        how=bands(grid.repetitions()) + plot.how + _left_out(len(points), len(panels)),
        table=_table(grid, [*frames, *([series] if series else []), plot.axis], [plot.metric], plot.title),
        height=height(len(panels), narrow=False),
        narrow_height=height(len(panels), narrow=True),
    )


def _curve(label: str, grid: Grid, metric: str, axis: str, where: Mapping[str, Any]) -> Curve:
    means = [(float(x), grid.mean(metric, {**where, axis: x})) for x in grid.axes[axis]]
    return Curve(label, [(x, mean) for x, mean in means if mean is not None])


def _of_hits(curves: Sequence[Curve], axis: str) -> str:
    rivals = [curve for curve in curves if curve.label.lower() not in _BOUNDS]
    bounds = [curve for curve in curves if curve.label.lower() in _BOUNDS]
    sizes = sorted({x for curve in rivals for x, _ in curve.points})
    if not sizes:
        return "nothing was measured but the bound."
    at = {size: {c.label: m for c in rivals for x, m in c.points if x == size} for size in sizes}
    most = sizes[-1]
    if len(rivals) == 1:
        (curve,) = rivals
        said = f"from {axis} {shown(int(sizes[0]))} to {shown(int(most))} the hit ratio {trend(curve.points)}: "
        said += f"{percent(curve.points[0][1].value)} to {percent(curve.points[-1][1].value)}"
    else:
        said = "; ".join(
            f"at {axis} {shown(int(size))}, {text}"
            for size in dict.fromkeys((sizes[0], most))
            if (text := ahead(at[size], "hit ratio", percent))
        )
    for bound in bounds:
        there = dict(bound.points)
        if most in there:
            best = max(mean.value for mean in at[most].values())
            gap = 100 * (there[most].value - best)
            said += f"; {bound.label}, which knows the future, reaches {percent(there[most].value)} there"
            said += f", {number(gap)} points more than the best" if gap > 0 else ", no more than the best"
    return said + "."


def _of_scale(curves: Sequence[Curve], axis: str) -> str:
    said = []
    for curve in curves:
        if len(curve.points) < 2:  # noqa: PLR2004 - no way from one to another
            continue
        (few, first), (many, last) = curve.points[0], curve.points[-1]
        who = f" with {curve.label}" if len(curves) > 1 else ""
        ratio = f", {times(last.value / first.value)} as much" if first.value > 0 and _clear(first, last) else ""
        said.append(
            f"from {axis} {shown(int(few))} to {shown(int(many))}{who}, throughput goes from {number(first.value)} to "
            f"{number(last.value)} questions a second{ratio} ({trend(curve.points)})"
        )
    return "; ".join(said) + "." if said else "there is one point only."


def _clear(first: Mean, last: Mean) -> bool:
    return min(first.n, last.n) == 1 or first.apart(last)


def _table(grid: Grid, axes: Sequence[str], metrics: Sequence[str], title: str) -> Table:
    rows = []
    for point in grid.points(axes):
        cells = [shown(value) for value in point.values()]
        for metric in metrics:
            mean = grid.mean(metric, point)
            cells += _cells(mean)
        rows.append(cells)
    head = [*axes, *(text for metric in metrics for text in (metric, "from", "to"))]
    return Table(title, head, rows, means_of(grid))


def _cells(mean: Mean | None) -> Sequence[str]:
    if mean is None:
        return ("", "", "")
    return (number(mean.value), *((number(mean.low), number(mean.high)) if mean.n > 1 else ("", "")))


def _label(point: Mapping[str, Any]) -> str:
    return ", ".join(named(axis, value) for axis, value in point.items())


def _left_out(there: int, drawn: int) -> str:
    return f" {drawn} of {there} combinations of the other axes are drawn; the table has all." if there > drawn else ""
