"""Puts dead letters back: the outcome goes, and the question waits to be asked again, as the submission it was."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from tamiz.effects import Deferred
from tamiz.messages import Outcome, QuestionAsked
from tamiz.store.lives import Replayed
from tamiz.store.mongo.connection import Document
from tamiz.store.mongo.rows import question_of_row
from tamiz.store.mongo.store import MongoStore

__all__ = ["replay"]

_CHUNK: Final = 500
_LATER: Final = 0.001
_SOON: Final = 5.0
"""Seconds until they are asked: what was there of them has to be gone by then."""


async def replay(store: MongoStore, message_ids: Iterable[str], now: float) -> Replayed:
    """Put back those of these submissions that are dead letters; whatever else they are, they stay as they are.

    Each is deferred before its outcome goes, so that none is lost where this is cut off in the middle; the outcome that
    is there still would stay then, and it can be put back again. Its counts begin anew: what was tried is forgotten.
    """
    replayed = Replayed()
    started = time.monotonic()
    for chunk in _chunks(message_ids):
        back: list[Document] = []
        for row in await _dead(store, chunk):
            if row["source"] is None:  # nobody ever asked it
                replayed.no_questions += 1
            else:
                back.append(row)
        while back:
            due = now + time.monotonic() - started + _SOON
            await asyncio.gather(*(store.deferrals.defer(Deferred(_anew(row, due), due)) for row in back))
            await _forget(store, [row["_id"] for row in back])
            if now + time.monotonic() - started < due:
                break
            # some may have been asked, and have ended, before their old outcomes were gone: once more
        replayed.questions += len(back)
    return replayed


def _anew(row: Document, now: float) -> QuestionAsked:
    """Give the question as one that is asked now: whoever remembers what was judged of it takes it for another."""
    question = question_of_row(row)
    return msgspec.structs.replace(question, created_at=max(now, question.created_at + _LATER))


async def _dead(store: MongoStore, message_ids: list[str]) -> list[Document]:
    answers = store.connection.database.answers
    where = {"_id": {"$in": message_ids}, "outcome": Outcome.FAILED}
    return await store.connection.run(lambda: answers.find(where).to_list())


async def _forget(store: MongoStore, message_ids: list[str]) -> None:
    database = store.connection.database
    ids = {"$in": message_ids}
    await store.connection.run(lambda: database.attempts.delete_many({"message_id": ids}))
    await store.connection.run(lambda: database.answers.delete_many({"_id": ids, "outcome": Outcome.FAILED}))


def _chunks(message_ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(message_ids)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
