"""The desk of a cluster, on a bus and a store that do as the test says, and on time that passes at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import pytest

from manual_clock import on_virtual_time
from strategies import asked, scored, validated
from tamiz.clock import Clock
from tamiz.errors import BusError, StateError
from tamiz.hosts.desk import Busy, Stopping
from tamiz.hosts.remote import RemoteDesk
from tamiz.hosts.shape import Shape
from tamiz.messages import Event, Scored, Source, Terminal, Terms
from tamiz.settings import Settings
from tamiz.store.mongo import MongoStore

SHAPE = Shape(
    asked_how="how",
    digest="a1b2c3d4e5f6",
    settings={"model": "m", "threshold": 0.7, "attempts": 5, "unscored": "retry"},
)


class _Cluster:
    """Bus and store in one: what is published, what is recorded, what has ended."""

    def __init__(self) -> None:
        self.published: list[Event] = []
        self.recorded: list[Event] = []
        self.ended: dict[str, Terminal] = {}
        self.best: Scored | None = None
        self.shape: Shape | None = SHAPE
        self.takes = True
        self.answers = self.results = self
        self.claims: Any = None
        self.looks = 0
        self.down = False

    async def publish(self, events: Sequence[Event]) -> None:
        while not self.takes:  # noqa: ASYNC110 - the test sets it
            await asyncio.sleep(1)
        self.published += events

    async def record(self, event: Event) -> None:
        self._answer()
        self.recorded.append(event)

    async def reusable(self, cache_key: str) -> Scored | None:
        self._answer()
        assert cache_key
        return self.best

    async def outcomes(self, message_ids: Sequence[str]) -> list[Terminal]:
        self._answer()
        self.looks += 1
        return [self.ended[message_id] for message_id in message_ids if message_id in self.ended]

    async def which_ended(self, message_ids: Sequence[str]) -> list[str]:
        self._answer()
        self.looks += 1
        return [message_id for message_id in message_ids if message_id in self.ended]

    async def meta(self, name: str) -> str | None:
        self._answer()
        assert name == "shape"
        return None if self.shape is None else msgspec.json.encode(self.shape).decode()

    def _answer(self) -> None:
        if self.down:
            raise StateError("the store does not answer")


@asynccontextmanager
async def at_work(cluster: _Cluster, clock: Clock, **settings: Any) -> AsyncIterator[RemoteDesk]:
    desk = RemoteDesk(cluster, cast("MongoStore", cluster), settings=Settings(**settings), clock=clock)
    running = asyncio.create_task(desk.run())
    try:
        await asyncio.sleep(0.01)
        yield desk
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await desk.close()


def on_cluster(
    test: Callable[[_Cluster, Clock], Coroutine[Any, Any, None]],
) -> Callable[[], None]:
    """Have a test run on a new cluster, in no time."""

    def run() -> None:
        on_virtual_time(lambda clock: test(_Cluster(), clock))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_cluster
async def test_a_question_is_published_before_it_is_recorded(cluster: _Cluster, clock: Clock) -> None:
    async with at_work(cluster, clock) as desk:
        cluster.takes = False
        handing_in = asyncio.create_task(desk.submit(asked()))
        await asyncio.sleep(3)
        assert cluster.recorded == []
        cluster.takes = True
        await handing_in
    assert cluster.published == cluster.recorded == [asked()]


@on_cluster
async def test_who_waits_has_the_outcome_within_a_moment(cluster: _Cluster, clock: Clock) -> None:
    async with at_work(cluster, clock) as desk:
        with desk.queue.expect("m1") as expected:
            await desk.submit(asked())
            assert await expected(5) is None
            cluster.ended["m1"] = validated()
            began = clock.monotonic()
            assert await expected(30) == validated()
            assert clock.monotonic() - began < 0.2
        assert len(desk.queue) == 0


@on_cluster
async def test_places_are_given_back_though_nobody_waits(cluster: _Cluster, clock: Clock) -> None:
    async with at_work(cluster, clock, queue=3) as desk:
        for number in range(3):
            await desk.submit(asked(f"m{number}"))
        with pytest.raises(Busy):
            await desk.submit(asked("m3"))
        cluster.ended["m1"] = validated("m1")
        await asyncio.sleep(1)
        await desk.submit(asked("m3"))
        assert len(desk.queue) == 3


@on_cluster
async def test_each_open_question_has_its_turn_to_be_looked_at(cluster: _Cluster, clock: Clock) -> None:
    """Thousands that stay open do not keep the place of one that has ended."""
    async with at_work(cluster, clock, queue=5000) as desk:
        for number in range(3500):
            await desk.submit(asked(f"m{number}"))
        cluster.ended["m3333"] = validated("m3333")
        await asyncio.sleep(3)
        assert len(desk.queue) == 3499


@on_cluster
async def test_a_store_is_asked_little_while_nothing_is_open(cluster: _Cluster, clock: Clock) -> None:
    async with at_work(cluster, clock):
        await asyncio.sleep(600)
    assert cluster.looks == 0


@on_cluster
async def test_brokers_that_take_nothing_are_told_and_cost_no_place(cluster: _Cluster, clock: Clock) -> None:
    async with at_work(cluster, clock) as desk:
        cluster.takes = False
        with pytest.raises(BusError, match="try again"):
            await desk.submit(asked())
        assert len(desk.queue) == 0


@on_cluster
async def test_a_store_that_is_away_stops_no_question(cluster: _Cluster, clock: Clock) -> None:
    """It is with the brokers: taken. Who waits has the outcome once the store is back."""
    async with at_work(cluster, clock) as desk:
        cluster.down = True
        with desk.queue.expect("m1") as expected:
            await desk.submit(asked())
            with pytest.raises(StateError):
                await desk.known(asked("m2"))
            cluster.ended["m1"] = validated()
            assert await expected(60) is None
            cluster.down = False
            assert await expected(10) == validated()
    assert cluster.published == [asked()]


@on_cluster
async def test_what_is_known_is_judged_by_the_cluster_s_bar(cluster: _Cluster, clock: Clock) -> None:
    """By the settings of its intake workers, whatever this process has; a question's own threshold goes before them."""
    async with at_work(cluster, clock, threshold=0.1) as desk:
        assert (desk.policy.threshold, desk.policy.attempts, desk.policy.unscored) == (0.7, 5, "retry")
        cluster.best = scored(0.5)
        assert await desk.known(asked()) is None
        known = await desk.known(asked(terms=Terms(threshold=0.4)))
        assert known is not None
        assert (known.source, known.accepted, known.answer) == (Source.STORE, True, scored(0.5))
        await desk.record(asked(), known)
        await asyncio.sleep(0.1)
        assert cluster.recorded == [known]


