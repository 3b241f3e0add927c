"""Figures over everything that is known of questions: the document `metrics`, whichever store it is made of.

Counts are derived, never kept, so that repeating a write cannot make them drift.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tamiz.messages import Outcome, Source

__all__ = ["QUANTILES", "Counts", "Group", "count", "figures"]

QUANTILES: Final = (0.5, 0.95)
"""Of the latencies of models' answers, as `figures` takes them."""

_NO_KEY: Final = re.compile(r"[$.\x00]")
"""What a document's keys cannot hold; a kind is what some message says it is."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes of one kind, from one source, with their scores."""

    outcome: str
    source: str | None
    kind: str | None
    count: int
    scored: int
    sum: float
    min: float | None
    max: float | None


class Counts(msgspec.Struct, kw_only=True):
    """Outcomes, and what models did for them."""

    outcomes: dict[str, int]
    sources: dict[str, int]
    """Answered questions by where the answer came from."""
    dead_letters: dict[str, int]
    """By kind."""
    refused: int
    """Answers that fell short."""
    failures: dict[str, int]
    """Model calls that failed, by kind."""
    judged: int
    """Answers of models that were judged."""
    unscored: int
    """Accepted without a score."""
    scored: int
    score_sum: float
    score_min: float | None
    score_max: float | None

    @property
    def model_calls(self) -> int:
        """Calls that gave an answer or failed."""
        return self.judged + sum(self.failures.values())


def count(groups: Iterable[Group], attempts: Mapping[str, int]) -> Counts:
    """Add up groups of outcomes, and attempts by their result."""
    tried = dict(attempts)
    refused = tried.pop("refused", 0)
    counts = Counts(
        outcomes=dict.fromkeys(Outcome, 0),
        sources={},
        dead_letters={},
        refused=refused,
        failures=dict(sorted(tried.items())),
        judged=refused,  # and below those that were accepted: of the exhausted ones the last answer was refused too
        unscored=0,
        scored=0,
        score_sum=0.0,
        score_min=None,
        score_max=None,
    )
    for group in sorted(groups, key=lambda group: -group.count):
        _add(counts, group)
    return counts


def figures(counts: Counts, questions: int, latencies: Sequence[float | None], now: float) -> dict[str, Any]:
    """Write the document; `latencies` are the `QUANTILES` of models' answers in milliseconds."""
    ended = sum(counts.outcomes.values())
    return {
        "questions": questions,
        "open": max(questions - ended, 0),
        "accepted": counts.outcomes[Outcome.ACCEPTED],
        "exhausted": counts.outcomes[Outcome.EXHAUSTED],
        "failed": counts.outcomes[Outcome.FAILED],
        "sources": counts.sources,
        "dead_letters": {_NO_KEY.sub("_", kind): number for kind, number in counts.dead_letters.items()},
        "attempts": {"judged": counts.judged, "refused": counts.refused, "failed_calls": counts.failures},
        "model_calls": counts.model_calls,
        "unscored": counts.unscored,
        "score": {
            "mean": counts.score_sum / counts.scored if counts.scored else None,
            "min": counts.score_min,
            "max": counts.score_max,
        },
        "latency_ms": dict(zip(("p50", "p95"), latencies, strict=True)),
        "updated_at": now,
    }


def _add(counts: Counts, group: Group) -> None:
    counts.outcomes[group.outcome] += group.count
    if group.outcome == Outcome.FAILED:
        kind = group.kind or ""
        counts.dead_letters[kind] = counts.dead_letters.get(kind, 0) + group.count
        return
    source = group.source or ""
    counts.sources[source] = counts.sources.get(source, 0) + group.count
    if group.outcome == Outcome.ACCEPTED:
        counts.unscored += group.count - group.scored
        counts.judged += group.count if group.source == Source.MODEL else 0
    counts.scored += group.scored
    counts.score_sum += group.sum
    if group.min is not None and group.max is not None:
        counts.score_min = group.min if counts.score_min is None else min(counts.score_min, group.min)
        counts.score_max = group.max if counts.score_max is None else max(counts.score_max, group.max)
