"""The hops of questions, logged."""

import logging
from typing import Any, Final

from tamiz.clock import Clock
from tamiz.effects import Effects
from tamiz.messages import DeadLetter, Event, LlmError, LlmRequest, LlmResponse, RegenerationRequest, ValidatedResponse

__all__ = ["LoggedHops"]

_log: Final = logging.getLogger("tamiz.flow")
_COUNTED: Final = (LlmRequest, LlmResponse, LlmError, RegenerationRequest)


class LoggedHops:
    """Logs each outcome and, at level `debug`, each hop. No text of a question or an answer is logged."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @classmethod
    def wanted(cls, clock: Clock) -> "LoggedHops | None":
        """Give one where anything of it would be logged."""
        return cls(clock) if _log.isEnabledFor(logging.INFO) else None

    def hop(self, stage: str, event: Event | None, effects: Effects, seconds: float) -> None:
        """See `Observer.hop`."""
        if event is not None and _log.isEnabledFor(logging.DEBUG):
            _log.debug("hop", extra={"fields": _hop(stage, event, effects, seconds)})
        for each in effects.record:
            if isinstance(each, ValidatedResponse | DeadLetter):
                _log.info("outcome", extra={"fields": self._outcome(each)})

    def _outcome(self, event: ValidatedResponse | DeadLetter) -> dict[str, Any]:
        told = {
            **_ids(event),
            "outcome": event.outcome,
            "source": event.source,
            "attempts": event.attempts,
            "retries": event.retries,
            "seconds": round(self._clock.time() - event.created_at, 6),
        }
        if isinstance(event, DeadLetter):
            told["kind"] = event.kind
        else:
            told["score"] = event.answer.score
        return told


def _hop(stage: str, event: Event, effects: Effects, seconds: float) -> dict[str, Any]:
    told: dict[str, Any] = {**_ids(event), "stage": stage, "event": _kind(event), "ms": round(seconds * 1000, 3)}
    if isinstance(event, _COUNTED):
        told["attempt"] = event.attempt
        told["retry"] = event.retry
    if effects.emit:
        told["emitted"] = [_kind(each) for each in effects.emit[:8]]
    if effects.defer:
        told["due"] = effects.defer[0].due
    return told


def _ids(event: Event) -> dict[str, Any]:
    told: dict[str, Any] = {"trace_id": event.trace_id, "message_id": event.message_id}
    if event.terms is not None and event.terms.tenant:
        told["tenant"] = event.terms.tenant
    return told


def _kind(event: Event) -> str:
    return str(event.__struct_config__.tag)
