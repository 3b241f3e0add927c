"""Waits for something to come true, and says what never did."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["wait_until"]

T = TypeVar("T")

_POLL: Final = 0.002


def wait_until(condition: Callable[[], T], what: str, *, within: float = 30.0) -> T:
    """Give the first true result of `condition`, asked every few milliseconds.

    Raises `TimeoutError`, which names `what` was waited for, where there is none `within` so many seconds.
    """
    deadline = time.monotonic() + within
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:g} s in vain for {what}")
        time.sleep(_POLL)
    return result