@on_cluster
async def test_other_settings_of_the_cluster_are_taken_up(cluster: _Cluster, clock: Clock) -> None:
    cluster.shape = None
    async with at_work(cluster, clock) as desk:
        with pytest.raises(StateError, match="tamiz worker intake"):
            _ = desk.shape
        cluster.shape = SHAPE
        await asyncio.sleep(5)
        assert desk.shape == SHAPE
        cluster.shape = msgspec.structs.replace(SHAPE, settings={**SHAPE.settings, "threshold": 0.2})
        await asyncio.sleep(10)
        assert desk.policy.threshold == 0.2


@on_cluster
async def test_what_nobody_expected_does_not_end_it(cluster: _Cluster, clock: Clock) -> None:
    """Such as settings that a worker of another version wrote: who waits has the outcome all the same, later."""
    async with at_work(cluster, clock) as desk:
        with desk.queue.expect("m1") as expected:
            await desk.submit(asked())
            cluster.ended["m1"] = cast("Terminal", None)
            assert await expected(5) is None
            cluster.ended["m1"] = validated()
            assert await expected(5) == validated()


@on_cluster
async def test_a_desk_that_stops_takes_nothing_and_keeps_nobody_waiting(cluster: _Cluster, clock: Clock) -> None:
    async with at_work(cluster, clock) as desk:
        with desk.queue.expect("m1") as expected:
            await desk.submit(asked())
            desk.stop()
            with pytest.raises(Stopping):
                await desk.submit(asked("m2"))
            began = clock.monotonic()
            assert await expected(300) is None
            assert clock.monotonic() - began < 10


@on_cluster
async def test_who_goes_away_while_the_brokers_are_slow_leaves_its_place(cluster: _Cluster, clock: Clock) -> None:
    async with at_work(cluster, clock) as desk:
        cluster.takes = False
        handing_in = asyncio.create_task(desk.submit(asked()))
        await asyncio.sleep(1)
        handing_in.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await handing_in
        assert len(desk.queue) == 0
