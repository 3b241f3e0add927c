"""What this process has seen to already, so that what comes again costs nothing again."""

from typing import Final

from tamiz.messages import Event, LlmError, LlmRequest, LlmResponse

__all__ = ["Once"]

_REMEMBERED: Final = 100_000


class Once:
    """Remembers of one stage the calls, answers and failed calls whose effects have happened; the oldest are forgotten.

    Only a convenience: who forgets does a thing again, which costs a call and changes nothing. A question that was put
    back (`tamiz dead replay`) has another `created_at`, and so another identity. Other events are never remembered.
    """

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        """Remember at least so many, and at most twice as many."""
        self._remembered = remembered
        self._new: set[object] = set()
        self._old: set[object] = set()

    def __contains__(self, event: Event) -> bool:
        """Tell whether the effects of this very thing have happened."""
        identity = _identity(event)
        return identity in self._new or identity in self._old

    def add(self, event: Event) -> None:
        """Take note that they have."""
        identity = _identity(event)
        if identity is None:
            return
        self._new.add(identity)
        if len(self._new) >= self._remembered:
            self._old, self._new = self._new, set()


def _identity(event: Event) -> object:
    if isinstance(event, LlmResponse):  # of two answers to one attempt the first counts, whichever calls they are from
        return event.message_id, event.created_at, event.attempt
    if isinstance(event, LlmRequest | LlmError):
        return event.message_id, event.created_at, event.attempt, event.retry
    return None
