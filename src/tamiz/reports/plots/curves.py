"""A measured value along an axis of numbers: lines with confidence bands, in panels."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from tamiz.reports.document import Draw
from tamiz.reports.grid import shown
from tamiz.reports.interval import Mean
from tamiz.reports.numbers import count, number
from tamiz.reports.style import legend, lines, soften

__all__ = ["Curve", "Panel", "bands", "draw_panels", "height", "trend"]

_WIDE_LOG: Final = 20
"""Axes whose largest value is so many times the smallest are logarithmic."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: (x, mean), x ascending."""

    label: str
    points: Sequence[tuple[float, Mean]]


@dataclass(frozen=True, slots=True)
class Panel:
    """Some lines in one frame."""

    title: str
    curves: Sequence[Curve]
    ylabel: str
    shares: bool = False
    """Whether the values are shares of 1."""


def bands(repetitions: int) -> str:
    """Say what lines and bands are."""
    if repetitions == 1:
        return "Each point was measured once."
    return "Lines are means over the repetitions, bands their 95 % bootstrap intervals."


def height(panels: int, *, narrow: bool) -> float:
    """Give the height of the canvas."""
    return 0.5 + 2.4 * -(-panels // _columns(panels, narrow=narrow)) + (0.7 if panels == 1 else 0)


def draw_panels(panels: Sequence[Panel], xlabel: str) -> Draw:
    """Draw the panels, two or three in a row on a wide canvas."""

    def draw(canvas: Canvas, narrow: bool) -> None:  # noqa: FBT001 - a Draw
        columns = _columns(len(panels), narrow=narrow)
        rows = -(-len(panels) // columns)
        same = len({panel.ylabel for panel in panels}) == 1
        frames = canvas.subplots(rows, columns, squeeze=False, sharex=True, sharey=same).flat
        labels = list(dict.fromkeys(curve.label for panel in panels for curve in panel.curves))
        styles = dict(zip(labels, lines(len(labels)), strict=True))
        xs = sorted({x for panel in panels for curve in panel.curves for x, _ in curve.points})
        for axes, panel in zip(frames, panels, strict=False):
            for curve in panel.curves:
                _line(axes, curve, styles[curve.label])
            axes.set(title=panel.title, ylabel=panel.ylabel)
            _scale(axes, panel, xs)
        grid = list(canvas.axes)
        for place, axes in enumerate(grid):
            if place >= len(panels):
                axes.remove()
                continue
            axes.set_ylim(bottom=0)
            if place + columns >= len(panels):
                axes.set_xlabel(xlabel)
                axes.tick_params(labelbottom=True)
        if len(labels) > 1:
            legend(canvas)

    return draw


def trend(points: Sequence[tuple[float, Mean]]) -> str:
    """Say how a value goes from the first point to the last, such as `rises at every step`."""
    first, last = points[0][1], points[-1][1]
    if all(mean.value == first.value for _, mean in points):
        return "stays the same"
    if min(first.n, last.n) > 1 and not first.apart(last):
        return "does not change clearly (the intervals at both ends overlap)"
    steps = [after.value - before.value for (_, before), (_, after) in pairwise(points)]
    if first.value == last.value:
        return "goes up and down"
    word = "rises" if last.value > first.value else "falls"
    if len(steps) == 1:
        return word
    if all(step > 0 for step in steps) or all(step < 0 for step in steps):
        return f"{word} at every step"
    return f"{word}, though not at every step"


def _columns(panels: int, *, narrow: bool) -> int:
    return 1 if narrow else 3 if panels == 3 else min(panels, 2)  # noqa: PLR2004 - three in a row fit, too


def _line(axes: Axes, curve: Curve, style: dict[str, object]) -> None:
    xs = [x for x, _ in curve.points]
    axes.plot(xs, [mean.value for _, mean in curve.points], label=curve.label, **style)  # type: ignore[arg-type]
    if any(mean.n > 1 for _, mean in curve.points):
        lows, highs = [mean.low for _, mean in curve.points], [mean.high for _, mean in curve.points]
        axes.fill_between(xs, lows, highs, color=str(style["color"]), alpha=0.18, linewidth=0)


def _scale(axes: Axes, panel: Panel, xs: Sequence[float]) -> None:
    if xs and xs[0] > 0 and xs[-1] / xs[0] >= _WIDE_LOG:
        axes.set_xscale("log")
    if len(xs) <= 8:  # noqa: PLR2004 - a tick at each has room
        axes.set_xticks(xs, [shown(int(x) if x == int(x) else x) for x in xs])
        axes.minorticks_off()
    if panel.shares:
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    else:
        axes.yaxis.set_major_formatter(lambda value, _: count(value) if abs(value) >= 10 else number(value))  # noqa: PLR2004
    soften(axes, grid="both")
