"""The other half of claims: an outcome takes those that wait, and the claim ends."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from tamiz.clock import Clock
from tamiz.messages import QuestionAsked, Terminal
from tamiz.store.mongo.batched import Batched
from tamiz.store.mongo.connection import Connection, Document
from tamiz.store.mongo.rows import parked_of

__all__ = ["Release"]

_AT_ONCE: Final = 3
_LIMIT: Final = 100


class _Call(NamedTuple):
    by: str
    leader: str
    cache_key: str
    limit: int

    @property
    def taker(self) -> tuple[str, str]:
        """Which outcome it is: a submission may have had one of its own and one of its leader's."""
        return self.by, self.leader


class _Taker:
    """What one outcome has of those that wait."""

    def __init__(self, call: _Call, rows: list[Document]) -> None:
        self.by = call.by
        self.leader = call.leader
        self.limit = call.limit
        self.rows = rows


class Release:
    """`Claims.release` for many outcomes at once.

    Most outcomes have nobody waiting: their claims are dropped together. The others go through the steps that
    `store/mongo/claims.py` describes, one batch after the other, so that outcomes of one process do not compete.
    """

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._end = Batched(self._end_all, limit=_LIMIT, at_once=_AT_ONCE)
        self._take = Batched(self._take_all)

    async def __call__(self, outcome: Terminal, limit: int) -> list[QuestionAsked]:
        """Take up to `limit` of those that wait for the outcome's leader."""
        call = _Call(outcome.message_id, outcome.leader, outcome.cache_key, limit)
        if call.by == call.leader and await self._end(call):
            return []
        rows = await self._take(call)
        return [parked_of(row["event"]) for row in rows]

    async def _end_all(self, calls: list[_Call]) -> list[bool]:
        """End the claims that nobody ever joined; tell for each whether it is certain that there is no more to do."""
        claims, parked = self._connection.database.claims, self._connection.database.parked
        keys = {"$in": list({call.cache_key for call in calls})}
        leaders = {"$in": list({call.leader for call in calls})}
        taken = {"by": {"$in": list({call.by for call in calls})}}
        ended, held = await asyncio.gather(
            self._connection.run(lambda: claims.delete_many({"_id": keys, "leader": leaders, "joined": None})),
            self._connection.run(lambda: parked.find(taken, {"by": 1, "leader": 1}).to_list()),
        )
        left: set[str] = set()
        if ended.deleted_count < len(calls):
            joined = {"_id": keys, "leader": leaders, "joined": True}
            rows = await self._connection.run(lambda: claims.find(joined, {"_id": 1}).to_list())
            left = {row["_id"] for row in rows}
        gone = [call.cache_key not in left for call in calls]
        if ended.deleted_count != sum(gone):
            # some were gone before: their outcomes come again, and may have been cut off in the middle of a release
            return [False] * len(calls)
        given = {_taker_of(row) for row in held}
        return [was and call.taker not in given for was, call in zip(gone, calls, strict=True)]

    async def _take_all(self, calls: list[_Call]) -> list[list[Document]]:
        await self._forget([call for call in calls if call.by != call.leader])
        takers = await self._given(calls)
        await self._fill(takers.values())
        empty = [taker for taker in takers.values() if not taker.rows]
        if empty:
            await self._end_joined([call for call in calls if not takers[call.taker].rows])
            await self._fill(empty)
        for taker in takers.values():
            taker.rows.sort(key=lambda row: row["seq"])
        return [takers[call.taker].rows for call in calls]

    async def _forget(self, calls: list[_Call]) -> None:
        """Drop the documents of those that were taken and whose outcomes these are: they were emitted."""
        if not calls:
            return
        where = {
            "_id": {"$in": [call.by for call in calls]},
            "leader": {"$in": list({call.leader for call in calls})},
            "by": {"$ne": None},
        }
        parked = self._connection.database.parked
        await self._connection.run(lambda: parked.delete_many(where))

    async def _given(self, calls: list[_Call]) -> dict[tuple[str, str], _Taker]:
        """Give what each outcome has taken before."""
        parked = self._connection.database.parked
        where = {"by": {"$in": list({call.by for call in calls})}}
        rows: dict[tuple[str, str], list[Document]] = defaultdict(list)
        for row in await self._connection.run(lambda: parked.find(where).to_list()):
            rows[_taker_of(row)].append(row)
        return {call.taker: _Taker(call, rows[call.taker]) for call in calls}

    async def _fill(self, takers: Iterable[_Taker]) -> None:
        """Take for those that have nobody yet, until each has somebody or nobody waits.

        An outcome that comes again and was given some takes no more: what it took before goes on by itself.
        """
        hungry = [taker for taker in takers if not taker.rows]
        while hungry:
            free = await self._free(hungry)
            await self._assign(hungry, free)
            hungry = [taker for taker in hungry if taker.leader in free and not taker.rows]

    async def _free(self, takers: Iterable[_Taker]) -> dict[str, list[Document]]:
        """Give those that wait for each leader, as many as are wanted, in the order they came."""
        wanted: dict[str, int] = defaultdict(int)
        for taker in takers:
            wanted[taker.leader] += taker.limit
        found = await asyncio.gather(*(self._first(leader, number) for leader, number in wanted.items()))
        return {leader: rows for leader, rows in zip(wanted, found, strict=True) if rows}

    async def _first(self, leader: str, number: int) -> list[Document]:
        parked = self._connection.database.parked
        where = {"leader": leader, "by": None}
        return await self._connection.run(lambda: parked.find(where).sort("seq", 1).limit(number).to_list())

    async def _assign(self, takers: list[_Taker], free: dict[str, list[Document]]) -> None:
        """Write into each document who takes it, where nobody else did in between."""
        rest = {leader: iter(rows) for leader, rows in free.items()}
        wanted = [(taker, row) for taker in takers for row in itertools.islice(rest.get(taker.leader, ()), taker.limit)]
        if not wanted:
            return
        won = await self._write({row["_id"]: taker.by for taker, row in wanted}, [row["seq"] for _, row in wanted])
        for taker, row in wanted:
            if row["_id"] in won:
                taker.rows.append(row)

    async def _write(self, takes: dict[str, str], seen: list[int]) -> set[str]:
        ids, takers = list(takes), list(takes.values())
        place = {"$indexOfArray": [{"$literal": ids}, "$_id"]}
        change: Any = [{"$set": {"by": {"$arrayElemAt": [{"$literal": takers}, place]}, "taken": self._clock.time()}}]
        # as they were seen: one that was taken back and parked anew in between waits for another leader
        where = {"_id": {"$in": ids}, "by": None, "seq": {"$in": seen}}
        parked = self._connection.database.parked

        async def take() -> set[str]:
            changed = await parked.update_many(where, change)
            if changed.modified_count == len(ids):
                return set(ids)
            rows = await parked.find({"_id": {"$in": ids}}, {"by": 1}).to_list()
            return {row["_id"] for row in rows if row["by"] == takes[row["_id"]]}

        return await self._connection.run(take)

    async def _end_joined(self, calls: list[_Call]) -> None:
        where = {
            "_id": {"$in": list({call.cache_key for call in calls})},
            "leader": {"$in": list({call.leader for call in calls})},
        }
        claims = self._connection.database.claims
        await self._connection.run(lambda: claims.delete_many(where))


def _taker_of(row: Document) -> tuple[str, str]:
    return row["by"], row["leader"]
