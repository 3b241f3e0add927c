"""How long things took, as cumulative distributions."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, NullFormatter

from tamiz.reports.document import Draw, Figure, Table
from tamiz.reports.numbers import count, joined, milliseconds, times
from tamiz.reports.spread import RESOLUTION, Spread
from tamiz.reports.style import legend, lines, soften
from tamiz.units import plural

__all__ = ["latency"]

_FEW: Final = 20
"""Of fewer values no median is compared with another."""
_TAIL: Final = 100
"""Of fewer values there is no 99th percentile."""
_LONG: Final = 16
"""Labels that are longer stand above the plot."""
_TOLERANCE: Final = 1 + 2.5 * RESOLUTION


def latency(
    name: str, title: str, what: str, how: str, spreads: Mapping[str, Spread], *, took: str = "took"
) -> Figure | None:
    """Show the distributions by their labels, in milliseconds, of `what` (a noun in the plural) that `took` so long.

    `None` where there are no values.
    """
    found = {label: spread for label, spread in spreads.items() if len(spread)}
    if not found:
        return None
    return Figure(
        name=name,
        title=title,
        draw=_draw(found, took),
        says=_says(what, found, took),
        how=f"{how} Each value is exact to 1 %.".strip(),
        table=Table(
            title,
            ("", "count", "least", "50 %", "90 %", "99 %", "largest"),
            [
                (
                    label,
                    count(len(spread)),
                    milliseconds(spread.least),
                    *(milliseconds(spread.quantile(q)) for q in (0.5, 0.9)),
                    milliseconds(spread.quantile(0.99)) if len(spread) >= _TAIL else "",
                    milliseconds(spread.largest),
                )
                for label, spread in found.items()
            ],
        ),
        height=3.5,
        narrow_height=3.5 + 0.17 * (len(found) // 2),
    )


def _draw(spreads: Mapping[str, Spread], took: str) -> Draw:
    def draw(canvas: Canvas, narrow: bool) -> None:  # noqa: FBT001 - a Draw
        axes = canvas.subplots()
        for (label, spread), style in zip(spreads.items(), lines(len(spreads)), strict=True):
            values, shares = spread.cumulative()
            every = max(1, len(values) // 6)
            axes.plot(
                [values[0], *values],
                [0, *shares],
                drawstyle="steps-post",
                markevery=(every // 2, every),
                label=f"{label} ({count(len(spread))})",
                **style,
            )
        if max(spread.largest for spread in spreads.values()) > 0:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=_marks(spreads.values(), narrow=narrow), numticks=12))
            axes.xaxis.set_major_formatter(lambda value, _: milliseconds(value))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="time, on a logarithmic scale", ylabel=f"share that {took} at most this", ylim=(0, 1.02))
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        soften(axes, grid="both")
        if len(spreads) > 1:
            if narrow or max(map(len, spreads)) > _LONG:
                legend(canvas)
            else:
                canvas.legend(loc="outside right upper")

    return draw


def _marks(spreads: Iterable[Spread], *, narrow: bool) -> tuple[float, ...]:
    """Choose the ticks within a power of ten, so that there are neither too many nor too few."""
    found = [spread for spread in spreads if spread.largest > 0]
    decades = math.log10(max(s.largest for s in found) / max(min(s.least for s in found), 1e-4) + 1)
    if decades > 1.5:  # noqa: PLR2004
        return (1.0,) if decades > 3 else (1.0, 3.0)  # noqa: PLR2004
    return (1.0, 2.0, 5.0) if narrow else (1.0, 2.0, 3.0, 5.0, 7.0)


def _says(what: str, spreads: Mapping[str, Spread], took: str) -> str:
    if len(spreads) == 1:
        ((label, spread),) = spreads.items()
        return f"{plural(len(spread), what[:-1], what)}{f' ({label})' if label else ''}: {_one(spread, took)}."
    large = {label: spread for label, spread in spreads.items() if len(spread) >= _FEW}
    small = [f"{label} ({count(len(spread))})" for label, spread in spreads.items() if len(spread) < _FEW]
    said = []
    if large:
        medians = {label: spread.quantile(0.5) for label, spread in large.items()}
        order = sorted(medians, key=lambda label: (medians[label], label))
        said.append(
            "Half of the "
            + what
            + f" {took} at most "
            + joined([f"{milliseconds(medians[label])} ({label})" for label in order])
            + "."
        )
        fast, slow = order[0], order[-1]
        # what is within the resolution is not compared
        if len(order) > 1 and medians[slow] <= medians[fast] * _TOLERANCE:
            said.append("These medians do not differ by more than they are exact.")
        elif len(order) > 1 and medians[fast] > 0:
            said.append(f"The median of {slow} is {times(medians[slow] / medians[fast])} that of {fast}.")
        tails = {label: spread.quantile(0.99) for label, spread in large.items() if len(spread) >= _TAIL}
        if tails:
            worst = max(tails, key=lambda label: (tails[label], label))
            level = [label for label in tails if label != worst and tails[worst] <= tails[label] * _TOLERANCE]
            if len(tails) > 1 and not level:
                said.append(f"The longest tail is that of {worst}: 1 % took longer than {milliseconds(tails[worst])}.")
            elif len(tails) > 1:
                of = joined(sorted([worst, *level]))
                said.append(
                    f"The 99th percentile is longest, and about the same, for {of}: {milliseconds(tails[worst])}."
                )
            else:
                said.append(f"1 % of {worst} took longer than {milliseconds(tails[worst])}.")
    if small:
        said.append(f"Too few to compare: {joined(small)}.")
    return " ".join(said)


def _one(spread: Spread, took: str) -> str:
    if len(spread) < _FEW:
        return f"{took} between {milliseconds(spread.least)} and {milliseconds(spread.largest)}"
    said = (
        f"half {took} at most {milliseconds(spread.quantile(0.5))}, 90 % at most {milliseconds(spread.quantile(0.9))}"
    )
    if len(spread) >= _TAIL:
        return f"{said}, 99 % at most {milliseconds(spread.quantile(0.99))}"
    return f"{said}, the longest {milliseconds(spread.largest)}"
