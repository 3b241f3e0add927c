"""The places of open questions, and those who wait for outcomes."""

import asyncio

import pytest

from manual_clock import ManualClock
from strategies import dead, validated
from tamiz.hosts.desk import Busy, Queue


def queue(limit: int = 2) -> Queue:
    return Queue(limit, ManualClock())


def test_no_more_than_the_limit_are_let_in() -> None:
    places = queue()
    places.enter("m1")
    places.enter("m2")
    with pytest.raises(Busy) as busy:
        places.enter("m3")
    assert busy.value.retry_after > 0
    assert (len(places), places.refused) == (2, 1)
    places.ended([validated("m1")])
    places.enter("m3")
    places.leave("m3")
    places.ended([dead("m2"), validated("unknown")])
    assert len(places) == 0


async def test_all_who_wait_for_a_question_hear_of_it() -> None:
    places = queue()
    with places.expect("m1") as one, places.expect("m1") as other, places.expect("m2") as third:
        asyncio.get_running_loop().call_soon(places.ended, [validated("m1")])
        outcomes = tuple(await asyncio.gather(one(30), other(30)))
        assert outcomes == (validated("m1"), validated("m1"))
        assert await third(0) is None
        assert places.waited_for() == ["m2"]
    assert places.waited_for() == []


async def test_an_outcome_that_comes_before_one_waits_is_not_missed() -> None:
    places = queue()
    with places.expect("m1") as outcome:
        places.ended([validated("m1")])
        assert await outcome(0) == validated("m1")


async def test_who_stops_waiting_takes_nothing_from_others() -> None:
    places = queue()
    with places.expect("m1") as stays:
        with places.expect("m1") as goes:
            waiting = asyncio.ensure_future(goes(30))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        places.ended([validated("m1")])
        assert await stays(0) == validated("m1")


async def test_nobody_waits_for_ever() -> None:
    places = queue()
    with places.expect("m1") as outcome:
        assert await outcome(0.001) is None


def test_a_refusal_tells_how_long_a_tenth_of_the_places_takes() -> None:
    """At the pace of the last ten seconds, and never less than a second or more than a minute."""
    clock = ManualClock()
    places = Queue(100, clock)
    for number in range(100):
        places.enter(f"m{number}")
    assert places.retry_after() == 10
    places.ended(validated(f"m{number}") for number in range(20))  # 2 a second
    assert places.retry_after() == 5
    places.ended(validated(f"m{number}") for number in range(20, 100))
    assert places.retry_after() == 1
