"""What the documents add up to, as MongoDB is asked for it."""

from collections.abc import Iterable
from typing import Any, Final

from tamiz.messages import Source
from tamiz.store.figures import QUANTILES, Counts, Group, count
from tamiz.store.mongo.connection import Document

__all__ = ["ATTEMPTS", "LATENCIES", "OUTCOMES", "counted", "of_tenant"]

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
"""Over `answers`; its result is the first argument of `counted`."""

ATTEMPTS: Final[list[dict[str, Any]]] = [{"$group": {"_id": "$result", "count": {"$sum": 1}}}]
"""Over `attempts`; its result is the second argument of `counted`."""

LATENCIES: Final[list[dict[str, Any]]] = [
    {"$match": {"source": Source.MODEL, "latency_ms": {"$gt": 0}}},
    {
        "$group": {
            "_id": None,
            "of": {"$percentile": {"input": "$latency_ms", "p": [*QUANTILES], "method": "approximate"}},
        }
    },
]
"""Over `answers`; MongoDB before 7 has no percentiles."""


def of_tenant(pipeline: list[dict[str, Any]], tenant: str | None) -> list[dict[str, Any]]:
    """Give the pipeline over the documents of one tenant alone, `None`: over all."""
    return pipeline if tenant is None else [{"$match": {"tenant": {"$eq": tenant}}}, *pipeline]


def counted(outcomes: Iterable[Document], attempts: Iterable[Document]) -> Counts:
    """Add up what `OUTCOMES` and `ATTEMPTS` gave."""
    groups = (
        Group(
            outcome=row["_id"]["outcome"],
            source=row["_id"].get("source"),
            kind=row["_id"].get("kind"),
            **{name: row[name] for name in ("count", "scored", "sum", "min", "max")},
        )
        for row in outcomes
    )
    return count(groups, {row["_id"]: row["count"] for row in attempts})
