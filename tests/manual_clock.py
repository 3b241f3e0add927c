"""Time that moves only when told, and an event loop on it whose waits take no time at all."""

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tamiz.clock import Clock

__all__ = ["EPOCH", "ManualClock", "StillClock", "at_once", "on_virtual_time"]

T = TypeVar("T")

EPOCH = 1_800_000_000.0
_TURN = 1e-6
_SPINNING = 500_000


class ManualClock:
    """A `Clock` that stands still. Its sleepers wake, in the order of their times, as `advance` passes them."""

    def __init__(self) -> None:
        self._now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def time(self) -> float:
        """Give `EPOCH` and what was advanced."""
        return EPOCH + self._now

    def monotonic(self) -> float:
        """Give what was advanced."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the time was advanced past it."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wakes = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), wakes))
        await wakes

    @property
    def sleepers(self) -> int:
        """How many sleep right now."""
        return sum(not wakes.done() for _, _, wakes in self._sleepers)

    def move(self, seconds: float) -> None:
        """Move the time; whoever sleeps goes on sleeping."""
        self._now += seconds

    async def advance(self, seconds: float) -> None:
        """Move the time, stopping wherever somebody wakes, and let all that follows from it happen."""
        end = self._now + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, wakes = heapq.heappop(self._sleepers)
            if not wakes.done():
                wakes.set_result(None)
            await _settle()
        self._now = end


class StillClock(ManualClock):
    """A `ManualClock` for who has to do with a real server: one that sleeps until the server is there does so for real.

    On the other one it would sleep for ever.
    """

    async def sleep(self, seconds: float) -> None:
        """Wait so long, while the time stands still."""
        await asyncio.sleep(seconds)


class _VirtualClock:
    """A `Clock` that is the time of the loop it runs on."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return EPOCH + self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _JumpingSelector(selectors.SelectSelector):
    """Waits for nothing: where the loop would wait for a time, it is that time at once.

    A turn of the loop takes a microsecond, as if there were a machine behind it.
    """

    def __init__(self, clock: _VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        waits = not ready and timeout is not None and timeout > _TURN
        self._turns = 0 if waits else self._turns + 1
        if self._turns > _SPINNING:
            raise RuntimeError("it spins: it does not wait, and nothing happens")
        self._clock.now += timeout if waits and timeout is not None else _TURN
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: _VirtualClock) -> None:
        super().__init__(_JumpingSelector(clock))
        self._virtual_clock = clock

    def time(self) -> float:
        return self._virtual_clock.now

    def run_in_executor(  # type: ignore[override]  # the base class's is generic, for nobody here
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run it here and now: no thread, so no chance in the order of things."""
        del executor
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001 - it is the future's
            done.set_exception(error)
        return done


def on_virtual_time(main: Callable[[Clock], Coroutine[Any, Any, T]]) -> T:
    """Run `main`, which is given the clock, on a loop that jumps from one event to the next.

    Hours pass in no time and always in the same order. Where nothing could ever happen any more it raises
    `RuntimeError` instead of hanging.
    """
    clock = _VirtualClock()
    with asyncio.Runner(loop_factory=lambda: _VirtualLoop(clock)) as runner:
        return runner.run(main(clock))


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that has nothing to wait for, without a loop; one that waits fails."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise AssertionError("it waited, where it has to answer at once")


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
