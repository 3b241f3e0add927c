"""What blocks, such as looks at the store: in threads of their own, and no more at once than these bear."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final, TypeVar

from tamiz.http.problems import Problem

__all__ = ["Figures", "Looks"]

T = TypeVar("T")

_THREADS: Final = 4
_WAITING: Final = 256
"""How much may wait for a thread."""
_FRESH: Final = 1.0
"""Seconds that figures are good for at least."""
_SHARE: Final = 10
"""Figures are good for so many times what counting them took."""


class Looks:
    """Runs what blocks, aside from the event loop and from the threads that others use.

    Raises `Problem` 503 where as many wait as may.
    """

    def __init__(self, threads: int = _THREADS, *, what: str = "look-ups wait for the store") -> None:
        """Take what to say that waits, where too much does."""
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="tamiz-look")
        self._what = what
        self._waiting = 0

    async def __call__(self, work: Callable[[], T]) -> T:
        """Do the work, and give what it gives."""
        if self._waiting >= _WAITING:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{_WAITING} {self._what} already",
                retry_after=1,
                code="busy",
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


class Figures:
    """Counts over the whole store, made at most once at a time for each tenant, and kept for a moment."""

    def __init__(self) -> None:
        self._kept: dict[str | None, tuple[float, dict[str, Any]]] = {}
        self._counting: dict[str | None, asyncio.Lock] = {}

    async def of(self, tenant: str | None, count: Callable[[], dict[str, Any]], looks: Looks) -> dict[str, Any]:
        """Give the figures of one tenant or, `None`, of all: those of a moment ago, or new ones that `count` makes."""
        now = asyncio.get_running_loop().time
        async with self._counting.setdefault(tenant, asyncio.Lock()):
            until, kept = self._kept.get(tenant, (0.0, {}))
            if now() >= until:
                started = now()
                kept = await looks(count)
                self._kept[tenant] = now() + max(_FRESH, _SHARE * (now() - started)), kept
        return kept
