"""What the host of a Kafka stage costs: records a second through a stage that passes them on, beside a bare loop.

Both read the same topic and write the same bytes, idempotently, with delivery reports awaited before offsets are
committed. `stage_host.py fill|host|bare|decoding SERVERS PREFIX COUNT` prints the rate and the CPU a record.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Sequence

import uvloop
from confluent_kafka import Consumer, Producer, TopicPartition

from tamiz.bus.address import KafkaAddress
from tamiz.bus.kafka import KafkaBus
from tamiz.bus.reader import KafkaDelivery
from tamiz.clock import SystemClock
from tamiz.effects import Effects
from tamiz.hosts.worker import Worker
from tamiz.messages import READ_BY, Event, LlmResponse, Topic, decode, encode

_AT_ONCE = 500


class _Pass:
    """Emits what it reads, to another topic."""

    reads = READ_BY["judge"]

    async def handle(self, event: Event) -> Effects:
        assert isinstance(event, LlmResponse)
        return Effects(emit=(event,))


class _NoStore:
    """A store that no stage here asks."""


class _Counting(KafkaBus):
    """Tells when the first record is given and the last one acknowledged."""

    def __init__(self, address: KafkaAddress, count: int) -> None:
        super().__init__(address, {"judge": _Pass.reads}, {}, say=print)
        self.began = 0.0
        self.ended = asyncio.Event()
        self._left = count

    def take(self, group: str, limit: int) -> list[KafkaDelivery]:
        taken = super().take(group, limit)
        if taken and not self.began:
            self.began = time.perf_counter()
        return taken

    def acknowledge_all(self, group: str, deliveries: Sequence[KafkaDelivery]) -> None:
        super().acknowledge_all(group, deliveries)
        self._left -= len(deliveries)
        if not self._left:
            self.ended.set()


def fill(servers: str, topic: str, count: int) -> None:
    """Write responses of about 900 bytes, all different."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 20, "compression.type": "lz4", "log_level": 0})
    for n in range(count):
        identity = f"{n:032x}"
        text = " ".join(f"{n * m % 9973}" for m in range(1, 60))
        event = LlmResponse(
            message_id=identity, trace_id=identity, question_id=str(n), title=f"What is number {n}?",
            best_answer=text[:120], cache_key=identity, created_at=1.5, llm_answer=text, model="m", latency_ms=50.0,
        )  # fmt: skip
        while True:
            try:
                producer.produce(topic, encode(event), identity.encode())
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def bare(address: KafkaAddress, count: int, *, decoding: bool) -> float:
    """Consume and produce, as little else as keeps every record."""
    common = {"bootstrap.servers": address.servers, "log_level": 0}
    told = {"auto.offset.reset": "earliest", "enable.auto.commit": False, "enable.auto.offset.store": False}
    group = {"group.id": address.group("decoding" if decoding else "bare"), "group.protocol": "consumer"}
    consumer = Consumer({**common, **told, **group})
    producer = Producer({**common, "enable.idempotence": True, "linger.ms": 2, "compression.type": "lz4"})
    consumer.subscribe([address.topic(Topic.LLM_RESPONSES)])
    failures: list[object] = []
    done, began = 0, 0.0

    def report(error: object, _: object) -> None:
        if error is not None:
            failures.append(error)

    while done < count:
        messages = consumer.consume(_AT_ONCE, 0.05)
        if not messages:
            continue
        began = began or time.perf_counter()
        for message in messages:
            value = message.value() or b""
            if decoding:
                value = encode(decode(value))
            producer.produce(address.topic(Topic.LLM_REQUESTS), value, message.key(), on_delivery=report)
        producer.flush()
        assert not failures
        ends = {message.partition(): message.offset() for message in messages}
        consumer.commit(
            offsets=[
                TopicPartition(address.topic(Topic.LLM_RESPONSES), partition or 0, (offset or 0) + 1)
                for partition, offset in ends.items()
            ],
            asynchronous=True,
        )
        done += len(messages)
    seconds = time.perf_counter() - began
    consumer.close()
    return count / seconds


async def host(address: KafkaAddress, count: int) -> float:
    """Let the worker do the same."""
    bus = _Counting(address, count)
    worker = Worker(
        bus=bus, store=_NoStore(), stages={"judge": _Pass()}, calling=None, fleet=None, concurrency=64,  # type: ignore[arg-type]
        clock=SystemClock(),
    )  # fmt: skip
    await bus.open()
    # what it passes on goes to another topic, or it would read it again
    topics = bus._writer._topics  # type: ignore[union-attr]  # noqa: SLF001 - no stage emits what it reads
    topics[LlmResponse] = address.topic(Topic.LLM_REQUESTS)
    running = asyncio.create_task(worker.run())
    await bus.ended.wait()
    seconds = time.perf_counter() - bus.began
    worker.stop()
    await running
    await bus.close()
    return count / seconds


def main() -> None:
    kind, servers, prefix, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    address = KafkaAddress(servers=servers, prefix=prefix)
    if kind == "fill":
        fill(servers, address.topic(Topic.LLM_RESPONSES), count)
        return
    if kind == "host":  # as `tamiz worker` does
        gc.freeze()
        gc.set_threshold(50_000)
    cpu = time.process_time()
    rate = uvloop.run(host(address, count)) if kind == "host" else bare(address, count, decoding=kind == "decoding")
    print(json.dumps({"rate": rate, "cpu_us": (time.process_time() - cpu) / count * 1e6}))


if __name__ == "__main__":
    main()
