"""The worker on a real broker: what becomes of its stages' effects, how it ends, and that nobody waits for a slow call.

The store is one in memory: what is measured is the worker, and what is shared can be looked into.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import pytest

from cluster.broker import Broker
from fake_store import FakeStore
from on_kafka import OnKafka, finished, ids
from strategies import requested, responded, validated
from tamiz.bus.kafka import KafkaBus
from tamiz.clock import SystemClock
from tamiz.effects import Deferred, Effects, EndpointState, Stage
from tamiz.errors import Failed, FailureKind, ModelRefused, Sign
from tamiz.hosts.worker import Worker
from tamiz.messages import READ_BY, Event, Topic
from tamiz.models.base import Reply, Simulator
from tamiz.models.endpoint import Endpoint
from tamiz.models.fleet import Fleet
from tamiz.stages.generate import Generate
from waiting import PATIENCE, until, until_seen

pytestmark = pytest.mark.xdist_group("cluster")

_SOON = 10.0
"""Seconds: that nothing is forgotten is what counts here; how soon it comes is measured in `bench/`."""

CLOCK: Final = SystemClock()
AHEAD: Final = 4
"""Records that wait in a worker for each call that may be in flight, as `tamiz worker` has it."""


@pytest.fixture
def on(broker: Broker, prefix: str) -> OnKafka:
    return OnKafka(broker, prefix)


@pytest.fixture
def store() -> FakeStore:
    return FakeStore(CLOCK)


class _Model(Simulator):
    """Answers when the test lets it; what it was asked is counted."""

    name = "model"

    def __init__(self, play: Callable[[str], Awaitable[object]]) -> None:
        self._play = play
        self.calls: Counter[str] = Counter()

    async def simulate(self, question: str, best_answer: str | None, attempt: int, retry: int) -> Reply:
        del best_answer, attempt, retry
        self.calls[question] += 1
        await self._play(question)
        return Reply(text="an answer", model="model")

    async def close(self) -> None:
        pass


class _Stage:
    """Emits an outcome for each answer, and records it; one of them it cannot bear."""

    reads = READ_BY["judge"]

    def __init__(self, bad: str = "") -> None:
        self._bad = bad

    async def handle(self, event: Event) -> Effects:
        if event.message_id == self._bad:
            raise ArithmeticError("bad luck")
        return Effects(emit=(validated(event.message_id, event.cache_key),), record=(event,))


class _Idle:
    """A retry stage with nothing to do but what is deferred already."""

    reads = READ_BY["retry"]

    async def handle(self, event: Event) -> Effects:
        raise AssertionError(event)


class _Working(NamedTuple):
    worker: Worker
    bus: KafkaBus
    run: "asyncio.Task[None]"


@asynccontextmanager
async def working(
    on: OnKafka,
    store: FakeStore,
    stages: dict[str, Stage] | None = None,
    *,
    model: _Model | None = None,
    at_once: int = 8,
    when: asyncio.Event | None = None,
) -> AsyncIterator[_Working]:
    """Run a worker, at once or `when` it is time; what is left of it at the end of the block is abandoned."""
    named, fleet, generate = dict(stages or {}), None, None
    if model is not None:
        fleet = Fleet([Endpoint(model, CLOCK, at_once)], clock=CLOCK)
        generate = named["generate"] = Generate(fleet, lambda title, _: title, CLOCK, 0)
    async with on.bus(*named, windows={"generate": AHEAD * at_once}) as bus:
        worker = Worker(
            bus=bus, store=store, stages=named, calling=generate, fleet=fleet, concurrency=at_once, clock=CLOCK
        )

        async def work() -> None:
            if when is not None:
                await when.wait()
            await worker.run()

        run = asyncio.create_task(work())
        try:
            yield _Working(worker, bus, run)
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a bus that is closed not wait for what nobody will acknowledge."""
    monkeypatch.setattr("tamiz.bus.reader._DRAIN", 0.1)


def requests(*titles: str) -> list[Event]:
    """Make requests of which no two have the same key; the title is the id as well."""
    return [requested(message_id=title, title=title, cache_key=f"key-{title}") for title in titles]


