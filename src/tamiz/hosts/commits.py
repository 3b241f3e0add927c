"""Group commit: many events to a transaction, and the wait for the disk in a thread of its own."""

import asyncio
import contextlib
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from tamiz.clock import Clock
from tamiz.messages import Terminal
from tamiz.statefile import StateFile

__all__ = ["Commits", "Listener"]

_SOONEST: Final = 0.004
_LATEST: Final = 0.02
_SYNC_EVERY: Final = 0.01


class Listener(Protocol):
    """Who wants to know what is on the disk."""

    def committed(self, asked: Sequence[str], finished: Sequence[Terminal]) -> None:
        """Take note that these submissions, and these outcomes, survive a power cut."""
        ...


class Commits:
    """When to commit, and who hears of it.

    A commit is due when the flow has nothing else to do, no sooner than `_SOONEST` seconds after the last one and no
    later than `_LATEST`; where calls wait for it, as soon as commits take up no more than a third of the time. What is
    committed survives the death of the process at once, and a power cut once it is synced, which a thread sees to while
    the flow goes on, every `_SYNC_EVERY` seconds at most; only then the listener hears of it.
    """

    def __init__(self, state: StateFile, clock: Clock, listener: Listener) -> None:
        self.dirty = False
        """Whether anything happened since the last commit."""
        self.calls = 0
        """Model calls that are done and not committed: after a crash they would be made again."""
        self.asked: list[str] = []
        """Submissions that have been recorded since the last commit."""
        self.finished: list[Terminal] = []
        """Outcomes that have been recorded since then."""
        self.failure: Exception | None = None
        """What went wrong in the thread or the listener; nothing is synced after it."""
        self._state = state
        self._clock = clock
        self._listener = listener
        self._at = clock.monotonic()
        self._took = 0.0
        self._unsynced: tuple[list[str], list[Terminal]] | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._synced_at = -math.inf
        self._closing = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tamiz-sync")

    def due_in(self, *, idle: bool, starved: bool) -> float | None:
        """Give the seconds until a commit is due, 0 where it is due now, `None` where there is nothing to commit."""
        if not self.dirty:
            return None
        age = self._clock.monotonic() - self._at
        soonest = 2 * self._took if starved else _SOONEST if idle else _LATEST
        return max(min(soonest, _LATEST) - age, 0)

    def commit(self) -> None:
        """Commit what has happened and have it synced."""
        began = self._clock.monotonic()
        self._state.commit()
        self._at = self._clock.monotonic()
        self._took = self._at - began
        self.dirty = False
        self.calls = 0
        asked, finished = self._unsynced or ([], [])
        self._unsynced = asked + self.asked, finished + self.finished
        self.asked, self.finished = [], []
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.create_task(self._sync())

    async def close(self) -> None:
        """Wait until all that was committed is synced, and the listener has heard of it."""
        self._closing.set()
        if self._syncing is not None:
            await self._syncing
        self._thread.shutdown()

    async def _sync(self) -> None:
        try:
            while self._unsynced is not None:
                await self._pause(self._synced_at + _SYNC_EVERY - self._clock.monotonic())
                self._synced_at = self._clock.monotonic()
                (asked, finished), self._unsynced = self._unsynced, None
                await asyncio.get_running_loop().run_in_executor(self._thread, self._state.sync)
                self._listener.committed(asked, finished)
        except Exception as error:  # noqa: BLE001 - the host raises it
            self.failure = error

    async def _pause(self, seconds: float) -> None:
        """Let that much time pass, or less where the end has come."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._closing.wait()
