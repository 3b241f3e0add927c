"""Time as a seam: the wall clock for due times, the monotonic clock for durations."""

import asyncio
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Where time comes from; every method is cheap and never raises."""

    def time(self) -> float:
        """Seconds since the epoch: for due times and records."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back: for durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return no sooner than `seconds` from now."""
        ...


class SystemClock:
    """The machine's clocks."""

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)