async def settled(on: OnKafka, group: str, topic: Topic, end: int, *unfinished: int) -> None:
    """Wait until what is committed says that exactly these records of the topic are not finished."""
    await until_seen(
        lambda: on.unfinished(group, topic, end), [*unfinished].__eq__, f"the commit of all but {unfinished}"
    )


@pytest.mark.usefixtures("hasty")
async def test_a_stage_that_raises_ends_the_worker_and_nothing_of_its_batch_is_acknowledged(
    on: OnKafka, store: FakeStore
) -> None:
    """Nor are effects of it carried out; the error is the stage's own, and the next worker does all of it."""
    names = ["m0", "m1", "bad", "m2", "m3"]
    async with on.bus("persist") as outside:
        await outside.publish([responded(message_id=name, cache_key=f"key-{name}") for name in names])
        async with working(on, store, {"judge": _Stage("bad")}) as first:
            with pytest.raises(ArithmeticError, match="bad luck"):
                await asyncio.wait_for(first.run, PATIENCE)
        assert on.unfinished("judge", Topic.LLM_RESPONSES, 5) == [0, 1, 2, 3, 4]
        assert store.answers.recorded == []
        assert on.topics.counts()["validated_responses"] == 0
        async with working(on, store, {"judge": _Stage()}):
            assert ids(await finished(outside, "persist", 5)) == names
            await settled(on, "judge", Topic.LLM_RESPONSES, 5)


