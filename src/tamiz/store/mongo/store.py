"""The store on MongoDB, put together."""

from collections.abc import Callable

from tamiz.clock import Clock
from tamiz.messages import Source
from tamiz.store.mongo.address import MongoAddress
from tamiz.store.mongo.answers import MongoAnswers
from tamiz.store.mongo.claims import MongoClaims
from tamiz.store.mongo.connection import Connection
from tamiz.store.mongo.deferrals import MongoDeferrals
from tamiz.store.mongo.endpoints import MongoEndpoints
from tamiz.store.mongo.metrics import refresh_metrics
from tamiz.store.mongo.results import MongoResults

__all__ = ["MongoStore"]


class MongoStore:
    """The store of a cluster, shared by all its processes.

    What a call has changed is durable when it returns. While the database is away calls wait for it: `patience`
    seconds, then they raise `StateError`; `None`: for as long as it takes. `say` hears when it goes and when it comes.
    Raises `UsageError` where the URL is none.
    """

    def __init__(self, url: str, clock: Clock, *, patience: float | None, say: Callable[[str], None]) -> None:
        self._address = MongoAddress.parse(url)
        self._clock = clock
        self.connection = Connection(self._address, clock, patience=patience, say=say)
        self.answers = MongoAnswers(self.connection, clock)
        self.claims = MongoClaims(self.connection, clock)
        self.deferrals = MongoDeferrals(self.connection, clock)
        self.endpoints = MongoEndpoints(self.connection)
        self.results = MongoResults(self.connection)

    async def open(self) -> None:
        """Create the indexes that are not there yet. Safe to call from many processes at once."""
        database = self.connection.database

        async def create() -> None:
            await database.answers.create_index(
                [("cache_key", 1), ("score", -1)],
                name="reusable",
                partialFilterExpression={"accepted": True, "source": Source.MODEL},
            )
            await database.answers.create_index(
                [("kind", 1), ("_id", 1)], name="failed", partialFilterExpression={"outcome": "failed"}
            )
            await database.answers.create_index([("finished_at", -1)], name="finished")
            await database.answers.create_index([("tenant", 1), ("_id", 1)], name="of_tenant")
            await database.questions.create_index("question_id", name="by_id")
            await database.attempts.create_index(
                [("message_id", 1), ("attempt", 1), ("retry", 1), ("result", 1)], name="once", unique=True
            )
            await database.parked.create_index([("leader", 1), ("by", 1), ("seq", 1)], name="waiting")
            await database.parked.create_index("by", name="taken")
            await database.deferrals.create_index("at", name="by_time")

        await self.connection.run(create)

    @property
    def name(self) -> str:
        """The address, fit to be shown."""
        return self._address.shown

    async def meta(self, name: str) -> str | None:
        """Give a small value, or `None` where there is none of that name."""
        return await self.results.meta(name)

    async def set_meta(self, name: str, value: str) -> None:
        """Keep a small value in place of the one before."""
        await self.results.set_meta(name, value)

    async def refresh_metrics(self, now: float) -> float:
        """Count everything anew into the document `global` of `metrics`; give the seconds that it took."""
        started = self._clock.monotonic()
        await refresh_metrics(self.connection, now)
        return self._clock.monotonic() - started

    async def close(self) -> None:
        """Close all connections."""
        await self.connection.close()
