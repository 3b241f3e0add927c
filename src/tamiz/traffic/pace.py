"""A clock whose sleepers wake on time."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tamiz.clock import SystemClock

__all__ = ["PreciseClock"]

_COARSE: Final = 0.003
"""Seconds before the end of a sleep from which on the event loop, whose timers tick in milliseconds, is too coarse."""
_FINE: Final = 0.0003
"""Seconds before it from which on a thread, which has to be woken and to wake the loop, is too coarse as well."""


class PreciseClock(SystemClock):
    """The machine's clocks; sleepers wake within some 20 microseconds of their time, where the machine is not busy.

    That is bought with up to a third of a millisecond of processor time a sleep, in which the event loop goes on.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tamiz-pace")

    async def sleep(self, seconds: float) -> None:
        """Return no sooner than `seconds` from now, and hardly later."""
        until = time.monotonic() + seconds
        if seconds > _COARSE:
            await asyncio.sleep(seconds - _COARSE)
        if (rest := until - _FINE - time.monotonic()) > 0:
            await asyncio.get_running_loop().run_in_executor(self._thread, time.sleep, rest)
        while time.monotonic() < until:  # noqa: ASYNC110 - no event says that it is time
            await asyncio.sleep(0)
