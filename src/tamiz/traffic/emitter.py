"""The open loop: events go out when they are due, whatever became of those before them."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from tamiz.clock import Clock
from tamiz.traffic.plan import Arrival
from tamiz.traffic.question import Emission, Questions

__all__ = ["IN_FLIGHT", "Emitter", "Ended", "Send"]

Send = Callable[[Emission], Awaitable[str] | str]
"""Asks a question. Gives its outcome in a word or, where that takes time, what to await for it."""

Ended = Callable[[Emission, float, float, str], None]
"""Hears of each emission that has ended: when it was sent and when it ended, in seconds from the start, and how."""

IN_FLIGHT: Final = 1_000
"""Most events on their way at once, unless told otherwise."""

_LONGEST_NAP: Final = 0.1
_TURN: Final = 64
"""Events that go out before the event loop gets its turn."""


class Emitter:
    """Sends the events of a schedule at their times, beside one another.

    The schedule is never stretched: an event that could not go out in time (a full bound, a busy process) goes out as
    soon as it can, and those after it still at their own times. How late each one was is told with it.
    """

    def __init__(
        self, questions: Questions, send: Send, ended: Ended, clock: Clock, most_in_flight: int = IN_FLIGHT
    ) -> None:
        self.sent = 0
        self.held = 0
        """Events that had to wait because `most_in_flight` were under way."""
        self._questions = questions
        self._send = send
        self._ended = ended
        self._clock = clock
        self._most = most_in_flight
        self._began = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._stopping = False
        self._failure: BaseException | None = None

    @property
    def in_flight(self) -> int:
        """Events that were sent and have not ended."""
        return len(self._tasks)

    def stop(self) -> None:
        """Send nothing more; what is under way comes to its end."""
        self._stopping = True
        self._room.set()

    def abandon(self) -> None:
        """Send nothing more and cancel what is under way, which ends as `cancelled`."""
        self.stop()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    async def run(self, schedule: Iterator[Arrival], *, until: float = math.inf) -> None:
        """Send all events, none later than `until` seconds from now, and wait for their ends.

        Raises what `send` or `ended` raised, at once. Cancelled, or with an error, it abandons what is under way.
        """
        self._began = self._clock.monotonic()
        try:
            await self._run(schedule, until)
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            self.abandon()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._failure is not None:
            raise self._failure

    async def _run(self, schedule: Iterator[Arrival], until: float) -> None:
        turn = 0
        for n, at, rank in schedule:
            if at is not None and await self._wait(at):
                turn = 0
            await self._wait_for_room()
            if self._stopping or self._now() >= until:
                return
            self._emit(Emission(n, at, rank, self._questions[rank]))
            turn += 1
            if turn % _TURN == 0:
                await asyncio.sleep(0)

    async def _wait(self, at: float) -> bool:
        """Wait until an offset, or until it is time to stop; tell whether there was time to wait."""
        waited = False
        while not self._stopping and (left := at - self._now()) > 0:
            await self._clock.sleep(min(left, _LONGEST_NAP))
            waited = True
        return waited

    async def _wait_for_room(self) -> None:
        if len(self._tasks) >= self._most:
            self.held += 1
            while len(self._tasks) >= self._most and not self._stopping:
                self._room.clear()
                await self._room.wait()

    def _emit(self, emission: Emission) -> None:
        at = self._now()
        self.sent += 1
        answer = self._send(emission)
        if isinstance(answer, str):
            self._ended(emission, at, self._now(), answer)
            return
        self._tasks.add(asyncio.ensure_future(self._follow(emission, at, answer)))

    async def _follow(self, emission: Emission, at: float, answer: Awaitable[str]) -> None:
        outcome = "cancelled"
        try:
            outcome = await answer
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - raised again by run()
            outcome = "error"
            self._failure = self._failure or error
            self.abandon()
        finally:
            self._leave()
            self._ended(emission, at, self._now(), outcome)

    def _leave(self) -> None:
        if (task := asyncio.current_task()) is not None:
            self._tasks.discard(task)
        self._room.set()

    def _now(self) -> float:
        return self._clock.monotonic() - self._began
