"""Merges calls that are made at the same time into one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

__all__ = ["Batched"]

T = TypeVar("T")
R = TypeVar("R")

_LIMIT: Final = 500


class Batched(Generic[T, R]):
    """A function of one item, made of a function of many.

    The first call starts a batch at the loop's next turn; while it is under way the next batch gathers. A batch has at
    most `limit` items, and another one starts beside it only when it is full, up to `at_once` of them.

    Every caller gets its own result, or the error of its batch. A caller that is cancelled before its batch starts is
    left out; after that the batch goes on without it.
    """

    def __init__(
        self, work: Callable[[list[T]], Awaitable[Sequence[R]]], *, limit: int = _LIMIT, at_once: int = 1
    ) -> None:
        self._work = work
        self._limit = limit
        self._at_once = at_once
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: set[asyncio.Task[None]] = set()
        self._due = False  # whether a start at the loop's next turn is arranged

    async def __call__(self, item: T) -> R:
        """Give the item's result."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[R] = loop.create_future()
        self._waiting.append((item, result))
        if not self._due and self._may_start():
            self._due = True
            loop.call_soon(self._start)
        return await result

    def _may_start(self) -> bool:
        if not self._running:
            return bool(self._waiting)
        return len(self._waiting) >= self._limit and len(self._running) < self._at_once

    def _start(self) -> None:
        self._due = False
        self._waiting = [(item, result) for item, result in self._waiting if not result.done()]
        while self._may_start():
            batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
            task = asyncio.get_running_loop().create_task(self._do(batch))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            self._start()

    async def _do(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._work([item for item, _ in batch])
            results_of = list(zip(batch, results, strict=True))
        except asyncio.CancelledError:
            for _, result in batch:
                result.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - it is the callers'
            for _, result in batch:
                if not result.done():
                    result.set_exception(error)
        else:
            for (_, result), value in results_of:
                if not result.done():
                    result.set_result(value)
