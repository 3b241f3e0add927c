"""A safety net below claims: parked questions that no outcome will release are asked again.

Claims lose nobody as long as every delivery is handled to its end or comes again. A process that was taken for dead may
break that: it wakes up, takes parked questions for an outcome that another process has long acknowledged, or claims a
key for a question that has its outcome, and then dies in the middle. What it took is given to nobody.

So whoever has waited too long for what should have come by is asked again, as the submission it was. Where its outcome
was only late it gets two, of which the first stays.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final

from tamiz.clock import Clock
from tamiz.effects import Deferred
from tamiz.store.mongo.connection import Connection, Document
from tamiz.store.mongo.rows import parked_of

__all__ = ["NOBODY", "PATIENCE", "Stranded"]

PATIENCE: Final = 60.0
"""Seconds that an outcome may take from being recorded or emitted until it comes by."""
NOBODY: Final = ""
"""The leader of those that are about to be asked again."""
_INTERVAL: Final = 30.0
_INTERVAL_OF_PAGES: Final = 5.0
_PAGE: Final = 500


class Stranded:
    """Looks at the parked questions, a page at a time, and defers those that wait in vain."""

    def __init__(self, connection: Connection, clock: Clock, defer: Callable[[Deferred], Awaitable[None]]) -> None:
        self._connection = connection
        self._clock = clock
        self._defer = defer
        self._after = ""
        # a process that starts after a while in which none ran finds much that is merely late
        self._next = clock.monotonic() + PATIENCE

    async def look(self) -> None:
        """Look at a page, where the last look was a while ago."""
        now = self._clock.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL
        more = await self.ask_again(self._clock.time())
        pause = _INTERVAL_OF_PAGES if more else _INTERVAL
        # several processes do this, each at its own times
        self._next = now + pause * random.uniform(0.5, 1.5)  # noqa: S311 - jitter

    async def ask_again(self, now: float) -> bool:
        """Look at the next page; tell whether there are more."""
        claims, parked = self._connection.database.claims, self._connection.database.parked
        where = {"_id": {"$gt": self._after}}
        rows = await self._connection.run(
            lambda: parked.find(where, {"event": 0}).sort("_id", 1).limit(_PAGE).to_list()
        )
        more = len(rows) == _PAGE
        self._after = rows[-1]["_id"] if more else ""
        late = [row for row in rows if row["taken" if row["by"] else "at"] < now - PATIENCE]
        if late:
            keys = {"_id": {"$in": list({row["cache_key"] for row in late})}}
            found = await self._connection.run(lambda: claims.find(keys).to_list())
            await self._ask(late, {claim["_id"]: claim for claim in found}, now)
        return more

    async def _ask(self, late: list[Document], held: dict[str, Document], now: float) -> None:
        free = await self._in_vain([row for row in late if row["by"] is None], held, now - PATIENCE)
        rows = [*free, *(row for row in late if row["by"] is not None)]
        over = await self._ended([row["_id"] for row in rows], now)
        await self._drop(row for row in rows if row["_id"] in over)
        lost = [row for row in rows if row["_id"] not in over]
        # First they wait for nobody, by which a question that is asked again knows that it waits in vain. So nothing
        # of what follows has to come before that, or to come at all: it is found here again.
        await asyncio.gather(*(self._mark(row, now) for row in lost))
        await self._end({row["cache_key"] for row in free}, {row["leader"] for row in free})
        await asyncio.gather(*(self._defer_marked(row["_id"], now) for row in lost))

    async def _mark(self, row: Document, now: float) -> None:
        """Have one wait for nobody, unless it has changed in the meantime."""
        changes = {"leader": NOBODY, "by": None, "seq": row["seq"] + 1, "touched": True, "at": now}
        parked = self._connection.database.parked
        await self._connection.run(lambda: parked.update_many(_as_seen(row), {"$set": changes}))

    async def _defer_marked(self, message_id: str, now: float) -> None:
        parked = self._connection.database.parked
        marked = {"_id": message_id, "leader": NOBODY}
        row = await self._connection.run(lambda: parked.find_one(marked))
        if row is not None:
            await self._defer(Deferred(parked_of(row["event"]), now))
            await self._drop([row])

    async def _in_vain(self, rows: list[Document], held: dict[str, Document], before: float) -> list[Document]:
        """Give those whose leader does not lead any more, and has no other outcomes under way either."""
        if not rows:
            return []
        leaders = {row["leader"] for row in rows}
        leading = leaders.intersection(claim["leader"] for claim in held.values() if claim.get("joined"))
        leading -= await self._ended(leading, before)
        parked = self._connection.database.parked
        recent = {"leader": _any(leaders), "taken": {"$gte": before}}
        releasing = await self._connection.run(lambda: parked.distinct("leader", recent))
        return [row for row in rows if row["leader"] not in leading.union(releasing)]

    async def _ended(self, ids: Iterable[str], before: float) -> set[str]:
        """Give those with an outcome from before then."""
        answers = self._connection.database.answers
        where = {"_id": _any(ids), "finished_at": {"$lte": before}}
        return {row["_id"] for row in await self._connection.run(lambda: answers.find(where, {"_id": 1}).to_list())}

    async def _end(self, keys: set[str], leaders: set[str]) -> None:
        """End the claims that were left behind."""
        if keys:
            where = {"_id": _any(keys), "leader": _any(leaders)}
            claims = self._connection.database.claims
            await self._connection.run(lambda: claims.delete_many(where))

    async def _drop(self, rows: Iterable[Document]) -> None:
        parked = self._connection.database.parked
        await asyncio.gather(*(self._connection.run(partial(parked.delete_one, _as_seen(row))) for row in rows))


def _as_seen(row: Document) -> Document:
    return {"_id": row["_id"], "by": row["by"], "seq": row["seq"]}


def _any(values: Iterable[str]) -> Document:
    return {"$in": list(set(values))}
