"""Coalescing across processes: who leads among identical questions, and who waits.

Two collections, and no transaction over both. `claims` has a document for each cache key in flight: its leader, and
`joined` once anybody waits. `parked` has one for each question that waits: its leader, and `by`, the submission whose
outcome took it, once one did. What makes this safe is the order of steps:

- Who parks says so in the claim (`joined`), inserts its document, and then reads the claim again. Who ends a claim
  drops it, and then looks once more for documents. So of a parker and an end that meet, the parker sees that the claim
  is gone, or the end sees the parker's document; one of them takes it out, by a conditional write, and not both.
- A document is taken by writing `by` into it, and stays until the outcome that was made of it comes by itself, which is
  the proof that the emission is durable. Until then the outcome that took it, when it comes again, is given it again.
- A claim that nobody joined ends in one conditional step.
- A question that is delivered again may find its document, which somebody may rely on: it is left there and, where its
  claim is gone, moved on to the leader of today. Only the delivery that inserted it takes it out, and only untouched.

Every condition names the `seq` that was seen: a document that was taken out and inserted anew is another one. What a
process breaks that goes on after others took over from it, and dies in the middle, `stranded.py` finds.
"""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from tamiz.clock import Clock
from tamiz.messages import QuestionAsked, Terminal, encode
from tamiz.store.mongo.batched import Batched
from tamiz.store.mongo.connection import Connection, Document, insert_new
from tamiz.store.mongo.release import Release

__all__ = ["MongoClaims"]

_AT_ONCE: Final = 3


class _Parking(NamedTuple):
    asked: QuestionAsked
    leader: str
    joined: bool


class _Parked(NamedTuple):
    waits: bool
    """Whether an outcome has taken it, or will; otherwise its claim has ended before it was seen."""
    own: int | None
    """The `seq` of its document, where this delivery of the question inserted it."""


class MongoClaims:
    """Claims and parked questions. Calls made at the same time share round trips."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._last = 0
        self._insert = Batched(self._insert_all, at_once=_AT_ONCE)
        self._read = Batched(self._read_all, at_once=_AT_ONCE)
        self._park = Batched(self._park_all, at_once=_AT_ONCE)
        self._release = Release(connection, clock)

    async def claim(self, asked: QuestionAsked) -> bool:
        """Claim the cache key, or park the question behind whoever holds it."""
        while True:
            if await self._insert(asked):
                return True
            claim = await self._read(asked.cache_key)
            if claim is None:
                continue  # it ended just now
            if claim["leader"] == asked.message_id:
                return True
            parked = await self._park(_Parking(asked, claim["leader"], claim.get("joined", False)))
            if parked.waits or (parked.own is not None and not await self._take_back(asked, parked.own)):
                return False

    async def release(self, outcome: Terminal, limit: int) -> list[QuestionAsked]:
        """Take up to `limit` of those that wait for the leader; when nobody waits any more the claim ends.

        An outcome that comes again gets those again whose own outcomes have not come by yet.
        """
        return await self._release(outcome, limit)

    async def _insert_all(self, asked: list[QuestionAsked]) -> list[bool]:
        rows = [{"_id": each.cache_key, "leader": each.message_id} for each in asked]
        held = await self._connection.run(lambda: insert_new(self._connection.database.claims, rows))
        return [index not in held for index in range(len(asked))]

    async def _read_all(self, keys: Sequence[str]) -> list[Document | None]:
        claims = self._connection.database.claims
        rows = await self._connection.run(lambda: claims.find({"_id": {"$in": list(set(keys))}}).to_list())
        found = {row["_id"]: row for row in rows}
        return [found.get(key) for key in keys]

    async def _park_all(self, parkings: list[_Parking]) -> list[_Parked]:
        parked = self._connection.database.parked
        await self._join([each for each in parkings if not each.joined])
        rows = [self._row(each) for each in parkings]
        there = await self._connection.run(lambda: insert_new(parked, rows))
        known = await self._touched([rows[index]["_id"] for index in there]) if there else {}
        claims = await self._read_all([each.asked.cache_key for each in parkings])
        result = []
        for index, (row, claim) in enumerate(zip(rows, claims, strict=True)):
            now = known.get(row["_id"]) if index in there else row
            waits = now is not None and _waits(now, claim)
            if index in there and now is not None and not waits and claim is not None:
                await self._move(now, claim["leader"])
            result.append(_Parked(waits, None if index in there else row["seq"]))
        return result

    async def _touched(self, ids: list[str]) -> dict[str, Document]:
        """Give what is there of these, which other deliveries of the same questions have parked before.

        From now on those do not take them back: this delivery may be the one that counts.
        """
        parked = self._connection.database.parked
        where = {"_id": {"$in": ids}}
        await self._connection.run(lambda: parked.update_many({**where, "by": None}, {"$set": {"touched": True}}))
        fields = {"leader": 1, "by": 1, "seq": 1}
        rows = await self._connection.run(lambda: parked.find(where, fields).to_list())
        return {row["_id"]: row for row in rows}

    async def _move(self, row: Document, leader: str) -> None:
        """Have one that waits for nobody wait for the leader of today, who is asked about it in the next round."""
        if leader in {row["_id"], row["leader"]}:
            return
        parked = self._connection.database.parked
        was = {"_id": row["_id"], "by": None, "seq": row["seq"]}
        now = {"$set": {"leader": leader, "seq": self._next(), "at": self._clock.time()}}
        await self._connection.run(lambda: parked.update_many(was, now))

    async def _join(self, parkings: list[_Parking]) -> None:
        if not parkings:
            return
        # a submission has one cache key, so these pairs are the only ones that match
        where = {
            "_id": {"$in": list({each.asked.cache_key for each in parkings})},
            "leader": {"$in": list({each.leader for each in parkings})},
        }
        claims = self._connection.database.claims
        await self._connection.run(lambda: claims.update_many(where, {"$set": {"joined": True}}))

    async def _take_back(self, asked: QuestionAsked, seq: int) -> bool:
        """Take out the document that this delivery has inserted; `False` where an outcome has taken it."""
        parked = self._connection.database.parked
        own = {"_id": asked.message_id}
        certain = True

        async def take() -> bool:
            nonlocal certain
            first, certain = certain, False
            if (await parked.delete_one({**own, "by": None, "seq": seq, "touched": None})).deleted_count:
                return True
            row = await parked.find_one(own, {"by": 1})
            if row is None:
                # its own outcome has come by already; or a call before this one took it out, and failed to say so
                return not first
            return row["by"] is None

        return await self._connection.run(take)

    def _row(self, parking: _Parking) -> Document:
        return {
            "_id": parking.asked.message_id,
            "cache_key": parking.asked.cache_key,
            "leader": parking.leader,
            "by": None,
            "seq": self._next(),
            "at": self._clock.time(),
            "event": encode(parking.asked),
        }

    def _next(self) -> int:
        # the order of coming, over all processes as far as their clocks agree; no time that anything depends on
        self._last = max(self._last + 1, time.time_ns())
        return self._last


def _waits(row: Document, claim: Document | None) -> bool:
    """Tell whether an outcome has taken this one already, or one will: its claim goes on and knows of it."""
    if row["by"] is not None:
        return True
    return claim is not None and claim["leader"] == row["leader"] and claim.get("joined", False)
