"""Figures over everything, as a document that anything which reads MongoDB can show."""

from typing import Any, Final

from pymongo.errors import OperationFailure

from tamiz.store.figures import QUANTILES, figures
from tamiz.store.mongo.connection import Connection, put
from tamiz.store.mongo.counts import ATTEMPTS, LATENCIES, OUTCOMES, counted
from tamiz.store.mongo.failures import passes

__all__ = ["METRICS", "refresh_metrics"]

METRICS: Final = "global"
"""The `_id` of the document, in the collection `metrics`."""


async def refresh_metrics(connection: Connection, now: float) -> None:
    """Count everything anew and write the document in place of the one before.

    It is counted from the documents of questions, outcomes and attempts, each of which is there once, however often it
    was recorded.
    """
    database = connection.database

    async def aggregate(name: str, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return await connection.run(lambda: _all(database[name], pipeline))

    # outcomes before questions: so none is counted whose question is not
    counts = counted(await aggregate("answers", OUTCOMES), await aggregate("attempts", ATTEMPTS))
    questions = await connection.run(lambda: database.questions.count_documents({}))
    latencies = await connection.run(lambda: _latencies(database.answers))
    document = figures(counts, questions, latencies, now)
    await connection.run(lambda: put(database.metrics, METRICS, document))


async def _latencies(answers: Any) -> list[float | None]:  # noqa: ANN401 - pymongo's
    nothing: list[float | None] = [None for _ in QUANTILES]
    try:
        rows = await _all(answers, LATENCIES)
    except OperationFailure as error:
        if passes(error):
            raise
        return nothing  # MongoDB before 7 has no percentiles
    return rows[0]["of"] if rows else nothing


async def _all(collection: Any, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: ANN401 - pymongo's
    found: list[dict[str, Any]] = await (await collection.aggregate(pipeline)).to_list()
    return found
