"""Endpoints that are down or paused, as documents."""

from tamiz.effects import EndpointState
from tamiz.errors import FailureKind
from tamiz.store.mongo.connection import Connection, Document, put

__all__ = ["MongoEndpoints", "endpoint_of"]


class MongoEndpoints:
    """A document for each endpoint that cannot be called; one that can be has none."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def save(self, state: EndpointState) -> None:
        """Write the endpoint's document anew, or drop it where the endpoint is up."""
        endpoints = self._connection.database.endpoints
        if state.since is None:
            await self._connection.run(lambda: endpoints.delete_one({"_id": state.name}))
            return
        row = {
            "since": state.since,
            "opens_at": state.opens_at,
            "kind": state.kind,
            "reason": state.reason,
            "probes": state.probes,
            "account": state.account,
        }
        await self._connection.run(lambda: put(endpoints, state.name, row))

    async def states(self) -> list[EndpointState]:
        """Give the documents, by name."""
        endpoints = self._connection.database.endpoints
        rows = await self._connection.run(lambda: endpoints.find().sort("_id", 1).to_list())
        return [endpoint_of(row) for row in rows]


def endpoint_of(row: Document) -> EndpointState:
    """Give the state that a document holds."""
    return EndpointState(
        row["_id"],
        row["since"],
        row["opens_at"],
        FailureKind(row["kind"]),
        row["reason"],
        row["probes"],
        row["account"],
    )
