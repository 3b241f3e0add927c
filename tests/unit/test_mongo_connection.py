"""The patience with a database that is away, and what is said of it."""

import asyncio

from pymongo.errors import AutoReconnect

from manual_clock import on_virtual_time
from tamiz.clock import Clock
from tamiz.store.mongo.address import MongoAddress
from tamiz.store.mongo.connection import Connection

URL = "mongodb://127.0.0.1:1/t"


class _Database:
    """Is away until a given time; each call takes so many seconds until it is known to have failed."""

    def __init__(self, back_at: float) -> None:
        self._back_at = back_at

    async def asked(self, takes: float) -> str:
        began = asyncio.get_running_loop().time()
        if began < self._back_at:
            await asyncio.sleep(takes)
            raise AutoReconnect("connection closed")
        return "an answer"


def said_of(back_at: float, *takes: float) -> list[str]:
    """Make a call for each of these times at once, and give how what was said of the database ends."""

    async def main(clock: Clock) -> list[str]:
        said: list[str] = []
        connection = Connection(MongoAddress.parse(URL), clock, patience=None, say=said.append)
        database = _Database(back_at)

        async def call(seconds: float) -> None:
            assert await connection.run(lambda: database.asked(seconds)) == "an answer"

        await asyncio.gather(*map(call, takes))
        await connection.close()
        return [each.removeprefix(f"the store {URL} ").partition(" (")[0] for each in said]

    return on_virtual_time(main)


def test_one_that_is_away_for_a_blip_is_not_told_of() -> None:
    assert said_of(0.5, 0.01) == []


def test_one_that_is_away_is_told_of_once_and_once_when_it_is_back() -> None:
    """Whichever of many calls notices it."""
    assert said_of(30.0, *(n / 100 for n in range(1, 50))) == ["does not answer", "answers again"]


def test_a_call_that_was_begun_before_and_fails_after_another_was_answered_is_no_news() -> None:
    """The quick one is answered soon after the 30 seconds; the slow one was begun before them."""
    assert said_of(30.0, 0.01, 29.0) == ["does not answer", "answers again"]
