"""The scores of judged answers, and what the threshold made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from tamiz.reports.document import Figure, Table
from tamiz.reports.numbers import count, number, percent
from tamiz.reports.style import COLOURS, INK, legend, soften
from tamiz.units import plural

__all__ = ["Scores", "scores"]

_FINE: Final = 1_000
_SHOWN: Final = 40
"""Bars; each holds so many of the fine bins."""

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Scores:
    """Counts of scores in [0, 1], in steps of a thousandth, of accepted and of refused answers."""

    accepted: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_FINE + 1, np.int64))
    refused: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_FINE + 1, np.int64))
    first: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_FINE + 1, np.int64))
    """Of first attempts, whatever became of them."""
    unscored_accepted: int = 0
    unscored_refused: int = 0
    below: int = 0
    """Accepted although below the threshold."""
    above: int = 0
    """Refused although not below it."""

    def add(self, values: Floats, passed: NDArray[np.bool_], first: NDArray[np.bool_], threshold: float | None) -> None:
        """Take judged answers in; a score that is not a number is one that could not be given."""
        known = np.isfinite(values)
        self.unscored_accepted += int((~known & passed).sum())
        self.unscored_refused += int((~known & ~passed).sum())
        # the floor, so that a score of a threshold in thousandths is not below it
        bins = np.floor(np.clip(np.where(known, values, 0.0), 0, 1) * _FINE + 1e-9).astype(np.int64)
        self.accepted += np.bincount(bins[known & passed], minlength=_FINE + 1)
        self.refused += np.bincount(bins[known & ~passed], minlength=_FINE + 1)
        self.first += np.bincount(bins[known & first], minlength=_FINE + 1)
        if threshold is not None:
            self.below += int((known & passed & (values < threshold)).sum())
            self.above += int((known & ~passed & (values >= threshold)).sum())


_EVERY_ANSWER: Final = (
    "Every answer that a model gave and that was judged, refused attempts included; reused answers are not counted "
    "again."
)


def scores(found: Scores, threshold: float | None, how: str = _EVERY_ANSWER) -> Figure | None:
    """Show the histogram; `None` where no answer has a score. `how` says which answers these are."""
    accepted, refused = int(found.accepted.sum()), int(found.refused.sum())
    if not accepted + refused:
        return None
    return Figure(
        name="scores",
        title="Scores of the answers",
        draw=lambda canvas, _: _draw(canvas, found, threshold),
        says=_says(found, accepted, refused, threshold),
        how=how,
        table=_table(found),
        height=3.2,
    )


def _draw(canvas: Canvas, found: Scores, threshold: float | None) -> None:
    axes = canvas.subplots()
    edges = np.linspace(0, 1, _SHOWN + 1)
    refused, accepted = _bars(found.refused), _bars(found.accepted)
    look = {"align": "edge", "width": 1 / _SHOWN, "linewidth": 0.7}
    axes.bar(
        edges[:-1], refused, color="none", edgecolor=COLOURS[1], hatch="////", label=f"refused ({count(sum(refused))})",
        **look,  # type: ignore[arg-type]
    )  # fmt: skip
    axes.bar(
        edges[:-1], accepted, bottom=refused, color=COLOURS[0], edgecolor=COLOURS[0],
        label=f"accepted ({count(sum(accepted))})", **look,  # type: ignore[arg-type]
    )  # fmt: skip
    if threshold is not None:
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.3, label=f"threshold {number(threshold)}")
    axes.set(xlabel="score", ylabel="answers", xlim=(-0.01, 1.01))
    axes.yaxis.set_major_formatter(lambda value, _: count(value))
    axes.margins(y=0.06)
    soften(axes)
    legend(canvas)


def _bars(fine: NDArray[np.int64]) -> NDArray[np.int64]:
    per = _FINE // _SHOWN
    bars: NDArray[np.int64] = fine[:-1].reshape(_SHOWN, per).sum(axis=1)
    bars[-1] += fine[-1]  # a score of 1 is in the last bar
    return bars


def _says(found: Scores, accepted: int, refused: int, threshold: float | None) -> str:
    total = accepted + refused
    said = [f"{count(accepted)} of {plural(total, 'scored answer')} ({percent(accepted / total)}) were accepted."]
    medians = [f"{number(_median(each))} for {what}" for what, each in _kinds(found) if each.sum()]
    said.append(f"The median score is {' and '.join(medians)} answers.")
    if threshold is not None and not found.below and not found.above:
        said.append(f"The threshold of {number(threshold)} parts the two without exception.")
    elif threshold is not None:
        said.append(
            f"{plural(found.below, 'accepted answer')} scored below the threshold of {number(threshold)} and "
            f"{plural(found.above, 'refused one')} did not: they were judged under another threshold."
        )
    if unscored := found.unscored_accepted + found.unscored_refused:
        said.append(
            f"{plural(unscored, 'answer')} could not be scored and {'is' if unscored == 1 else 'are'} not in the plot "
            f"({count(found.unscored_accepted)} accepted, {count(found.unscored_refused)} refused)."
        )
    return " ".join(said)


def _kinds(found: Scores) -> Sequence[tuple[str, NDArray[np.int64]]]:
    return (("accepted", found.accepted), ("refused", found.refused))


def _median(fine: NDArray[np.int64]) -> float:
    return int(np.searchsorted(np.cumsum(fine), (int(fine.sum()) + 1) // 2)) / _FINE


def _table(found: Scores) -> Table:
    tenth = _FINE // 10
    rows = []
    for start in range(0, _FINE, tenth):
        stop = start + tenth if start + tenth < _FINE else _FINE + 1
        cells = (count(int(each[start:stop].sum())) for _, each in _kinds(found))
        rows.append((f"{start / _FINE:.1f} to {(start + tenth) / _FINE:.1f}", *cells))
    rows.append(("no score", count(found.unscored_accepted), count(found.unscored_refused)))
    return Table("Scores of the answers", ("score", "accepted", "refused"), rows)
