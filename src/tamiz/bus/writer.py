"""Writes to Kafka: batched, idempotent, and done only when the brokers have it."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from tamiz.bus.address import KafkaAddress
from tamiz.errors import BusError
from tamiz.messages import Event, Topic, topic_of
from tamiz.poison import LARGEST_MESSAGE, fitting

__all__ = ["KafkaWriter"]

_OVERHEAD: Final = 64 << 10
"""Bytes beside a record's value: its key, its headers, its batch."""
_PROPERTIES: Final = {
    "enable.idempotence": True,  # acks=all, retried for ever, in order, no record twice within a life of the producer
    "message.timeout.ms": 0,  # for as long as it takes: what waits is bounded by the records that are in work
    "linger.ms": 2,
    "batch.size": 1 << 20,
    "compression.type": "lz4",
    "message.max.bytes": LARGEST_MESSAGE + _OVERHEAD,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 128 << 10,
}
_FULL: Final = 0.005
"""Seconds until a full queue is tried again."""


class KafkaWriter:
    """A producer with a thread that takes its delivery reports."""

    def __init__(
        self, address: KafkaAddress, properties: Mapping[str, Any], delivered: Callable[[KafkaError | None], None]
    ) -> None:
        """`delivered` hears of each publication's end, in the thread."""
        self._topics = {topic: address.topic(topic) for topic in Topic}
        self._producer = Producer({**properties, **_PROPERTIES})
        self._delivered = delivered
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="tamiz-writer", daemon=True)
        self._thread.start()

    async def publish(self, events: Sequence[Event]) -> None:
        """Return once the brokers have all of the events, those of one key in their order.

        Waits for as long as no broker can take them. Raises `BusError` where none ever will.
        """
        if not events:
            return
        batch = _Batch(len(events), self._delivered)
        report, produce = batch.report, self._producer.produce
        for event in events:
            sent, data = fitting(event)
            topic, key = self._topics[topic_of(sent)], sent.cache_key.encode()
            while True:
                try:
                    produce(topic, data, key, on_delivery=report)
                except BufferError:
                    await asyncio.sleep(_FULL)
                except KafkaException as error:
                    raise _refused(error.args[0]) from None
                else:
                    break
        await batch.end

    def _poll(self) -> None:
        while not self._closed.is_set():
            self._producer.poll(0.1)

    def close(self, within: float) -> None:
        """Give what is under way so many seconds; what is not through then was not acknowledged either."""
        self._closed.set()
        self._thread.join()
        self._producer.flush(within)
        self._producer.purge()
        self._producer.flush(1)


class _Batch:
    """The delivery reports that one publication waits for."""

    def __init__(self, count: int, delivered: Callable[[KafkaError | None], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.end = self._loop.create_future()
        self._left = count
        self._delivered = delivered
        self._error: KafkaError | None = None

    def report(self, error: KafkaError | None, _: object) -> None:
        """Take a report, in the producer's thread."""
        self._error = self._error or error
        self._left -= 1
        if self._left == 0:
            self._delivered(self._error)
            try:
                self._loop.call_soon_threadsafe(self._finish)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

    def _finish(self) -> None:
        if self.end.done():  # cancelled
            return
        if self._error is None:
            self.end.set_result(None)
        else:
            self.end.set_exception(_refused(self._error))


def _refused(error: KafkaError) -> BusError:
    return BusError(
        f"Kafka does not take a record: {error.str()}. See that the topics are there and that tamiz may write to them "
        "(tamiz topics list); nothing is lost"
    )
