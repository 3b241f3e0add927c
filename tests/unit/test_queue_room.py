"""Who hands in many questions waits for room, and leaves some to others."""

import asyncio

import pytest

from manual_clock import ManualClock
from strategies import validated
from tamiz.hosts.desk import Queue


async def _waits(queue: Queue, share: float) -> bool:
    waiting = asyncio.ensure_future(queue.room(share))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    done = waiting.done()
    waiting.cancel()
    return not done


@pytest.mark.parametrize(
    ("taken", "share", "waits"), [(0, 0.5, False), (4, 0.5, False), (5, 0.5, True), (9, 1.0, False)]
)
async def test_there_is_room_below_the_share(taken: int, share: float, *, waits: bool) -> None:
    queue = Queue(10, ManualClock())
    for n in range(taken):
        queue.enter(f"{n}")
    assert await _waits(queue, share) is waits


async def test_a_queue_of_one_has_room_while_it_is_empty() -> None:
    queue = Queue(1, ManualClock())
    assert not await _waits(queue, 0.5)
    queue.enter("a")
    assert await _waits(queue, 0.5)


async def test_who_waits_hears_of_each_place() -> None:
    """Whether the question ended or was not taken in after all; and waits on where another one took the place."""
    queue = Queue(2, ManualClock())
    queue.enter("a")
    for ended in (False, True):
        waiting = asyncio.ensure_future(queue.room(0.5))
        await asyncio.sleep(0)
        if ended:
            queue.ended([validated("a")])
        else:
            queue.leave("a")
        queue.enter("b")
        await asyncio.sleep(0)
        assert not waiting.done()
        queue.leave("b")
        await waiting
        queue.enter("a")