async def test_nothing_is_emitted_before_it_is_recorded_nor_acknowledged_before_both(
    on: OnKafka, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a crash at any point repeats, and never loses."""
    recording, stored = asyncio.Event(), asyncio.Event()
    record = store.answers.record

    async def slowly(event: Event) -> None:
        recording.set()
        await stored.wait()
        await record(event)

    monkeypatch.setattr(store.answers, "record", slowly)
    async with on.bus("persist") as outside, working(on, store, {"judge": _Stage()}) as work:
        await outside.publish([responded(message_id="m")])
        await asyncio.wait_for(recording.wait(), PATIENCE)
        assert on.topics.counts()["validated_responses"] == 0
        assert [each.out for each in work.bus._readers["judge"]._assigned.values()] == [1]
        stored.set()
        assert ids(await finished(outside, "persist", 1)) == ["m"]
        await settled(on, "judge", Topic.LLM_RESPONSES, 1)


@pytest.mark.usefixtures("hasty")
async def test_a_model_that_refuses_ends_the_worker_after_the_calls_in_flight(on: OnKafka, store: FakeStore) -> None:
    """Those are answered and acknowledged; nothing is spent on the one that was refused, and nothing new is begun."""
    refuse, answer = asyncio.Event(), asyncio.Event()

    async def play(question: str) -> None:
        if question == "q2":
            await refuse.wait()
            raise ModelRefused("401: no such key")
        await answer.wait()

    model = _Model(play)
    async with on.bus("judge") as outside, working(on, store, model=model, at_once=6) as work:
        await outside.publish(requests(*(f"q{n}" for n in range(20))))
        await until(lambda: model.calls.total() == 6, "six calls in flight")
        refuse.set()
        await until(lambda: work.bus._stopping, "it to stop")
        assert not work.run.done()
        answer.set()
        with pytest.raises(ModelRefused, match="no such key"):
            await asyncio.wait_for(work.run, PATIENCE)
        assert {*ids(await finished(outside, "judge", 5))} == {"q0", "q1", "q3", "q4", "q5"}
        await settled(on, "generate", Topic.LLM_REQUESTS, 20, 2, *range(6, 20))
    assert model.calls.total() == work.worker.calls == 6
    counts = on.topics.counts()
    assert (counts["llm_responses"], counts["llm_errors"]) == (5, 0)


@pytest.mark.usefixtures("hasty")
async def test_a_worker_that_is_asked_to_stop_finishes_its_calls_and_begins_no_more(
    on: OnKafka, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that takes longer than the grace is given up, and made again by the next worker; no other one is."""
    monkeypatch.setattr("tamiz.hosts.worker._GRACE", 5.0)
    answer, never = asyncio.Event(), asyncio.Event()

    async def play(question: str) -> None:
        await (never if question == "q3" else answer).wait()

    model = _Model(play)
    async with on.bus("judge") as outside:
        await outside.publish(requests(*(f"q{n}" for n in range(20))))
        async with working(on, store, model=model) as work:
            await until(lambda: model.calls.total() == 8, "eight calls in flight")
            work.worker.stop()
            answer.set()
            await asyncio.wait_for(work.run, PATIENCE)
            assert model.calls.total() == 8
            await settled(on, "generate", Topic.LLM_REQUESTS, 20, 3, *range(8, 20))
        never.set()
        async with working(on, store, model=model):
            assert Counter(ids(await finished(outside, "judge", 20))) == Counter(f"q{n}" for n in range(20))
            await settled(on, "generate", Topic.LLM_REQUESTS, 20)
    assert model.calls == {f"q{n}": 1 + (n == 3) for n in range(20)}


async def test_a_request_that_comes_again_costs_no_second_call(on: OnKafka, store: FakeStore) -> None:
    """Where the same process has made it already; another retry of it is another call."""
    (first,) = requests("q")
    again = requested(message_id="q", title="q", cache_key="key-q", retry=1)

    async def play(_: str) -> None:
        await asyncio.sleep(0)

    model = _Model(play)
    async with on.bus("judge") as outside, working(on, store, model=model):
        await outside.publish([first, first, *requests("other"), first, again])
        assert Counter(ids(await finished(outside, "judge", 3))) == {"q": 2, "other": 1}
        await settled(on, "generate", Topic.LLM_REQUESTS, 5)
    assert model.calls == {"q": 2, "other": 1}
    assert on.topics.counts()["llm_responses"] == 3


class _Arrivals:
    """When each deferred event was emitted, as who reads its topic sees it."""

    def __init__(self, due: dict[str, float]) -> None:
        self.due = due
        self.seen: dict[str, list[float]] = {name: [] for name in due}

    async def follow(self, bus: KafkaBus) -> None:
        """Take note of each."""
        while True:
            for delivery in await finished(bus, "generate", 1):
                self.seen[delivery.event.message_id].append(time.time())

    def expect(self, name: str) -> None:
        """Have one more that is due."""
        self.due[name] = time.time()
        self.seen[name] = []

    @property
    def complete(self) -> bool:
        """Whether none is missing."""
        return all(self.seen.values())

    def late(self, but: set[str]) -> float:
        """Give by how much the latest of all but some came late."""
        assert all(seen[0] >= self.due[name] for name, seen in self.seen.items())
        return max(seen[0] - self.due[name] for name, seen in self.seen.items() if name not in but)


async def deferred(store: FakeStore, count: int, within: float) -> _Arrivals:
    """Defer requests that are due at different times from in a second on."""
    chance, begin = random.Random(5), time.time() + 1
    due = {f"d{n}": begin + within * chance.random() for n in range(count)}
    for name, at in due.items():
        await store.deferrals.defer(Deferred(requested(message_id=name, cache_key=f"key-{name}"), at))
    return _Arrivals(due)


async def test_what_is_deferred_comes_when_it_is_due(on: OnKafka, store: FakeStore) -> None:
    """Three thousand within two seconds, by two workers at once: none is forgotten, none comes twice.

    A worker never has more of them than it emits at once.
    """
    async with (
        on.bus("generate") as outside,
        working(on, store, {"retry": _Idle()}) as one,
        working(on, store, {"retry": _Idle()}) as two,
    ):
        for each in (one, two):
            await each.bus.publish(requests("warm"))
        await finished(outside, "generate", 2)
        arrivals = await deferred(store, 3000, 2.0)
        following = asyncio.create_task(arrivals.follow(outside))
        await until(lambda: arrivals.complete, "all of them")
        await until(lambda: len(store.deferrals) == 0, "the store to be empty")
        arrivals.expect("last")
        await outside.publish(requests("last"))
        await until(lambda: arrivals.complete, "the one behind them")
        following.cancel()
    assert arrivals.late(set()) < _SOON
    assert {len(seen) for seen in arrivals.seen.values()} == {1}
    assert on.topics.counts()["llm_requests"] == 3003
    assert store.deferrals.most_asked == 500
    assert store.deferrals.most_leased <= 2 * 500


async def test_what_an_abandoned_worker_had_taken_is_brought_back_by_another(on: OnKafka) -> None:
    """When its lease is over; all else comes when it is due, and nothing twice but what was not reported as sent."""
    store, half_way = FakeStore(CLOCK, lease=1.0), asyncio.Event()
    async with (
        on.bus("generate") as outside,
        working(on, store, {"retry": _Idle()}) as first,
        working(on, store, {"retry": _Idle()}, when=half_way) as second,
    ):
        for each in (first, second):
            await each.bus.publish(requests("warm"))
        await finished(outside, "generate", 2)
        arrivals = await deferred(store, 3000, 2.0)
        following = asyncio.create_task(arrivals.follow(outside))
        await until(lambda: len(store.deferrals) < 1500 and store.deferrals.leased, "it to be half-way, with some")
        first.run.cancel()
        await asyncio.gather(first.run, return_exceptions=True)
        held = {name for name, _, _ in store.deferrals.leased}
        assert 0 < len(held) <= 500
        half_way.set()
        await until(lambda: arrivals.complete and len(store.deferrals) == 0, "all of them")
        arrivals.expect("last")
        await second.bus.publish(requests("last"))
        await until(lambda: arrivals.complete, "the one behind them")
        following.cancel()
    assert arrivals.late(held) < _SOON
    assert {name for name, seen in arrivals.seen.items() if len(seen) > 1} <= held
    assert max(len(seen) for seen in arrivals.seen.values()) <= 2


async def test_a_slow_call_delays_nobody_else(on: OnKafka, store: FakeStore) -> None:
    """While one in fifty has no answer, all the others of its partition get theirs."""
    answered = asyncio.Event()

    async def play(question: str) -> None:
        if question.startswith("slow"):
            await answered.wait()

    titles = [f"slow {n}" if n % 50 == 0 else f"quick {n}" for n in range(400)]
    async with on.bus("judge") as outside, working(on, store, model=_Model(play), at_once=64):
        await outside.publish(requests(*titles))
        quick = [delivery.event.title for delivery in await finished(outside, "judge", 392)]
        assert sorted(quick) == sorted(title for title in titles if title.startswith("quick"))
        answered.set()
        slow = [delivery.event.title for delivery in await finished(outside, "judge", 8)]
        assert sorted(slow) == sorted(title for title in titles if title.startswith("slow"))


async def test_what_one_worker_learns_of_an_endpoint_the_others_know(
    broker: Broker, prefix: str, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its circuit is open no worker that looks into the same store calls it before it may be tried again."""
    monkeypatch.setattr("tamiz.hosts.worker._SHARE_EVERY", 0.05)
    on = OnKafka(broker, prefix, partitions=4)
    up = asyncio.Event()
    back_at = time.time() + 600

    async def play(_: str) -> None:
        if not up.is_set():
            raise Failed(FailureKind.QUOTA, "spent", retry_at=back_at, sign=Sign.SPENT)

    here, there = _Model(play), _Model(play)
    async with on.bus("judge", "retry") as outside, working(on, store, model=here) as one:
        await outside.publish(requests("first"))
        await finished(outside, "retry", 1)
        await until(lambda: one.worker.endpoints, "the first worker to know")
        async with working(on, store, model=there) as two:
            await until(lambda: two.worker.endpoints, "the second worker to know")
            assert two.worker.endpoints == one.worker.endpoints == await store.endpoints.states()
            await until(lambda: len(two.bus._readers["generate"]._assigned) == 2, "the second to have its half")
            await until(lambda: len(one.bus._readers["generate"]._assigned) == 2, "the first to have its half")
            await outside.publish(requests(*(f"q{n}" for n in range(20))))
            await until(lambda: one.bus.waiting("generate") + two.bus.waiting("generate") == 20, "all to be read")
            assert two.bus.waiting("generate")
            assert (here.calls.total(), there.calls.total()) == (1, 0)
            up.set()
            await store.endpoints.save(EndpointState("model"))  # as somebody does whose probe was answered
            assert {*ids(await finished(outside, "judge", 20))} == {f"q{n}" for n in range(20)}
    assert here.calls.total() + there.calls.total() == 21
    assert there.calls
    assert on.topics.counts()["llm_errors"] == 1
