"""SIGTERM and Ctrl-C, as an event of the loop."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

__all__ = ["signals"]


@contextlib.contextmanager
def signals() -> Iterator[asyncio.Event]:
    """Give an event that SIGTERM and Ctrl-C set."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
