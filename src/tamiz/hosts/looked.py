"""Looks at something that may be slow, or away, for many who ask."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from tamiz.clock import Clock

__all__ = ["Looked"]

T = TypeVar("T")


class Looked(Generic[T]):
    """Looks at something for whoever asks, once for all who ask within a moment.

    It waits no longer than `within` seconds, and goes on with the same look where that is asked again. What a look
    showed is told again for `fresh` seconds, counted from its beginning.
    """

    def __init__(
        self, look: Callable[[], Awaitable[T]], clock: Clock, *, within: float = 2.0, fresh: float = 1.0
    ) -> None:
        self._look = look
        self._clock = clock
        self._within = within
        self._fresh = fresh
        self._task: asyncio.Future[T] | None = None
        self._at = 0.0

    async def __call__(self) -> T:
        """Give what there is to see. Raises `TimeoutError` where it takes too long, and what looking raises."""
        if self._task is None or (self._task.done() and self._clock.monotonic() >= self._at + self._fresh):
            self._task = asyncio.ensure_future(self._look())
            self._task.add_done_callback(_noted)
            self._at = self._clock.monotonic()
        async with asyncio.timeout(self._within):
            return await asyncio.shield(self._task)


def _noted(task: asyncio.Future[T]) -> None:
    """Have a failure that nobody waited for any more be no matter for asyncio's log."""
    if not task.cancelled():
        task.exception()
