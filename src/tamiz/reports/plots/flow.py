"""What came in, what came out, and what was open in between."""

import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from tamiz.reports.document import Figure, Table
from tamiz.reports.numbers import count, duration, joined, number
from tamiz.reports.style import COLOURS, legend, lines, soften
from tamiz.reports.timeline import Timeline
from tamiz.units import plural

__all__ = ["ARRIVED", "flow"]

ARRIVED = "arrived"
_KNOWN = ("accepted", "exhausted", "failed")


def flow(timeline: Timeline, title: str = "Arrivals, outcomes and open questions", how: str = "") -> Figure | None:
    """Show events a second by kind, `ARRIVED` and outcomes, and how many questions were open; `None` of nothing."""
    if not timeline.kinds():
        return None
    arrived = timeline.counts(ARRIVED)
    kinds = sorted(set(timeline.kinds()) - {ARRIVED}, key=lambda kind: (*[kind != known for known in _KNOWN], kind))
    outcomes = {kind: timeline.counts(kind) for kind in kinds}
    ended = sum(outcomes.values(), np.zeros_like(arrived))
    depth = np.cumsum(arrived) - np.cumsum(ended)
    starts, width = timeline.starts(), timeline.width
    scale, unit = _unit(timeline.last)

    def draw(canvas: Canvas, narrow: bool) -> None:  # noqa: ARG001, FBT001 - a Draw
        rates, queue = canvas.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        edges = np.append(starts, starts[-1] + width) / scale
        series = {ARRIVED: arrived, **outcomes}
        for (kind, counts), style in zip(series.items(), lines(len(series)), strict=True):
            rates.stairs(
                counts / width, edges, baseline=None, color=style["color"], linestyle=style["linestyle"],
                linewidth=1.5, label=f"{kind} ({count(counts.sum())})",
            )  # fmt: skip
        queue.fill_between(edges, [*depth, depth[-1]], step="post", color=COLOURS[6], alpha=0.25, linewidth=0)
        queue.stairs(depth, edges, baseline=None, color=COLOURS[6])
        rates.set(ylabel="questions a second", ylim=(0, None))
        queue.set(ylabel="open", xlabel=f"{unit} since the start", ylim=(min(0, int(depth.min())), None))
        for axes in (rates, queue):
            soften(axes)
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 10 else f"{value:g}")  # noqa: PLR2004
        legend(canvas)

    return Figure(
        name="flow",
        title=title,
        draw=draw,
        says=_says(arrived, outcomes, depth, timeline),
        how=f"{how} Bins of {duration(width)}; open is what has arrived by the end of a bin and has no outcome "
        "yet.".strip(),
        table=_table(arrived, outcomes, depth, timeline),
        height=4.2,
        narrow_height=4.4,
    )


def _unit(seconds: float) -> tuple[float, str]:
    if seconds < 300:  # noqa: PLR2004 - five minutes
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 3 * 3600 else (3600.0, "hours")


def _says(
    arrived: NDArray[np.int64], outcomes: dict[str, NDArray[np.int64]], depth: NDArray[np.int64], timeline: Timeline
) -> str:
    total, width, last = int(arrived.sum()), timeline.width, timeline.last
    said = []
    if total:
        came = float(np.flatnonzero(arrived)[-1] + 1) * width
        rate = f", {number(total / came)} a second on average" if arrived.size > 1 else ""
        said.append(f"{plural(total, 'question')} arrived within {duration(min(came, max(last, width)))}{rate}.")
        busiest = int(np.argmax(arrived))
        if arrived.size > 1 and int((arrived == arrived[busiest]).sum()) == 1:
            when = f"began after {duration(busiest * width)}" if busiest else "were the first"
            said.append(f"The busiest {duration(width)} {when} and had {number(arrived[busiest] / width)} a second.")
    ends = [f"{count(counts.sum())} {kind}" for kind, counts in outcomes.items() if counts.sum()]
    if ends:
        said.append(f"Outcomes: {joined(ends)}.")
    most = int(depth.max(initial=0))
    if total and most:
        at = int(np.argmax(depth))
        said.append(f"At most {_were(most)} open at once, after {duration((at + 1) * width)}.")
    elif total:
        said.append("None was open at the end of any of the plot's bins.")
    left = int(depth[-1]) if depth.size else 0
    if total:
        said.append("At the end none was open." if not left else f"At the end {_were(left)} open.")
    return " ".join(said)


def _table(
    arrived: NDArray[np.int64], outcomes: dict[str, NDArray[np.int64]], depth: NDArray[np.int64], timeline: Timeline
) -> Table:
    per = max(1, -(-arrived.size // 12))
    rows = []
    for start in range(0, arrived.size, per):
        stop = min(start + per, arrived.size)
        cells = [count(each[start:stop].sum()) for each in (arrived, *outcomes.values())]
        rows.append((duration(start * timeline.width), *cells, count(depth[stop - 1])))
    return Table("Over time", ("from", ARRIVED, *outcomes, "open at its end"), rows)


def _were(value: int) -> str:
    return f"{count(value)} {'was' if value == 1 else 'were'}"
