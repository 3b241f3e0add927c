"""From what became of each question to what a cell measured."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from tamiz.hosts.results import Totals
from tamiz.lab.cells import Columns, Measured
from tamiz.lab.preset import Value
from tamiz.messages import Outcome, Source

__all__ = ["Asked", "Sample", "measure", "series_of"]

_STEPS: Final = (0.1, 1.0, 10.0, 60.0)
"""Seconds between the moments of a series; the first with which there are not too many."""
_MOMENTS: Final = 1_000


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A question and its outcome; times are seconds from the start of the cell."""

    at_s: float | None
    """When it was due; `None` where there was no schedule."""
    started_s: float
    """When the flow took it up."""
    ended_s: float
    outcome: str
    score: float | None
    source: str | None
    attempts: int
    retries: int

    @property
    def due_s(self) -> float:
        """When its wait began."""
        return self.started_s if self.at_s is None else self.at_s


class Sample(msgspec.Struct, frozen=True, gc=False):
    """What was under way at a moment."""

    t_s: float
    in_flight: int | None
    """Model calls."""


def measure(
    asked: Sequence[Asked], totals: Totals, calls: int, cpu: float | None, scheduled: float | None = None
) -> Measured:
    """Give the metrics of a cell and its questions, one after another as they arrived; `cpu` is in seconds.

    Latency is from when a question was due to its outcome, in milliseconds: what waited to be taken up waited.
    `scheduled` is how many seconds questions could arrive for, where that was set: a cell lasts so long at least, also
    where the last of them came early.
    """
    count = len(asked)
    sources = Counter(each.source for each in asked if each.outcome == Outcome.ACCEPTED)
    outcomes = Counter(each.outcome for each in asked)
    latencies = sorted(1000 * (each.ended_s - each.due_s) for each in asked)
    late = sorted(1000 * (each.started_s - each.due_s) for each in asked if each.at_s is not None)
    first, last = min((each.due_s for each in asked), default=0.0), max((each.ended_s for each in asked), default=0.0)
    lasted = last - first if scheduled is None else max(last, scheduled)
    scores = [each.score for each in asked if each.score is not None]
    metrics: dict[str, Value] = {
        "questions": count,
        "accepted": outcomes[Outcome.ACCEPTED],
        "exhausted": outcomes[Outcome.EXHAUSTED],
        "failed": outcomes[Outcome.FAILED],
        "accepted_share": _share(outcomes[Outcome.ACCEPTED], count),
        "hit_ratio": _share(sources[Source.CACHE], count),
        "store_share": _share(sources[Source.STORE], count),
        "coalesced_share": _share(sources[Source.COALESCED], count),
        "calls": calls,
        "calls_per_question": _share(calls, count),
        "regenerations": totals.refused - outcomes[Outcome.EXHAUSTED],
        "regeneration_rate": _share(totals.refused, totals.attempts),
        "retries": totals.retries,
        "mean_score": math.fsum(scores) / len(scores) if scores else None,
        "throughput": count / lasted if lasted > 0 else None,
        "latency_p50": _quantile(latencies, 0.5),
        "latency_p90": _quantile(latencies, 0.9),
        "latency_p99": _quantile(latencies, 0.99),
        "latency_max": _quantile(latencies, 1.0),
        "late_p99": _quantile(late, 0.99),
        "lasted_s": lasted,
        "cpu_s": cpu,
    }
    questions: Columns = {
        "at_s": [each.at_s for each in asked],
        "started_s": [each.started_s for each in asked],
        "ended_s": [each.ended_s for each in asked],
        "outcome": [each.outcome for each in asked],
        "score": [each.score for each in asked],
        "source": [each.source for each in asked],
        "attempts": [each.attempts for each in asked],
        "retries": [each.retries for each in asked],
        "latency_ms": [1000 * (each.ended_s - each.due_s) for each in asked],
        "late_ms": [None if each.at_s is None else 1000 * (each.started_s - each.at_s) for each in asked],
    }
    return Measured(metrics=metrics, questions=questions)


def series_of(samples: Sequence[Sample], asked: Sequence[Asked]) -> Columns:
    """Give what had arrived and ended, exactly, at moments a step apart, from the start to the last end.

    The steps are those of all cells of about that length, so that repetitions can be laid over one another.
    `in_flight` is of the sample before, `None` where there is none; `queue_depth` is how many had arrived and not ended
    without those that a model was at work on then.
    """
    arrived, ended = sorted(each.due_s for each in asked), sorted(each.ended_s for each in asked)
    last = ended[-1] if ended else 0.0
    step = next((step for step in _STEPS if last / step <= _MOMENTS), _STEPS[-1])
    times = [n * step for n in range(math.ceil(last / step) + 1)] if asked else []
    at = [each.t_s for each in samples]
    before = [bisect_right(at, t) - 1 for t in times]
    in_flight = [samples[n].in_flight if n >= 0 else None for n in before]
    came, went = [bisect_right(arrived, t) for t in times], [bisect_right(ended, t) for t in times]
    return {
        "t_s": [*times],
        "queue_depth": [max(a - b - (c or 0), 0) for a, b, c in zip(came, went, in_flight, strict=True)],
        "in_flight": [*in_flight],
        "arrivals": [*came],
        "outcomes": [*went],
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Give the least value that a share of them does not exceed."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None
