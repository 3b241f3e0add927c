"""What a host asks of the stage that makes calls, and of whoever feeds it."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from tamiz.effects import Effects
from tamiz.messages import Event, LlmRequest

__all__ = ["Calling", "Feed"]


class Calling(Protocol):
    """The stage that makes calls (see `stages/generate.py`): what it can take now, and the calls themselves."""

    def room(self) -> int:
        """Give how many calls may be worth a try now."""
        ...

    def next_opening(self) -> float | None:
        """Give when there may be room without any call ending, in seconds since the epoch."""
        ...

    def tokens_at_most(self, event: LlmRequest) -> int | None:
        """Give the most tokens that a call for this event may use, `None` where that is not known yet."""
        ...

    def admit(self, event: Event) -> Callable[[], Awaitable[Effects]] | Effects | None:
        """Take a place in flight and give the call, or what to do instead, or `None` where it has to wait."""
        ...


class Feed(Protocol):
    """Where new questions come from."""

    async def next(self, limit: int) -> Effects | None:
        """Give up to `limit` of the next questions, with what to record of them, or `None` after the last."""
        ...
