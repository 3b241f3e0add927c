"""Questions, outcomes, refused attempts and failed calls."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final

from tamiz.clock import Clock
from tamiz.messages import (
    DeadLetter,
    Event,
    LlmError,
    Message,
    QuestionAsked,
    RegenerationRequest,
    Scored,
    Source,
    Terminal,
    ValidatedResponse,
)
from tamiz.store.mongo.batched import Batched
from tamiz.store.mongo.connection import Connection, Document, insert_new
from tamiz.store.mongo.rows import failed_row, outcome_row, question_row, refused_row, scored_of_row

__all__ = ["MongoAnswers"]

_KNOWN: Final = 50_000
"""Questions that are known to be in the database, so that they are not sent there again."""
_AT_ONCE: Final = 3

_SCORED: Final = dict.fromkeys(
    ("cache_key", "llm_answer", "score", "reason", "attempt", "model", "latency_ms", "reasons", "completion"), 1
)


class MongoAnswers:
    """Remembers events; the first outcome of a `message_id` stays.

    What is recorded is durable when `record` returns. Calls made at the same time share round trips.
    """

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._known: dict[str, None] = {}
        self._questions = self._inserting("questions")
        self._attempts = self._inserting("attempts")
        self._outcomes = self._inserting("answers")
        self._reusable = Batched(self._best, limit=100, at_once=_AT_ONCE)

    async def record(self, event: Event) -> None:
        """Remember a submission, a failed call, a refused attempt or an outcome, and its question with it.

        Other events need no memory.
        """
        now = self._clock.time()
        match event:
            case ValidatedResponse() | DeadLetter():
                await self._all(event, *self._outcome(event, now))
            case LlmError():
                await self._all(event, self._attempts(failed_row(event, now)))
            case RegenerationRequest():
                await self._all(event, self._attempts(refused_row(event, event.refused, now)))
            case QuestionAsked():
                await self._all(event)
            case _:
                pass

    async def reusable(self, cache_key: str) -> Scored | None:
        """Give the accepted answer with the highest score for this key."""
        return await self._reusable(cache_key)

    async def unknown(self, message_ids: Sequence[str]) -> set[str]:
        """Tell which of these submissions have never been recorded."""
        ids = list(message_ids)

        async def find() -> list[Document]:
            return await self._connection.database.questions.find({"_id": {"$in": ids}}, {"_id": 1}).to_list()

        return set(ids).difference(row["_id"] for row in await self._connection.run(find))

    def _outcome(self, event: Terminal, now: float) -> list[Awaitable[object]]:
        writes: list[Awaitable[object]] = [self._outcomes(outcome_row(event, now))]
        if isinstance(event, ValidatedResponse) and event.refused is not None:
            writes.append(self._attempts(refused_row(event, event.refused, now)))
        return writes

    async def _all(self, event: Message, *writes: Awaitable[object]) -> None:
        await asyncio.gather(self._ask(event), *writes)

    async def _ask(self, event: Message) -> None:
        """See to it that the question is there."""
        if event.message_id in self._known:
            return
        await self._questions(question_row(event))
        self._known[event.message_id] = None
        if len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]

    async def _best(self, keys: list[str]) -> list[Scored | None]:
        async def find() -> list[Document]:
            where = {"cache_key": {"$in": list(set(keys))}, "accepted": True, "source": Source.MODEL}
            return await self._connection.database.answers.find(where, _SCORED).to_list()

        best: dict[str, Document] = {}
        for row in await self._connection.run(find):
            known = best.get(row["cache_key"])
            if known is None or _rank(row) > _rank(known):
                best[row["cache_key"]] = row
        return [scored_of_row(best[key]) if key in best else None for key in keys]

    def _inserting(self, name: str) -> Batched[Document, None]:
        async def insert(documents: list[Document]) -> list[None]:
            await self._connection.run(lambda: insert_new(self._connection.database[name], documents))
            return [None] * len(documents)

        return Batched(insert, at_once=_AT_ONCE)


def _rank(row: Document) -> tuple[bool, float]:
    return row["score"] is not None, row["score"] or 0.0
