"""What the documents add up to. Counts are derived, never kept, so that repeating a write cannot make them drift."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from tamiz.messages import Outcome, Source
from tamiz.store.mongo.connection import Document

__all__ = ["ATTEMPTS", "OUTCOMES", "Counts", "count"]

_HAS_SCORE: Final = {"$cond": [{"$gt": ["$score", None]}, 1, 0]}

OUTCOMES: Final[list[dict[str, Any]]] = [
    {
        "$group": {
            "_id": {"outcome": "$outcome", "source": "$source", "kind": "$kind"},
            "count": {"$sum": 1},
            "scored": {"$sum": _HAS_SCORE},
            "sum": {"$sum": "$score"},
            "min": {"$min": "$score"},
            "max": {"$max": "$score"},
        }
    }
]
"""Over `answers`; its result is `count`'s first argument."""

ATTEMPTS: Final[list[dict[str, Any]]] = [{"$group": {"_id": "$result", "count": {"$sum": 1}}}]
"""Over `attempts`; its result is `count`'s second argument."""


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


def count(outcomes: Iterable[Document], attempts: Iterable[Document]) -> Counts:
    """Add up what `OUTCOMES` and `ATTEMPTS` gave."""
    tried = {row["_id"]: row["count"] for row in attempts}
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
    for row in sorted(outcomes, key=lambda row: -row["count"]):
        _add(counts, row)
    return counts


def _add(counts: Counts, row: Document) -> None:
    outcome, source, kind = row["_id"]["outcome"], row["_id"].get("source"), row["_id"].get("kind")
    counts.outcomes[outcome] += row["count"]
    if outcome == Outcome.FAILED:
        counts.dead_letters[kind] = counts.dead_letters.get(kind, 0) + row["count"]
        return
    counts.sources[source] = counts.sources.get(source, 0) + row["count"]
    if outcome == Outcome.ACCEPTED:
        counts.unscored += row["count"] - row["scored"]
        counts.judged += row["count"] if source == Source.MODEL else 0
    counts.scored += row["scored"]
    counts.score_sum += row["sum"]
    if row["min"] is not None:
        counts.score_min = row["min"] if counts.score_min is None else min(counts.score_min, row["min"])
        counts.score_max = row["max"] if counts.score_max is None else max(counts.score_max, row["max"])
