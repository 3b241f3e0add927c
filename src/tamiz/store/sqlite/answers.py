"""Questions, outcomes, refused attempts and failed calls."""

from collections.abc import Sequence
from typing import Any, Final

from tamiz.clock import Clock
from tamiz.messages import (
    DeadLetter,
    Event,
    LlmError,
    Outcome,
    QuestionAsked,
    RegenerationRequest,
    Scored,
    Source,
    ValidatedResponse,
)
from tamiz.statefile import StateFile

__all__ = ["SqliteAnswers"]

_INSERTS: Final = {
    table: f"INSERT INTO {table} VALUES ({', '.join('?' * columns)}) ON CONFLICT DO NOTHING"  # noqa: S608 - constants
    for table, columns in (("questions", 8), ("outcomes", 15), ("attempts", 10))
}


class SqliteAnswers:
    """Remembers events; the first outcome of a `message_id` stays."""

    def __init__(self, state: StateFile, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _INSERTS}
        self._accepted: dict[str, Scored] = {}
        state.before_commit(self._flush)

    async def record(self, event: Event) -> None:
        """Remember a submission, a failed call, a refused attempt or an outcome; other events need no memory."""
        match event:
            case ValidatedResponse():
                self._validated(event)
            case QuestionAsked():
                self._asked(event)
            case LlmError():
                self._rows["attempts"].append(
                    (
                        event.message_id,
                        event.attempt,
                        event.retry,
                        event.kind,
                        None,
                        None,
                        event.reason,
                        event.model,
                        event.latency_ms,
                        self._clock.time(),
                    )
                )
            case RegenerationRequest():
                self._refused(event.message_id, event.refused)
            case DeadLetter():
                self._dead(event)
            case _:
                pass

    async def reusable(self, cache_key: str) -> Scored | None:
        """Give the accepted answer with the highest score for this key."""
        fresh = self._accepted.get(cache_key)
        if fresh is not None:
            return fresh
        row = self._state.execute(
            "SELECT answer, score, reason, attempt, model, latency_ms FROM outcomes "
            "WHERE cache_key = ? AND outcome = 'accepted' AND source = 'model' ORDER BY score DESC LIMIT 1",
            (cache_key,),
        ).fetchone()
        if row is None:
            return None
        answer, score, reason, attempt, model, latency_ms = row
        return Scored(
            llm_answer=answer, score=score, reason=reason, attempt=attempt, model=model, latency_ms=latency_ms
        )

    async def unknown(self, message_ids: Sequence[str]) -> set[str]:
        """Tell which of these submissions have never been recorded."""
        self._flush()
        marks = ",".join("?" * len(message_ids))
        rows = self._state.execute(
            f"SELECT message_id FROM questions WHERE message_id IN ({marks})",  # noqa: S608 - only question marks
            message_ids,
        )
        return set(message_ids).difference(row[0] for row in rows)

    def _flush(self) -> None:
        for table, rows in self._rows.items():
            if rows:
                self._state.execute_many(_INSERTS[table], rows)
                rows.clear()
        self._accepted.clear()

    def _asked(self, event: QuestionAsked) -> None:
        self._rows["questions"].append(
            (
                event.message_id,
                event.trace_id,
                event.question_id,
                event.title,
                event.content,
                event.best_answer,
                event.cache_key,
                event.created_at,
            )
        )

    def _validated(self, event: ValidatedResponse) -> None:
        if event.refused is not None:
            self._refused(event.message_id, event.refused)
        answer, called = event.answer, event.source is Source.MODEL
        if called and event.accepted:
            self._accepted[event.cache_key] = answer
        self._rows["outcomes"].append(
            (
                event.message_id,
                event.cache_key,
                event.outcome,
                event.source,
                answer.llm_answer,
                answer.score,
                answer.reason,
                None,
                answer.attempt,
                event.attempts,
                event.retries,
                answer.model,
                answer.latency_ms if called else None,
                event.leader,
                self._clock.time(),
            )
        )

    def _dead(self, event: DeadLetter) -> None:
        self._rows["outcomes"].append(
            (
                event.message_id,
                event.cache_key,
                Outcome.FAILED,
                event.source,
                None,
                None,
                event.reason,
                event.kind,
                None,
                event.attempts,
                event.retries,
                event.model,
                None,
                event.leader,
                self._clock.time(),
            )
        )

    def _refused(self, message_id: str, refused: Scored) -> None:
        self._rows["attempts"].append(
            (
                message_id,
                refused.attempt,
                0,
                "refused",
                refused.llm_answer,
                refused.score,
                refused.reason,
                refused.model,
                refused.latency_ms,
                self._clock.time(),
            )
        )
