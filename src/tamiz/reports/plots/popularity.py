"""How often each question was asked."""

import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from tamiz.reports.document import Figure, Table
from tamiz.reports.numbers import count, percent
from tamiz.reports.style import COLOURS, soften
from tamiz.units import plural

__all__ = ["popularity"]


def popularity(times_asked: NDArray[np.int64]) -> Figure | None:
    """Show how often each question was asked, the most asked first; `None` of no questions."""
    asked = np.sort(times_asked[times_asked > 0])[::-1]
    if not asked.size:
        return None
    total = int(asked.sum())
    ranks = np.arange(1, asked.size + 1)
    covered = np.cumsum(asked) / total
    # thinned out: on logarithmic axes most of the ranks fall on one another
    drawn = np.unique(np.geomspace(1, asked.size, 300).astype(np.int64)) - 1

    def draw(canvas: Canvas, narrow: bool) -> None:  # noqa: ARG001, FBT001 - a Draw
        axes = canvas.subplots()
        axes.plot(ranks[drawn], asked[drawn], color=COLOURS[0], marker=".", linestyle="none")
        axes.set(xlabel="questions, the most asked first", ylabel="times asked", xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: count(value) if value >= 1 else "")
        soften(axes, grid="both")

    half = int(np.searchsorted(covered, 0.5)) + 1
    if asked[0] == 1:
        said = f"{plural(asked.size, 'question')} asked, none of them twice."
    else:
        level = int((asked == asked[0]).sum())
        most = (
            f"The most asked question makes {percent(asked[0] / total)} of all"
            if level == 1
            else f"{count(level)} questions were asked most, {count(asked[0])} times each"
        )
        said = (
            f"{count(total)} times one of {plural(asked.size, 'different question')} was asked. {most}; the "
            f"{count(half)} most asked make half, and {count((asked == 1).sum())} were asked once."
        )
    marks = [rank for rank in (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000) if rank <= asked.size]
    return Figure(
        name="popularity",
        title="How often each question was asked",
        draw=draw,
        says=said,
        how="Both axes are logarithmic: Zipf's law is a straight line.",
        table=Table(
            "How often each question was asked",
            ("most asked", "times asked, the last of them", "share of all"),
            [(count(rank), count(asked[rank - 1]), percent(float(covered[rank - 1]))) for rank in marks],
        ),
        height=3.2,
    )
