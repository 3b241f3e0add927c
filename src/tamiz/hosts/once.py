"""What this process has seen to already, so that what comes again costs nothing again."""

from typing import Final

from tamiz.messages import Event, LlmError, LlmRequest, LlmResponse

__all__ = ["Once"]

_REMEMBERED: Final = 100_000


class Once:
    """Remembers calls, answers and failed calls whose effects have happened; the oldest are forgotten.

    Only a convenience: who forgets does a thing again, which costs a call and changes nothing. A question that was put
    back (`tamiz dead replay`) has another `created_at`, and so another identity.
    """

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._seen: dict[object, None] = {}
        self._remembered = remembered

    def __contains__(self, event: Event) -> bool:
        """Tell whether the effects of this very thing have happened."""
        return _identity(event) in self._seen

    def add(self, event: Event) -> None:
        """Take note that they have."""
        identity = _identity(event)
        if identity is None:
            return
        self._seen[identity] = None
        if len(self._seen) > self._remembered:
            del self._seen[next(iter(self._seen))]


def _identity(event: Event) -> object:
    match event:
        case LlmRequest() | LlmError():
            return type(event), event.message_id, event.created_at, event.attempt, event.retry
        case LlmResponse():  # of two answers to one attempt the first is judged, whichever calls they are from
            return LlmResponse, event.message_id, event.created_at, event.attempt
        case _:
            return None
