"""Due times: events that wait, as rows."""

from collections.abc import Sequence

from tamiz.effects import Deferred
from tamiz.errors import StateError
from tamiz.messages import LlmRequest, QuestionAsked, decode, encode
from tamiz.statefile import StateFile

__all__ = ["SqliteDeferrals"]


class SqliteDeferrals:
    """A durable heap of events by due time: SQLite's index is the heap."""

    def __init__(self, state: StateFile) -> None:
        self._state = state

    async def defer(self, deferred: Deferred) -> None:
        """Keep the event until it is due; of the same attempt and retry of a submission the last one counts."""
        self._state.execute(
            "INSERT OR REPLACE INTO deferrals VALUES (?, ?, ?, ?, ?)",
            (*deferred.identity, deferred.due, encode(deferred.event)),
        )

    async def due(self, now: float, limit: int) -> list[Deferred]:
        """Give up to `limit` of those whose time has come, the earliest first."""
        rows = self._state.execute(
            "SELECT due, event FROM deferrals WHERE due <= ? ORDER BY due LIMIT ?", (now, limit)
        ).fetchall()
        return [Deferred(_event(event), due) for due, event in rows]

    async def sent(self, deferred: Sequence[Deferred]) -> None:
        """Drop them."""
        self._state.execute_many(
            "DELETE FROM deferrals WHERE message_id = ? AND attempt = ? AND retry = ?",
            [each.identity for each in deferred],
        )

    async def next_due(self) -> float | None:
        """Give the earliest due time."""
        due: float | None = self._state.execute("SELECT min(due) FROM deferrals").fetchone()[0]
        return due


def _event(data: bytes) -> QuestionAsked | LlmRequest:
    event = decode(data)
    if not isinstance(event, QuestionAsked | LlmRequest):
        raise StateError(f"a deferred record is a {type(event).__name__}: the state file is damaged")
    return event
