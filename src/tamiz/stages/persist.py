"""Persist: remembers outcomes, refused attempts and failed calls."""

from tamiz.effects import Effects
from tamiz.messages import READ_BY, Event

__all__ = ["Persist"]


class Persist:
    """Hands every event that is worth keeping to the store; recording one twice changes nothing."""

    reads = READ_BY["persist"]

    async def handle(self, event: Event) -> Effects:
        """Record the event."""
        return Effects(record=(event,))
