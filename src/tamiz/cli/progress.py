"""The progress line of a run on a terminal."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tamiz.cli.endpoints import Notices, what_it_is
from tamiz.effects import EndpointState
from tamiz.hosts.batch import Report
from tamiz.units import plural

__all__ = ["progress"]


@contextlib.contextmanager
def progress(files: Sequence[str]) -> Iterator[Callable[[Report], None]]:
    """Show a bar on stderr for as long as the block runs, and notices above it; what it gives takes the news."""
    expected = _lines(files)
    bar = Progress(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[news]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    notices = Notices(lambda text: bar.console.print(text, markup=False, highlight=False))
    began = time.monotonic()
    with bar:
        task = bar.add_task("", total=None, rate="", news="")

        def watch(report: Report) -> None:
            notices.watch(report)
            totals = report.totals
            elapsed = time.monotonic() - began
            done = sum(report.counters.outcomes.values())
            bar.update(
                task,
                completed=totals.rows,
                total=report.rows_read if report.all_read else expected,
                rate=f"{done / elapsed:,.0f}/s" if elapsed else "",
                news=_news(report),
            )

        yield watch


def _lines(files: Sequence[str]) -> int | None:
    """Give about how many rows the files have, `None` where only reading them would tell."""
    if not all(file.endswith((".csv", ".tsv", ".jsonl")) for file in files):
        return None
    lines = 0
    for file in files:
        with Path(file).open("rb") as stream:
            while block := stream.read(1 << 20):
                lines += block.count(b"\n")
    return lines


def _news(report: Report) -> str:
    totals = report.totals
    parts = [f"[green]{totals.accepted:,} accepted[/]"]
    if totals.exhausted:
        parts.append(f"[yellow]{totals.exhausted:,} exhausted[/]")
    if totals.failed:
        parts.append(f"[red]{totals.failed:,} failed[/]")
    if totals.saved:
        parts.append(f"{plural(totals.saved, 'call')} saved")
    parts += [_down(state) for state in report.endpoints]
    if not report.endpoints and report.counters.in_flight == 0 and report.next_due is not None:
        wait = max(report.next_due - time.time(), 0)
        parts.append(f"waiting {wait:.0f} s for the next retry")
    return " ".join(parts)


def _down(state: EndpointState) -> str:
    now = time.time()
    wait = max((state.opens_at or now) - now, 0)
    return f"[red]model {what_it_is(state)} for {now - (state.since or now):,.0f} s, next call in {wait:,.0f} s[/]"
