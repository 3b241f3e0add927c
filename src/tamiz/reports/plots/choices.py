"""Values measured for choices that have no order: policies, arrival processes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from matplotlib.figure import Figure as Canvas

from tamiz.reports.document import Figure, Table
from tamiz.reports.grid import Grid, means_of, named, of_all
from tamiz.reports.interval import Mean
from tamiz.reports.numbers import joined, milliseconds, number, percent
from tamiz.reports.plots.ranking import ahead
from tamiz.reports.style import COLOURS, soften

__all__ = ["choices"]

_PANELS: Final = 4
_ROWS: Final = 24
_SHARES: Final = frozenset({"failed_share", "accepted_share", "hit_ratio"})


class _Metric(NamedTuple):
    title: str
    what: str
    """In a sentence, after "the highest"."""
    most: bool
    """Whether the highest is named, and not the lowest."""


_METRICS: Final[Mapping[str, _Metric]] = {
    "failed_share": _Metric("failed questions", "share of failed questions", most=False),
    "latency_p50": _Metric("median latency", "median latency", most=False),
    "latency_p99": _Metric("99th percentile of latency", "99th percentile of latency", most=False),
    "calls_per_question": _Metric("model calls a question", "number of model calls a question", most=False),
    "accepted_share": _Metric("accepted answers", "share of accepted answers", most=True),
    "throughput": _Metric("questions a second", "throughput", most=True),
    "hit_ratio": _Metric("hit ratio", "hit ratio", most=True),
    "failed": _Metric("failed questions", "number of failed questions", most=False),
    "calls": _Metric("model calls", "number of model calls", most=False),
    "accepted": _Metric("accepted answers", "number of accepted answers", most=True),
}
"""What is compared: the first four of them that differ, those first that differ by more than chance; counts only where
there are no shares of them."""


def choices(grid: Grid) -> Figure | None:
    """Compare the points of the grid, each of which is a row; `None` where there is nothing to compare."""
    points = grid.points(list(grid.axes))
    varied = [metric for metric in grid.varied(_METRICS) if not grid.has_share(metric)]
    metrics = sorted(varied, key=lambda metric: not _differs(grid, metric, points))[:_PANELS]
    if not metrics or len(points) < 2 or len(points) > _ROWS:  # noqa: PLR2004 - nobody to compare with
        return None
    labels = [", ".join(named(axis, value) for axis, value in point.items()) for point in points]
    means = {
        metric: {
            label: mean
            for label, point in zip(labels, points, strict=True)
            if (mean := grid.mean(metric, point)) is not None
        }
        for metric in metrics
    }
    said = [_says(grid, metric, means[metric]) for metric in metrics]
    tall = 0.7 + 0.24 * len(points) + 0.45
    return Figure(
        name="choices",
        title="The choices compared",
        draw=lambda canvas, narrow: _draw(canvas, labels, means, narrow=narrow),
        says=" ".join(text[:1].upper() + text[1:] + "." for text in said if text),
        how=(
            "Each point was measured once."
            if grid.repetitions() == 1
            else "Points are means over the repetitions, bars their 95 % bootstrap intervals."
        )
        + of_all(grid, metrics),
        table=Table(
            "The choices compared",
            ("", *(text for metric in metrics for text in (metric, "from", "to"))),
            [
                (label, *(text for metric in metrics for text in _cells(metric, means[metric].get(label))))
                for label in labels
            ],
            means_of(grid),
        ),
        height=tall * (-(-len(metrics) // 2)),
        narrow_height=tall * len(metrics),
    )


def _says(grid: Grid, metric: str, means: Mapping[str, Mean]) -> str:
    """Say who is ahead: of the points along one axis or, of several, along each that makes a difference."""
    told = _METRICS[metric]
    if len(grid.axes) == 1:
        return ahead(means, told.what, partial(_show, metric), most=told.most)
    differing = [axis for axis in grid.axes if _differs(grid, metric, grid.points([axis]))]
    if not differing:
        return f"the {told.what} differs by no more than chance along {joined([*grid.axes])}"
    said = []
    for axis in differing:
        along = {named(axis, value): mean for value in grid.axes[axis] if (mean := grid.mean(metric, {axis: value}))}
        said.append(f"by {axis}, {ahead(along, told.what, partial(_show, metric), most=told.most)}")
    return "; ".join(said)


def _differs(grid: Grid, metric: str, points: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether the intervals of two points are apart."""
    means = [mean for point in points if (mean := grid.mean(metric, point)) is not None]
    return bool(means) and min(mean.high for mean in means) < max(mean.low for mean in means)


def _draw(canvas: Canvas, labels: Sequence[str], means: Mapping[str, Mapping[str, Mean]], *, narrow: bool) -> None:
    columns = 1 if narrow or len(means) == 1 else 2
    grid = canvas.subplots(-(-len(means) // columns), columns, squeeze=False, sharey=True).flat
    rows = {label: -row for row, label in enumerate(labels)}
    for axes, (metric, found) in zip(grid, means.items(), strict=False):
        for label, mean in found.items():
            axes.plot([mean.low, mean.high], [rows[label]] * 2, color=COLOURS[0], linewidth=2.2, solid_capstyle="butt")
            axes.plot([mean.value], [rows[label]], "o", color=COLOURS[0], clip_on=False)
        axes.set_title(_METRICS[metric].title)
        axes.set_yticks(list(rows.values()), list(rows))
        axes.set_ylim(-len(rows) + 0.5, 0.5)
        axes.margins(x=0.12)
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", nbins=3 if narrow else 5)  # beside long labels there is little room
        axes.xaxis.set_major_formatter(partial(_tick, metric))
        soften(axes, grid="both")
    for axes in canvas.axes[len(means) :]:
        axes.remove()


def _show(metric: str, value: float) -> str:
    if metric.startswith("latency"):
        return milliseconds(value)
    if metric == "throughput":
        return f"{number(value)}/s"
    return percent(value) if metric in _SHARES else f"{value:,.0f}" if abs(value) >= 100 else number(value)  # noqa: PLR2004


def _tick(metric: str, value: float, _: int) -> str:
    return _show(metric, value)


def _cells(metric: str, mean: Mean | None) -> tuple[str, str, str]:
    if mean is None:
        return ("", "", "")
    sure = (_show(metric, mean.low), _show(metric, mean.high)) if mean.n > 1 else ("", "")
    return (_show(metric, mean.value), *sure)
