"""What became of a run's questions, for whoever waits for all of them."""

from collections.abc import Sequence
from typing import Final

from tamiz.messages import Terminal
from tamiz.store.lives import ResultRow
from tamiz.store.mongo.connection import Connection, Document, put
from tamiz.store.mongo.rows import terminal_of_row

__all__ = ["FINISHED", "MongoResults", "finished_of"]

FINISHED: Final = dict.fromkeys(
    (
        "question_id",
        "title",
        "llm_answer",
        "outcome",
        "score",
        "source",
        "attempts",
        "retries",
        "reason",
        "model",
        "latency_ms",
    ),
    1,
)


class MongoResults:
    """Outcomes by ranges of `message_id`, and small values that a run keeps."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def finished(self, first_id: str, last_id: str) -> dict[str, ResultRow]:
        """Give the outcomes of these submissions, from the first to the last, by `message_id`."""
        answers = self._connection.database.answers
        where = {"_id": {"$gte": first_id, "$lte": last_id}}
        rows = await self._connection.run(lambda: answers.find(where, FINISHED).to_list())
        return {row["_id"]: finished_of(row) for row in rows}

    async def outcomes(self, message_ids: Sequence[str]) -> list[Terminal]:
        """Give the outcomes of those of these submissions that have one."""
        answers = self._connection.database.answers
        rows = await self._connection.run(lambda: answers.find({"_id": {"$in": list(message_ids)}}).to_list())
        return [terminal_of_row(row) for row in rows]

    async def which_ended(self, message_ids: Sequence[str]) -> list[str]:
        """Tell which of these submissions have an outcome."""
        answers = self._connection.database.answers
        where = {"_id": {"$in": list(message_ids)}}
        rows = await self._connection.run(lambda: answers.find(where, {"_id": 1}).to_list())
        return [row["_id"] for row in rows]

    async def ended(self, first_id: str, last_id: str) -> int:
        """Count the outcomes of these submissions."""
        answers = self._connection.database.answers
        where = {"_id": {"$gte": first_id, "$lte": last_id}}
        return await self._connection.run(lambda: answers.count_documents(where))

    async def tried(self, first_id: str, last_id: str) -> dict[str, int]:
        """Count the refused answers and failed calls of these submissions, by result."""
        attempts = self._connection.database.attempts

        async def count() -> list[Document]:
            found = await attempts.aggregate(
                [
                    {"$match": {"message_id": {"$gte": first_id, "$lte": last_id}}},
                    {"$group": {"_id": "$result", "count": {"$sum": 1}}},
                ]
            )
            return await found.to_list()

        return {row["_id"]: row["count"] for row in await self._connection.run(count)}

    async def meta(self, name: str) -> str | None:
        """Give a small value, or `None` where there is none of that name."""
        row = await self._connection.run(lambda: self._connection.database.meta.find_one({"_id": name}))
        return None if row is None else row["value"]

    async def set_meta(self, name: str, value: str) -> None:
        """Keep a small value in place of the one before."""
        await self._connection.run(lambda: put(self._connection.database.meta, name, {"value": value}))


def finished_of(row: Document) -> ResultRow:
    """Give the outcome that a document of `answers` holds."""
    values = [row[name] for name in (*FINISHED, "_id")]
    return ResultRow(*values)
