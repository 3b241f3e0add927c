"""Questions, outcomes, refused attempts and failed calls."""

from collections.abc import Sequence
from typing import Any, Final

from tamiz.clock import Clock
from tamiz.messages import (
    NO_TERMS,
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
from tamiz.store.texts import reasons_of, reasons_text, terms_text

__all__ = ["SqliteAnswers"]

_INSERTS: Final = {
    table: f"INSERT INTO {table} VALUES ({', '.join('?' * columns)}) ON CONFLICT DO NOTHING"  # noqa: S608 - constants
    for table, columns in (("questions", 10), ("outcomes", 17), ("attempts", 11), ("reusable_soon", 3))
}

_INDEXED_AT_ONCE: Final = 4096
"""Accepted answers that are indexed together.

Their keys are random, so each would dirty a page of its own in the index; a few thousand in sorted order share them.
"""

_COLUMNS: Final = "answer, outcomes.score, reason, attempt, model, latency_ms, reasons, completion"
_INDEXED: Final = f"SELECT {_COLUMNS} FROM reusable JOIN outcomes USING (message_id) WHERE reusable.cache_key = ?"  # noqa: S608
_ANYWHERE: Final = (
    f"SELECT {_COLUMNS} FROM (SELECT message_id FROM reusable WHERE cache_key = ?1 "  # noqa: S608
    "UNION SELECT message_id FROM reusable_soon WHERE cache_key = ?1) JOIN outcomes USING (message_id) "
    "WHERE outcome = 'accepted' ORDER BY outcomes.score DESC LIMIT 1"
)
_INDEX: Final = (
    "INSERT INTO reusable SELECT soon.cache_key, message_id, outcomes.score "
    "FROM reusable_soon AS soon JOIN outcomes USING (message_id) WHERE outcome = 'accepted' ORDER BY soon.cache_key "
    "ON CONFLICT DO UPDATE SET message_id = excluded.message_id, score = excluded.score "
    "WHERE excluded.score > reusable.score OR reusable.score IS NULL"
)


class SqliteAnswers:
    """Remembers events; the first outcome of a `message_id` stays."""

    def __init__(self, state: StateFile, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _INSERTS}
        # cache keys of accepted answers that are not in the index yet
        self._soon = {key for (key,) in state.execute("SELECT cache_key FROM reusable_soon")}
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
                        None,
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
        if cache_key in self._soon:
            self._flush()
        query = _ANYWHERE if cache_key in self._soon else _INDEXED
        row = self._state.execute(query, (cache_key,)).fetchone()
        if row is None:
            return None
        answer, score, reason, attempt, model, latency_ms, reasons, completion = row
        return Scored(
            llm_answer=answer,
            score=score,
            reason=reason,
            reasons=reasons_of(reasons),
            attempt=attempt,
            model=model,
            latency_ms=latency_ms,
            completion=completion,
        )

    async def unknown(self, message_ids: Sequence[str]) -> set[str]:
        """Tell which of these submissions have never been recorded."""
        marks = ",".join("?" * len(message_ids))
        rows = self._state.execute(
            f"SELECT message_id FROM questions WHERE message_id IN ({marks})",  # noqa: S608 - only question marks
            message_ids,
        )
        unknown = set(message_ids).difference(row[0] for row in rows)
        return unknown.difference(row[0] for row in self._rows["questions"])

    def _flush(self) -> None:
        for table, rows in self._rows.items():
            if rows:
                self._state.execute_many(_INSERTS[table], rows)
                rows.clear()
        if len(self._soon) >= _INDEXED_AT_ONCE:
            self._state.execute(_INDEX)
            self._state.execute("DELETE FROM reusable_soon")
            self._soon.clear()

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
                (event.terms or NO_TERMS).tenant,
                terms_text(event.terms),
            )
        )

    def _validated(self, event: ValidatedResponse) -> None:
        if event.refused is not None:
            self._refused(event.message_id, event.refused)
        answer, called = event.answer, event.source is Source.MODEL
        if called and event.accepted:
            self._soon.add(event.cache_key)
            self._rows["reusable_soon"].append((None, event.cache_key, event.message_id))
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
                reasons_text(answer.reasons),
                answer.completion,
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
                None,
                None,
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
                reasons_text(refused.reasons),
            )
        )
