import asyncio
from collections.abc import Sequence

import pytest

from tamiz.store.mongo.batched import Batched


class _Trips:
    """Round trips that take until they are let through; each doubles its numbers."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gates: list[asyncio.Future[None]] = []

    async def __call__(self, items: list[int]) -> Sequence[int]:
        self.batches.append(items)
        gate = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate
        return [2 * item for item in items]

    async def through(self, number: int) -> None:
        self.gates[number].set_result(None)
        await settled()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def calls(double: Batched[int, int], *items: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(double(item)) for item in items]
    await settled()
    return tasks


async def test_calls_made_at_the_same_time_share_a_round_trip() -> None:
    trips = _Trips()
    tasks = await calls(Batched(trips), 1, 2, 3)
    assert trips.batches == [[1, 2, 3]]
    await trips.through(0)
    assert [task.result() for task in tasks] == [2, 4, 6]


async def test_while_one_is_under_way_the_next_gathers() -> None:
    trips = _Trips()
    double = Batched(trips)
    first = await calls(double, 1)
    second = [*await calls(double, 2), *await calls(double, 3)]
    assert trips.batches == [[1]]
    await trips.through(0)
    assert first[0].result() == 2
    assert trips.batches == [[1], [2, 3]]
    await trips.through(1)
    assert [task.result() for task in second] == [4, 6]


async def test_only_a_full_one_goes_out_beside_another() -> None:
    trips = _Trips()
    double = Batched(trips, limit=2, at_once=2)
    tasks = await calls(double, 1, 2, 3)
    assert trips.batches == [[1, 2]]
    tasks += await calls(double, 4, 5, 6)
    assert trips.batches == [[1, 2], [3, 4]], "two at once, and no more"
    await trips.through(1)
    assert trips.batches == [[1, 2], [3, 4], [5, 6]]
    await trips.through(0)
    await trips.through(2)
    assert [task.result() for task in tasks] == [2, 4, 6, 8, 10, 12]


async def test_an_error_is_everybodys_and_the_next_batch_goes_on() -> None:
    trips = _Trips()
    double = Batched(trips)
    failing = await calls(double, 1, 2)
    waiting = await calls(double, 3)
    trips.gates[0].set_exception(OSError("away"))
    await settled()
    for task in failing:
        with pytest.raises(OSError, match="away"):
            task.result()
    await trips.through(1)
    assert waiting[0].result() == 6


async def test_a_result_for_each_or_an_error_for_all() -> None:
    async def forgetful(items: list[int]) -> Sequence[int]:
        return items[1:]

    double = Batched(forgetful)
    for task in await calls(double, 1, 2):
        with pytest.raises(ValueError, match="shorter"):
            task.result()


async def test_whoever_is_cancelled_before_the_start_is_left_out() -> None:
    trips = _Trips()
    double = Batched(trips)
    first = await calls(double, 1)
    second = await calls(double, 2, 3)
    second[0].cancel()
    await trips.through(0)
    assert trips.batches == [[1], [3]]
    await trips.through(1)
    assert (first[0].result(), second[1].result()) == (2, 6)


async def test_a_batch_goes_on_without_whoever_is_cancelled() -> None:
    trips = _Trips()
    double = Batched(trips)
    tasks = await calls(double, 1, 2)
    tasks[0].cancel()
    await trips.through(0)
    assert tasks[1].result() == 4
    last = await calls(double, 3)
    await trips.through(1)
    assert last[0].result() == 6


async def test_no_batch_of_nobody() -> None:
    trips = _Trips()
    double = Batched(trips)
    first = await calls(double, 1)
    for task in await calls(double, 2):
        task.cancel()
    await trips.through(0)
    assert (first[0].result(), trips.batches) == (2, [[1]])


def test_the_end_of_the_loop_is_the_end_of_whoever_waits() -> None:
    trips = _Trips()

    async def go() -> list[asyncio.Task[int]]:
        return await calls(Batched(trips), 1, 2)

    assert all(task.cancelled() for task in asyncio.run(go()))
