"""Due times: events that wait, as documents."""

import asyncio
import itertools
import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from tamiz.clock import Clock
from tamiz.effects import Deferred
from tamiz.messages import encode
from tamiz.store.mongo.batched import Batched
from tamiz.store.mongo.connection import Connection, Document
from tamiz.store.mongo.failures import DUPLICATE
from tamiz.store.mongo.rows import deferred_of
from tamiz.store.mongo.stranded import Stranded

__all__ = ["LEASE", "MongoDeferrals", "deferral_id"]

LEASE: Final = 30.0
"""Seconds that a due event is one process's alone."""
_FORGOTTEN: Final = 20 * LEASE
"""Seconds after which a process no longer knows what it took and never sent."""


class MongoDeferrals:
    """A durable heap of events by due time, shared by processes.

    A document's `at` is when somebody may take it: when it is due, or when the lease of whoever took it runs out. To
    take one is to move `at` on and to leave a token; only a document that has the token still is dropped once it was
    sent, so that one that was deferred anew in between stays.

    Every half minute it also defers the parked questions that `Stranded` finds.
    """

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._taken: dict[tuple[str, float], tuple[str, float]] = {}  # id and due to token and end of the lease
        self._defer = Batched(self._keep)  # one batch at a time: the last of two deferrals counts
        self._stranded = Stranded(connection, clock, self.defer)

    async def defer(self, deferred: Deferred) -> None:
        """Keep the event until it is due; of the same attempt and retry of a submission the last one counts."""
        await self._defer(deferred)

    async def due(self, now: float, limit: int) -> list[Deferred]:
        """Lease up to `limit` of those whose time has come, the earliest first."""
        await self._stranded.look()
        self._forget(now)
        token = uuid.uuid4().hex
        seen: list[str] = []
        rows = await self._connection.run(lambda: self._lease(token, now, limit, seen))
        for row in rows:
            self._taken[row["_id"], row["due"]] = token, now + LEASE
        rows.sort(key=lambda row: row["due"])
        return [Deferred(deferred_of(row["event"]), row["due"]) for row in rows]

    async def sent(self, deferred: Sequence[Deferred]) -> None:
        """Drop those that nobody deferred anew or took over in the meantime."""
        by_token: dict[str, list[str]] = defaultdict(list)
        for each in deferred:
            identity = deferral_id(each)
            token, _ = self._taken.get((identity, each.due), (None, 0.0))
            if token is not None:
                by_token[token].append(identity)
        await asyncio.gather(*(self._drop(token, ids) for token, ids in by_token.items()))
        for each in deferred:
            self._taken.pop((deferral_id(each), each.due), None)

    async def next_due(self) -> float | None:
        """Give the earliest time at which there is something to take."""
        await self._stranded.look()
        deferrals = self._connection.database.deferrals
        rows = await self._connection.run(lambda: deferrals.find({}, {"at": 1}).sort("at", 1).limit(1).to_list())
        return rows[0]["at"] if rows else None

    async def _lease(self, token: str, now: float, limit: int, seen: list[str]) -> list[Document]:
        """Take some. `seen` is what earlier tries of the same call found: they may have taken it unknowingly."""
        deferrals = self._connection.database.deferrals
        free = {"at": {"$lte": now}}
        if (wanted := limit - len(seen)) > 0:
            found = await deferrals.find(free, {"_id": 1}).sort("at", 1).limit(wanted).to_list()
            seen += [row["_id"] for row in found]
        if not seen:
            return []
        ids = {"$in": seen}
        await deferrals.update_many({"_id": ids, **free}, {"$set": {"at": now + LEASE, "lease": token}})
        # read after they were taken: what is there now is what counts
        return await deferrals.find({"_id": ids, "lease": token}).to_list()

    async def _drop(self, token: str, ids: list[str]) -> None:
        deferrals = self._connection.database.deferrals
        await self._connection.run(lambda: deferrals.delete_many({"_id": {"$in": ids}, "lease": token}))

    async def _keep(self, deferred: list[Deferred]) -> list[None]:
        rows = {deferral_id(each): each for each in deferred}
        writes: list[Any] = [
            ReplaceOne(
                {"_id": identity},
                {"due": each.due, "at": each.due, "lease": None, "event": encode(each.event)},
                upsert=True,
            )
            for identity, each in rows.items()
        ]
        await self._connection.run(lambda: self._write(writes))
        return [None] * len(deferred)

    async def _write(self, writes: list[Any]) -> None:
        try:
            await self._connection.database.deferrals.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            errors = error.details.get("writeErrors", [])
            lost = [each["index"] for each in errors if each.get("code") == DUPLICATE]
            if len(lost) < len(errors) or error.details.get("writeConcernErrors"):
                raise
            # another process inserted the same document between our look and our insert: now it is there to replace
            await self._write([writes[index] for index in lost])

    def _forget(self, now: float) -> None:
        old = itertools.takewhile(lambda item: item[1][1] < now - _FORGOTTEN, self._taken.items())
        for key in [key for key, _ in old]:
            del self._taken[key]


def deferral_id(deferred: Deferred) -> str:
    """Give the key of the document: what is kept once."""
    return "/".join(map(str, deferred.identity))
