"""Figures over everything, as a document that anything which reads MongoDB can show."""

import re
from typing import Any, Final

from pymongo.errors import OperationFailure

from tamiz.messages import Outcome, Source
from tamiz.store.mongo.connection import Connection, put
from tamiz.store.mongo.counts import ATTEMPTS, OUTCOMES, Counts, count
from tamiz.store.mongo.failures import passes

__all__ = ["METRICS", "refresh_metrics"]

METRICS: Final = "global"
"""The `_id` of the document, in the collection `metrics`."""

_NO_KEY: Final = re.compile(r"[$.\x00]")
"""What a document's keys cannot hold; a kind is what some message says it is."""

_LATENCIES: Final[list[dict[str, Any]]] = [
    {"$match": {"source": Source.MODEL, "latency_ms": {"$gt": 0}}},
    {
        "$group": {
            "_id": None,
            "of": {"$percentile": {"input": "$latency_ms", "p": [0.5, 0.95], "method": "approximate"}},
        }
    },
]


async def refresh_metrics(connection: Connection, now: float) -> None:
    """Count everything anew and write the document in place of the one before.

    It is counted from the documents of questions, outcomes and attempts, each of which is there once, however often it
    was recorded.
    """
    database = connection.database

    async def aggregate(name: str, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return await connection.run(lambda: _all(database[name], pipeline))

    # outcomes before questions: so none is counted whose question is not
    counts = count(await aggregate("answers", OUTCOMES), await aggregate("attempts", ATTEMPTS))
    questions = await connection.run(lambda: database.questions.count_documents({}))
    latencies = await connection.run(lambda: _latencies(database.answers))
    document = _document(counts, questions, latencies, now)
    await connection.run(lambda: put(database.metrics, METRICS, document))


def _document(counts: Counts, questions: int, latencies: list[float | None], now: float) -> dict[str, Any]:
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


async def _latencies(answers: Any) -> list[float | None]:  # noqa: ANN401 - pymongo's
    try:
        rows = await _all(answers, _LATENCIES)
    except OperationFailure as error:
        if passes(error):
            raise
        return [None, None]  # MongoDB before 7 has no percentiles
    return rows[0]["of"] if rows else [None, None]


async def _all(collection: Any, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: ANN401 - pymongo's
    found: list[dict[str, Any]] = await (await collection.aggregate(pipeline)).to_list()
    return found
