"""What was measured along an axis that has no plot of its own: retries, backoff, rate."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from tamiz.reports.document import Figure
from tamiz.reports.grid import Grid, of_all, shown
from tamiz.reports.numbers import milliseconds, number, percent
from tamiz.reports.plots.along import Along, along
from tamiz.reports.plots.curves import Curve, trend

__all__ = ["measures"]

_FIGURES: Final = 4
_LISTED: Final = 2
"""Lines of a panel that are told one by one."""


class _Metric(NamedTuple):
    title: str
    label: str
    show: Callable[[float], str]


_METRICS: Final[Mapping[str, _Metric]] = {
    "failed_share": _Metric("Failed questions", "share of the questions", percent),
    "failed": _Metric("Failed questions", "failed questions", number),
    "calls_per_question": _Metric("Model calls a question", "model calls a question", number),
    "calls": _Metric("Model calls", "model calls", number),
    "latency_p99": _Metric("99th percentile of latency", "milliseconds", milliseconds),
    "accepted_share": _Metric("Accepted answers", "share of the questions", percent),
    "latency_p50": _Metric("Median latency", "milliseconds", milliseconds),
    "throughput": _Metric("Throughput", "questions a second", number),
}


def measures(grid: Grid) -> Iterator[Figure]:
    """Show the first four metrics that vary, along the axis of numbers that has the most values."""
    axes = [axis for axis in grid.axes if grid.numeric(axis)]
    if not axes:
        return
    axis = max(axes, key=lambda name: len(grid.axes[name]))
    found = [name for name in grid.varied(_METRICS) if not grid.has_share(name)]
    for name in found[:_FIGURES]:
        metric = _METRICS[name]
        yield along(
            grid,
            Along(
                name=f"by-{name.replace('_', '-')}",
                title=f"{metric.title} by {axis}",
                metric=name,
                axis=axis,
                lines=axes,
                xlabel=axis,
                ylabel=metric.label,
                says=partial(_says, metric),
                shares=metric.show is percent,
                how=of_all(grid, [name]),
            ),
        )


def _says(metric: _Metric, curves: Sequence[Curve], axis: str) -> str:
    curves = [curve for curve in curves if len(curve.points) > 1]
    if not curves:
        return "there is one point only."
    what = metric.title[:1].lower() + metric.title[1:] if metric.title[0] != "9" else metric.title
    low, high = (shown(_plain(curves[0].points[at][0])) for at in (0, -1))
    if len(curves) <= _LISTED:
        told = [
            f"{f'{curve.label}, ' if len(curves) > 1 else ''}{what}: {metric.show(curve.points[0][1].value)} at {axis} "
            f"{low}, {metric.show(curve.points[-1][1].value)} at {high}; {trend(curve.points)}"
            for curve in curves
        ]
        return ". ".join(text[:1].upper() + text[1:] for text in told) + "."
    everywhere = {metric.show(mean.value) for curve in curves for _, mean in curve.points}
    if len(everywhere) == 1:
        return f"{what}: {everywhere.pop()} on all {len(curves)} lines, whatever the {axis}."
    ends = []
    for at, place in ((0, low), (-1, high)):
        values = [curve.points[at][1].value for curve in curves]
        least, most = metric.show(min(values)), metric.show(max(values))
        ends.append(f"{least if least == most else f'{least} to {most}'} at {axis} {place}")
    up = sum(curve.points[-1][1].value > curve.points[0][1].value for curve in curves)
    down = sum(curve.points[-1][1].value < curve.points[0][1].value for curve in curves)
    clear = sum(curve.points[0][1].apart(curve.points[-1][1]) for curve in curves)
    return (
        f"{what}, over the {len(curves)} lines: {ends[0]}, {ends[1]}. Between the ends {up} rise and "
        f"{down} fall, {clear} by more than their intervals."
    )


def _plain(value: float) -> float | int:
    return int(value) if value == int(value) else value
