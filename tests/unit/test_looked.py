"""Looks that are shared."""

import asyncio

import pytest

from manual_clock import on_virtual_time
from tamiz.clock import Clock
from tamiz.hosts.looked import Looked


class Slow:
    """Counts how often it is looked at; each look takes some seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.looks = 0

    async def __call__(self) -> int:
        """Give the number of the look."""
        self.looks += 1
        number = self.looks
        await asyncio.sleep(self.seconds)
        return number


def test_one_look_is_for_all_who_ask_within_a_moment() -> None:
    async def ask(clock: Clock) -> list[int]:
        looked = Looked(Slow(0.1), clock, fresh=1.0)
        told = [*await asyncio.gather(looked(), looked()), await looked()]
        await asyncio.sleep(1)
        return [*told, await looked()]

    assert on_virtual_time(ask) == [1, 1, 1, 2]


def test_what_takes_too_long_goes_on_and_is_told_later() -> None:
    async def ask(clock: Clock) -> tuple[float, int, int]:
        slow = Slow(5)
        looked = Looked(slow, clock, within=2.0)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await looked()
        waited = clock.monotonic()
        return round(waited, 3), await looked(), slow.looks

    assert on_virtual_time(ask) == (4.0, 1, 1)


def test_a_failure_is_told_to_all_and_then_it_looks_again() -> None:
    async def ask(clock: Clock) -> int:
        looks = 0

        async def fail() -> None:
            nonlocal looks
            looks += 1
            raise LookupError

        looked = Looked(fail, clock, fresh=1.0)
        for _ in range(2):
            with pytest.raises(LookupError):
                await looked()
        await asyncio.sleep(1)
        with pytest.raises(LookupError):
            await looked()
        return looks

    assert on_virtual_time(ask) == 2
