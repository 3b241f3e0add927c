"""Due times: events that wait, as rows."""

from tamiz.effects import Deferred
from tamiz.messages import Event, LlmRequest, decode, encode
from tamiz.statefile import StateFile

__all__ = ["SqliteDeferrals"]


class SqliteDeferrals:
    """A durable heap of events by due time: SQLite's index is the heap."""

    def __init__(self, state: StateFile) -> None:
        self._state = state

    async def defer(self, deferred: Deferred) -> None:
        """Keep the event until it is due; the same attempt and retry of a submission is kept once."""
        event = deferred.event
        attempt, retry = (event.attempt, event.retry) if isinstance(event, LlmRequest) else (0, 0)
        self._state.execute(
            "INSERT INTO deferrals VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (event.message_id, attempt, retry, deferred.due, encode(event)),
        )

    async def due(self, now: float, limit: int) -> list[Event]:
        """Take up to `limit` events whose time has come, the earliest first."""
        rows = self._state.execute(
            "SELECT message_id, attempt, retry, event FROM deferrals WHERE due <= ? ORDER BY due LIMIT ?", (now, limit)
        ).fetchall()
        self._state.execute_many(
            "DELETE FROM deferrals WHERE message_id = ? AND attempt = ? AND retry = ?", [row[:3] for row in rows]
        )
        return [decode(row[3]) for row in rows]

    async def next_due(self) -> float | None:
        """Give the earliest due time."""
        due: float | None = self._state.execute("SELECT min(due) FROM deferrals").fetchone()[0]
        return due
