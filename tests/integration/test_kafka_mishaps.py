"""What happens to a consumer once in a while: pauses that outlive a rebalance, brokers that hang, logs that grow."""

import asyncio
import time

import pytest
from confluent_kafka import KafkaError, KafkaException

from cluster.broker import Broker
from fake_store import FakeStore
from on_kafka import OnKafka, finished, received
from strategies import asked
from tamiz.clock import SystemClock
from tamiz.effects import Effects
from tamiz.errors import BusError
from tamiz.hosts.worker import Worker
from tamiz.messages import READ_BY, Event, Topic, encode
from waiting import PATIENCE, until

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture
def on(broker: Broker, prefix: str) -> OnKafka:
    return OnKafka(broker, prefix)


def _questions(count: int, *, first: int = 0) -> list[bytes]:
    return [encode(asked(f"m{n}", f"k{n}")) for n in range(first, first + count)]


async def test_partitions_that_were_paused_when_they_went_are_read_when_they_are_back(
    broker: Broker, prefix: str
) -> None:
    """The client remembers a pause; a member that gets a partition back, when another one has left, reads it all."""
    on = OnKafka(broker, prefix, 2)
    for partition in (0, 1):
        on.put(Topic.QUESTIONS_IN, *_questions(100, first=100 * partition), partition=partition)
    async with on.bus("intake", windows={"intake": 20}) as bus:
        held = await received(bus, "intake", 20)
        reader = bus._readers["intake"]
        await until(lambda: len(reader._paused) == 2 * len(reader._topics), "a pause of all partitions")
        async with on.bus("intake") as other:
            await until(lambda: other._readers["intake"]._assigned, "the other to have its share")
            await until(lambda: len(reader._assigned) < 2 * len(reader._topics), "this one to have less")
            other.stop()  # it takes nothing
        await until(lambda: len(reader._assigned) == 2 * len(reader._topics), "all to be back")
        done = {delivery.event.message_id for delivery in held}
        for delivery in held:
            bus.acknowledge(delivery)
        async with asyncio.timeout(PATIENCE):
            while len(done) < 200:
                if not (taken := bus.take("intake", 50)):
                    await bus.wait("intake")
                for delivery in taken:
                    done.add(delivery.event.message_id)
                    bus.acknowledge(delivery)


async def test_a_bus_that_fails_ends_the_worker(on: OnKafka) -> None:
    """It does not stay as a member that does nothing."""
    async with on.bus("intake") as bus:
        worker = Worker(
            bus=bus, store=FakeStore(SystemClock()), stages={"intake": _Nothing()},
            calling=None, fleet=None, concurrency=1, clock=SystemClock(),
        )  # fmt: skip
        running = asyncio.create_task(worker.run())
        await until(lambda: bus._readers["intake"]._assigned, "it to be a member")
        bus._on_failed(KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)))
        with pytest.raises(BusError, match=r"Kafka at .* refuses"):
            async with asyncio.timeout(PATIENCE):
                await running


class _Nothing:
    reads = READ_BY["intake"]

    async def handle(self, event: Event) -> Effects:
        del event
        return Effects()


async def test_a_broker_that_hangs_does_not_keep_a_bus_from_closing(on: OnKafka, broker: Broker) -> None:
    on.put(Topic.QUESTIONS_IN, *_questions(100))
    began = 0.0
    try:
        async with on.bus("intake") as bus:
            for delivery in await received(bus, "intake", 100):
                broker.pause()
                bus.acknowledge(delivery)
            await asyncio.sleep(0.3)  # for a commit to be under way
            began = time.monotonic()
        assert time.monotonic() < began + 17
    finally:
        # one that was away for so long takes its time until it is one of the cluster again
        broker.kill()
        await asyncio.to_thread(broker.start)


async def test_what_all_have_finished_is_dropped_when_it_is_old(on: OnKafka) -> None:
    """Nothing that some stage has still to finish, however old, and nothing that is young."""
    on.put(Topic.QUESTIONS_IN, *_questions(50))
    reads = {"intake": READ_BY["intake"]}
    async with on.bus("intake") as bus:
        await finished(bus, "intake", 40)
        await until(lambda: on.committed("intake", Topic.QUESTIONS_IN).get(0, (0, ""))[0] == 40, "the commit")
        assert on.topics.trim(reads, 3600) == 0
        await asyncio.sleep(0.01)
        assert on.topics.trim(reads, 0) == 40
        assert on.topics.trim(reads, 0) == 0
        assert on.topics.trim({**reads, "judge": (Topic.QUESTIONS_IN,)}, 0) == 0
        assert len(await finished(bus, "intake", 10)) == 10
