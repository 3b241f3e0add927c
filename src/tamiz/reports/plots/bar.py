"""What a quality bar at another height would let through at the first attempt."""

from typing import Final

import numpy as np
from matplotlib.figure import Figure as Canvas

from tamiz.reports.document import Figure, Table
from tamiz.reports.numbers import number, percent
from tamiz.reports.plots.scores import Scores
from tamiz.reports.style import COLOURS, INK, soften
from tamiz.units import plural

__all__ = ["bar"]

_FEWEST: Final = 20


def bar(found: Scores, threshold: float | None) -> Figure | None:
    """Show the share of first answers that would pass each threshold; `None` where there are too few to tell."""
    total = int(found.first.sum())
    if total < _FEWEST:
        return None
    thresholds = np.linspace(0, 1, found.first.size)
    shares = np.cumsum(found.first[::-1])[::-1] / total

    def draw(canvas: Canvas, narrow: bool) -> None:  # noqa: ARG001, FBT001 - a Draw
        axes = canvas.subplots()
        axes.plot(thresholds, shares, color=COLOURS[0], drawstyle="steps-pre")
        if threshold is not None:
            axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.3)
            side = "right" if threshold > 0.6 else "left"  # noqa: PLR2004 - where there is room
            axes.annotate(
                f"threshold {number(threshold)}",
                (threshold, 1),
                (-5 if side == "right" else 5, -2),
                textcoords="offset points",
                ha=side,
                va="top",
            )
        axes.set(xlabel="threshold", ylabel="first answers that pass", xlim=(-0.01, 1.01), ylim=(0, 1.02))
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        soften(axes, grid="both")

    def share(at: float) -> float:
        return float(shares[min(int(np.ceil(at * (shares.size - 1) - 1e-9)), shares.size - 1)])

    marks = [step / 10 for step in range(1, 10)]
    said = (
        f"Of {plural(total, 'first answer')} with a score, {percent(share(0.2))} reach a threshold of 0.2, "
        f"{percent(share(0.5))} one of 0.5 and {percent(share(0.8))} one of 0.8."
    )
    if threshold is not None:
        said += (
            f" At the threshold of this run, {number(threshold)}, {percent(share(threshold))} pass; the others need "
            "another attempt or end without an accepted answer."
        )
    return Figure(
        name="threshold",
        title="First answers that would pass at each threshold",
        draw=draw,
        says=said,
        how="A first answer does not depend on the threshold, so this is exact for these answers; what further "
        "attempts would bring at another threshold it does not tell.",
        table=Table(
            "First answers that would pass", ("threshold", "share"), [(f"{m:.1f}", percent(share(m))) for m in marks]
        ),
        height=3.0,
        narrow_height=2.9,
    )
