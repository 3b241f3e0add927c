"""Endpoints that are down or paused, as rows."""

from typing import Final

from tamiz.effects import EndpointState
from tamiz.errors import FailureKind
from tamiz.statefile import StateFile

__all__ = ["SqliteEndpoints"]

_COLUMNS: Final = "name, since, opens_at, kind, reason, probes, account"


class SqliteEndpoints:
    """A row for each endpoint that cannot be called; one that can be has none."""

    def __init__(self, state: StateFile) -> None:
        self._state = state

    async def save(self, state: EndpointState) -> None:
        """Write the endpoint's row anew, or drop it where the endpoint is up."""
        if state.since is None:
            self._state.execute("DELETE FROM endpoints WHERE name = ?", (state.name,))
            return
        self._state.execute(
            f"INSERT OR REPLACE INTO endpoints ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a constant
            (state.name, state.since, state.opens_at, state.kind, state.reason, state.probes, state.account),
        )

    async def states(self) -> list[EndpointState]:
        """Give the rows, by name."""
        rows = self._state.execute(f"SELECT {_COLUMNS} FROM endpoints ORDER BY name")  # noqa: S608 - a constant
        return [
            EndpointState(name, since, opens_at, FailureKind(kind), reason, probes, account)
            for name, since, opens_at, kind, reason, probes, account in rows
        ]
