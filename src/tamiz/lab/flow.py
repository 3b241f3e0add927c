"""A cell on the real flow, embedded: questions arrive by the traffic's schedule and go to their outcomes."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tamiz.clock import SystemClock
from tamiz.errors import GaveUp, Interrupted
from tamiz.hosts.batch import Batch, Report, run_batch
from tamiz.lab.arriving import Arriving
from tamiz.lab.caches import simulate
from tamiz.lab.cells import Measured
from tamiz.lab.measures import Asked, Sample, measure, series_of
from tamiz.lab.parameters import Run
from tamiz.models.factory import make_fleet
from tamiz.prompt import read_template
from tamiz.scorers import make_scorer
from tamiz.statefile import StateFile
from tamiz.traffic.question import Question

__all__ = ["batch_of", "place_in_run", "run_flow"]

_OUTCOMES: Final = (
    "SELECT message_id, created_at, finished_at, outcome, score, source, attempts, retries "
    "FROM questions JOIN outcomes USING (message_id) ORDER BY message_id"
)


def run_flow(run: Run, questions: Sequence[Question], folder: Path) -> Measured:
    """Run the traffic through the flow, with a state file in `folder` that is gone afterwards.

    Raises `Interrupted` after Ctrl-C, `GaveUp` where a budget of the settings ended it, and what `tamiz run` raises.
    """
    path = folder / "cell.db"
    arriving = Arriving(run.plan, questions)
    batch = batch_of(run, arriving, folder)
    samples: list[tuple[float, int]] = []

    def watch(report: Report) -> None:
        samples.append((time.time(), report.counters.in_flight))

    cpu = time.process_time()
    try:
        with StateFile(path) as state:
            summary = run_batch(batch, state, watch)
            if summary.stopped == "interrupted":
                raise Interrupted
            if summary.stopped is not None:
                raise GaveUp("a budget ended the run: an experiment's cells need max_calls and max_tokens that suffice")
            began = arriving.began or 0.0
            asked = [
                Asked(arriving.due[place_in_run(row[0])], row[1] - began, row[2] - began, *row[3:])
                for row in state.execute(_OUTCOMES)
            ]
    finally:
        for left in folder.glob("cell.*"):
            left.unlink()
    measured = measure(asked, summary.totals, summary.calls, time.process_time() - cpu, run.plan.lasts)
    measured.metrics["hit_ratio_simulated"] = _simulated(run, arriving.ranks)
    measured.series = series_of([Sample(at - began, in_flight) for at, in_flight in samples], asked)
    return measured


def _simulated(run: Run, ranks: Sequence[int]) -> float | None:
    """Give the hit ratio of the cache alone for the same questions, where it has one and answers do not age."""
    settings = run.settings
    if not settings.cache_size or settings.cache_ttl is not None:
        return None
    return simulate(settings.cache_policy, settings.cache_size, ranks).hit_ratio


def batch_of(run: Run, arriving: Arriving, folder: Path, *, clustered: bool = False) -> Batch:
    """Put a run together, as `tamiz run` does, with arrivals in place of files."""
    clock = SystemClock()
    return Batch(
        settings=run.settings,
        datasets=[arriving.dataset],
        out=str(folder / "cell.jsonl"),
        fleet=None if clustered else make_fleet(run.settings, clock),
        template=read_template(run.settings.prompt),
        scorer=make_scorer(run.settings.scorer),
        clock=clock,
    )


def place_in_run(message_id: str) -> int:
    """Give the place of a submission in its run, from 0 (see `identity.message_id`)."""
    return int(message_id[12:22], 16)
