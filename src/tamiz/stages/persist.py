"""Persist: remembers outcomes, refused attempts and failed calls."""

from tamiz.effects import Effects
from tamiz.messages import Event, Topic

__all__ = ["Persist"]


class Persist:
    """Hands every event that is worth keeping to the store; recording one twice changes nothing."""

    reads = (Topic.LLM_ERRORS, Topic.REGENERATION_REQUESTS, Topic.VALIDATED_RESPONSES, Topic.DEAD_LETTERS)

    async def handle(self, event: Event) -> Effects:
        """Record the event."""
        return Effects(record=(event,))
