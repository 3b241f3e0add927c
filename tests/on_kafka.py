"""Buses on a real broker, with topics of their own; records put past them, and offsets looked at from outside."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, Final

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from cluster.broker import Broker
from tamiz.bus.acks import Acks
from tamiz.bus.address import KafkaAddress
from tamiz.bus.kafka import KafkaBus
from tamiz.bus.reader import KafkaDelivery
from tamiz.bus.topics import Topics
from tamiz.messages import READ_BY, Topic
from waiting import PATIENCE

__all__ = ["OnKafka", "finished", "ids", "received"]

_HERE: Final = Path(__file__).parent


class OnKafka:
    """A tamiz of its own on the broker."""

    def __init__(self, broker: Broker, prefix: str, partitions: int = 1) -> None:
        self.address = KafkaAddress(servers=broker.servers, prefix=prefix)
        self.topics = Topics(self.address, {})
        self.topics.create(partitions, 1)
        self.said: list[str] = []
        """What its buses said."""
        self._partitions = partitions
        self._admin = AdminClient({"bootstrap.servers": broker.servers, "log_level": 0})

    @asynccontextmanager
    async def bus(
        self,
        *groups: str,
        read_by: Mapping[str, tuple[Topic, ...]] = READ_BY,
        properties: Mapping[str, Any] | None = None,
        windows: Mapping[str, int] | None = None,
    ) -> AsyncIterator[KafkaBus]:
        """Open a bus that reads for these groups, and close it after the block."""
        reads = {group: read_by[group] for group in groups}
        bus = KafkaBus(self.address, reads, properties or {}, say=self.said.append, windows=windows)
        try:
            await bus.open()
            yield bus
        finally:
            await bus.close()

    @contextmanager
    def left_alone(self, group: str, count: int, *keeping: str) -> Iterator[Popen[bytes]]:
        """Run a process with a bus that receives `count` records, acknowledges all but `keeping`, and then waits.

        It is killed when the block ends, if not before.
        """
        command = [sys.executable, str(_HERE / "left_alone.py"), self.address.url, group, str(count), *keeping]
        path = os.pathsep.join([str(_HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        with Popen(command, stdout=PIPE, env={**os.environ, "PYTHONPATH": path}) as process:
            try:
                yield process
            finally:
                process.kill()

    def put(self, topic: Topic, *values: bytes | None, key: bytes | None = b"k", partition: int = 0) -> None:
        """Write records as anybody could."""
        told = {"enable.idempotence": True, "message.max.bytes": 16 << 20, "log_level": 0}
        producer = Producer({"bootstrap.servers": self.address.servers, **told})
        for value in values:
            producer.produce(self.address.topic(topic), value, key, partition)
        assert producer.flush(PATIENCE) == 0

    def committed(self, group: str, topic: Topic) -> dict[int, tuple[int, str]]:
        """Give what the group has committed, and its metadata, by partition, where it has."""
        places = [TopicPartition(self.address.topic(topic), partition) for partition in range(self._partitions)]
        asked = ConsumerGroupTopicPartitions(self.address.group(group), places)
        try:
            (future,) = self._admin.list_consumer_group_offsets([asked], request_timeout=PATIENCE).values()
            found = future.result().topic_partitions or []
        except KafkaException:
            return {}  # there is no such group yet
        return {each.partition: (each.offset, each.metadata or "") for each in found if each.offset >= 0}

    def commit(self, group: str, topic: Topic, *offsets: int) -> None:
        """Have the group's commits be these, one for each partition, with nothing said of what is beyond."""
        consumer = Consumer({"bootstrap.servers": self.address.servers, "group.id": self.address.group(group)})
        name = self.address.topic(topic)
        places = [TopicPartition(name, partition, offset) for partition, offset in enumerate(offsets)]
        consumer.commit(offsets=places, asynchronous=False)
        consumer.close()

    def cut(self, topic: Topic, partition: int, before: int) -> None:
        """Have the records of a partition that lie before an offset be gone, as they are when they are old."""
        place = TopicPartition(self.address.topic(topic), partition, before)
        for future in self._admin.delete_records([place]).values():
            future.result(PATIENCE)

    def unfinished(self, group: str, topic: Topic, end: int, partition: int = 0) -> list[int]:
        """Give the offsets before `end` that whoever takes the partition over is to be given."""
        offset, metadata = self.committed(group, topic).get(partition, (0, ""))
        acks = Acks(offset, metadata)
        return [each for each in range(offset, end) if acks.begin(each)]


async def received(bus: KafkaBus, group: str, count: int, *, within: float = PATIENCE) -> list[KafkaDelivery]:
    """Receive so many records, and have them out."""
    got: list[KafkaDelivery] = []
    await _each(bus, group, count, got.append, within)
    return got


async def finished(bus: KafkaBus, group: str, count: int, *, within: float = PATIENCE) -> list[KafkaDelivery]:
    """Receive so many records, and acknowledge each at once."""
    got: list[KafkaDelivery] = []

    def finish(delivery: KafkaDelivery) -> None:
        got.append(delivery)
        bus.acknowledge(delivery)

    await _each(bus, group, count, finish, within)
    return got


async def _each(bus: KafkaBus, group: str, count: int, do: Callable[[KafkaDelivery], None], within: float) -> None:
    done = 0
    try:
        async with asyncio.timeout(within):
            while done < count:
                if not (taken := bus.take(group, count - done)):
                    await bus.wait(group)
                for delivery in taken:
                    do(delivery)
                done += len(taken)
    except TimeoutError:
        raise TimeoutError(f"received {done} of {count} records of {group} in {within:g} s") from None


def ids(deliveries: list[KafkaDelivery]) -> list[str]:
    """Give the submissions that they are of."""
    return [delivery.event.message_id for delivery in deliveries]
