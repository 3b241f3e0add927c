"""Where a service hands in questions and waits for what becomes of them, wherever the stages run."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import Final, Protocol

from tamiz.clock import Clock
from tamiz.errors import TamizError
from tamiz.messages import QuestionAsked, Terminal, ValidatedResponse

__all__ = ["Busy", "Desk", "Queue", "Stopping"]

_RECENT: Final = 10.0
"""Seconds over which the pace is measured."""
_SOONEST, _LATEST = 1.0, 60.0


class Busy(TamizError):
    """As many questions are open as the service takes."""

    def __init__(self, limit: int, retry_after: float) -> None:
        super().__init__(f"{limit:,} questions are open, which is all that this service takes (--queue): try again")
        self.retry_after = retry_after
        """Seconds after which there may be room."""


class Stopping(TamizError):
    """The service takes no more questions in; `why` says why."""

    retry_after = 5.0

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}: try again once it is back")


class Desk(Protocol):
    """Takes questions in."""

    @property
    def queue(self) -> "Queue":
        """The questions that are open."""
        ...

    async def known(self, asked: QuestionAsked) -> ValidatedResponse | None:
        """Give the outcome of a question whose answer is known already."""
        ...

    async def submit(self, asked: QuestionAsked) -> None:
        """Take the question in. It is durable when this returns, and ends in one outcome whatever happens.

        Raises `Busy` where too many are open, and `Stopping` where no more is taken in.
        """
        ...

    async def record(self, asked: QuestionAsked, outcome: ValidatedResponse) -> None:
        """Remember a question that was answered at once; where the process dies at this moment it is forgotten."""
        ...


class Queue:
    """Questions that are open, at most `limit` of them, and who waits for which."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self.limit = limit
        self.refused = 0
        """Questions that were turned away."""
        self.stopping: str | None = None
        """Why no more questions are taken in, once that is so."""
        self.gave_up = False
        """Whether those who waited were told that they wait in vain."""
        self._clock = clock
        self._open: dict[str, None] = {}
        self._waiting: dict[str, list[asyncio.Future[Terminal]]] = {}
        self._freed = asyncio.Event()
        self._ended: deque[tuple[float, int]] = deque()

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, message_id: str) -> None:
        """Take up a place. Raises `Busy` where none is free, and `Stopping` after `stop`."""
        if self.stopping is not None:
            raise Stopping(self.stopping)
        if len(self._open) >= self.limit:
            self.refused += 1
            raise Busy(self.limit, self.retry_after())
        self._open[message_id] = None

    def leave(self, message_id: str) -> None:
        """Give the place back, of a question that was not taken in after all."""
        self._open.pop(message_id, None)
        self._freed.set()

    def some(self, limit: int) -> list[str]:
        """Give up to `limit` open questions; each has its turn before any comes again."""
        some = [*islice(self._open, limit)]
        for message_id in some:
            del self._open[message_id]
            self._open[message_id] = None
        return some

    async def room(self, share: float) -> None:
        """Wait until less than this share of the places is taken, or one where that is none."""
        while len(self._open) >= max(self.limit * share, 1):
            self._freed.clear()
            await self._freed.wait()

    def waited_for(self) -> list[str]:
        """Give the questions that somebody waits for."""
        return [*self._waiting]

    def ended(self, outcomes: Iterable[Terminal]) -> None:
        """Have those who wait know, and give the places back."""
        ids = []
        for outcome in outcomes:
            ids.append(outcome.message_id)
            for future in self._waiting.pop(outcome.message_id, ()):
                if not future.done():
                    future.set_result(outcome)
        self.vacate(ids)

    def vacate(self, message_ids: Iterable[str]) -> None:
        """Give the places of questions back that have ended."""
        count = 0
        for message_id in message_ids:
            count += message_id in self._open
            self._open.pop(message_id, None)
        self._freed.set()
        now = self._clock.monotonic()
        self._ended.append((now, count))
        while self._ended and self._ended[0][0] < now - _RECENT:
            self._ended.popleft()

    def stop(self, why: str = "the service is stopping") -> str:
        """Take no more questions in; give the reason, which is the first one."""
        self.stopping = self.stopping or why
        return self.stopping

    def give_up(self) -> None:
        """Have those who wait know that they wait in vain."""
        self.gave_up = True
        for future in (each for waiting in self._waiting.values() for each in waiting):
            future.cancel()

    def retry_after(self) -> float:
        """Give the seconds after which a tenth of the places should be free, at the pace of the last seconds."""
        ended = sum(count for _, count in self._ended)
        if not ended:
            return _LATEST / 6
        return min(max(self.limit / 10 / (ended / _RECENT), _SOONEST), _LATEST)

    @contextlib.contextmanager
    def expect(self, message_id: str) -> Iterator[Callable[[float], Awaitable[Terminal | None]]]:
        """Wait for the outcome of a question that is handed in within the block, so that it cannot be missed.

        Gives a call that waits for at most so many seconds, and gives `None` where the outcome did not come in time.
        Who stops waiting takes nothing from others.
        """
        future: asyncio.Future[Terminal] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(message_id, [])
        waiting.append(future)

        async def within(seconds: float) -> Terminal | None:
            if seconds > 0:
                await asyncio.wait([future], timeout=seconds)
            return future.result() if future.done() and not future.cancelled() else None

        try:
            yield within
        finally:
            with contextlib.suppress(ValueError):
                waiting.remove(future)
            if not waiting and self._waiting.get(message_id) is waiting:
                del self._waiting[message_id]
