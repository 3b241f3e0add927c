"""How many questions waited, over time, for each of several choices."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from tamiz.reports.document import Figure, Table
from tamiz.reports.numbers import count, duration, joined, number
from tamiz.reports.style import legend, lines, soften

__all__ = ["Depth", "depth"]

_BINS: Final = 120

Floats = NDArray[np.float64]


class Depth:
    """Samples of a queue's length over time."""

    def __init__(self) -> None:
        self._times: list[Floats] = []
        self._depths: list[Floats] = []

    def add(self, times: Floats, depths: Floats) -> None:
        """Take samples in."""
        self._times.append(times)
        self._depths.append(depths)

    def binned(self, end: float) -> tuple[Floats, Floats]:
        """Give the means of equal spans up to `end`, without spans that have no sample."""
        times, depths = np.concatenate(self._times), np.concatenate(self._depths)
        bins = np.minimum((times / end * _BINS).astype(np.int64), _BINS - 1)
        number_of = np.bincount(bins, minlength=_BINS)
        filled = np.flatnonzero(number_of)
        means = np.bincount(bins, weights=depths, minlength=_BINS)[filled] / number_of[filled]
        return (filled + 0.5) * end / _BINS, means

    @property
    def end(self) -> float:
        """The time of the latest sample."""
        return max(float(times.max(initial=0)) for times in self._times)

    @property
    def most(self) -> float:
        """The longest queue that was sampled."""
        return max(float(depths.max(initial=0)) for depths in self._depths)

    @property
    def mean(self) -> float:
        """The mean of all samples."""
        return float(np.concatenate(self._depths).mean())


def depth(found: Mapping[str, Depth]) -> Figure | None:
    """Show the depths by their labels; `None` of nothing."""
    if not found:
        return None
    end = max(each.end for each in found.values())
    if end <= 0:
        return None
    means = {label: each.mean for label, each in found.items()}

    def draw(canvas: Canvas, narrow: bool) -> None:  # noqa: ARG001, FBT001 - a Draw
        axes = canvas.subplots()
        for (label, each), style in zip(found.items(), lines(len(found)), strict=True):
            times, depths = each.binned(end)
            axes.plot(times, depths, label=label, markevery=(len(times) // 12, max(1, len(times) // 6)), **style)
        axes.set(xlabel="seconds since the start", ylabel="questions waiting", ylim=(0, None))
        axes.yaxis.set_major_formatter(lambda value, _: count(value) if value >= 10 else number(value))  # noqa: PLR2004
        soften(axes)
        if len(found) > 1:
            legend(canvas)

    order = sorted(means, key=lambda label: (-means[label], label))
    if len(found) == 1:
        (only,) = found.values()
        said = f"On average {number(only.mean)} questions waited, at most {count(only.most)}."
    elif max(means.values()) == min(means.values()):
        said = f"On average {number(means[order[0]])} questions waited, with each of them alike."
    else:
        said = (
            f"On average most questions waited with {order[0]}, {number(means[order[0]])}; with "
            + joined([f"{label} {number(means[label])}" for label in order[1:]])
            + ". The longest queues were "
            + joined([f"{count(found[label].most)} ({label})" for label in order])
            + "."
        )
    return Figure(
        name="depth",
        title="Questions waiting, over time",
        draw=draw,
        says=said,
        how=f"Means of {duration(end / _BINS)}, over all repetitions and cells of a label that had not ended by then; "
        "the sentence is of the samples themselves.",
        table=Table(
            "Questions waiting",
            ("", "mean", "most"),
            [(label, number(means[label]), count(each.most)) for label, each in found.items()],
        ),
    )
