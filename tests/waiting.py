"""Waits for something to come true, and says what never did."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["PATIENCE", "until", "until_seen", "wait_until"]

T = TypeVar("T")

PATIENCE: Final = 120.0
"""Seconds that a test waits for what has to come: many times as long as that takes, for machines that are loaded."""

_POLL: Final = 0.002


def wait_until(condition: Callable[[], T], what: str, *, within: float = PATIENCE) -> T:
    """Give the first true result of `condition`, asked every few milliseconds.

    Raises `TimeoutError`, which names `what` was waited for, where there is none `within` so many seconds.
    """
    deadline = time.monotonic() + within
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:g} s in vain for {what}")
        time.sleep(_POLL)
    return result


async def until(condition: Callable[[], T], what: str, *, within: float = PATIENCE) -> T:
    """Do the same as `wait_until` on an event loop, for conditions that cost next to nothing."""
    try:
        async with asyncio.timeout(within):
            while not (result := condition()):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(_POLL)
    except TimeoutError:
        raise TimeoutError(f"waited {within:g} s in vain for {what}") from None
    return result


async def until_seen(look: Callable[[], T], seen: Callable[[T], object], what: str, *, within: float = PATIENCE) -> T:
    """Give the first result of `look` that is as wanted; it may block, and is asked in a thread.

    Raises `TimeoutError`, which says what was seen last.
    """
    deadline = time.monotonic() + within
    while not seen(result := await asyncio.to_thread(look)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:g} s in vain for {what}; there is {result!r}")
        await asyncio.sleep(_POLL)
    return result
