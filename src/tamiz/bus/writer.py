"""Writes to Kafka: batched, idempotent, and done only when the brokers have it."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from tamiz.bus.address import KafkaAddress
from tamiz.errors import BusError
from tamiz.messages import TOPIC_OF, Event
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
_SOON: Final = 0.001
_LATE: Final = 0.01
"""Seconds until reports are looked for again: after some came, and at most."""
_IDLE: Final = 0.5
_FULL: Final = 0.005
"""Seconds until a full queue is tried again."""


class KafkaWriter:
    """A producer whose delivery reports are taken on the event loop.

    A thread of its own for them would fight for the interpreter at each single report.
    """

    def __init__(
        self,
        address: KafkaAddress,
        properties: Mapping[str, Any],
        *,
        delivered: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Start on the running loop; `delivered` hears that brokers took a publication, `failed` why none will."""
        self._topics = {kind: address.topic(topic) for kind, topic in TOPIC_OF.items()}
        self._producer = Producer({**properties, **_PROPERTIES})
        self._delivered = delivered
        self._failed = failed
        self._sent = asyncio.Event()
        self._serving = asyncio.create_task(self._serve())

    async def publish(self, events: Sequence[Event]) -> None:
        """Return once the brokers have all of the events, those of one key in their order.

        Waits for as long as no broker can take them. Raises `BusError` where none ever will.
        """
        if not events:
            return
        batch = _Batch(len(events), self._delivered)
        topics, report, produce = self._topics, batch.report, self._producer.produce
        for event in events:
            sent, data = fitting(event)
            topic, key = topics[type(sent)], sent.cache_key.encode()
            while True:
                try:
                    produce(topic, data, key, on_delivery=report)
                except BufferError:
                    self._sent.set()
                    await asyncio.sleep(_FULL)
                except KafkaException as error:
                    raise _refused(error.args[0]) from None
                else:
                    break
        self._sent.set()
        await batch.end

    def answers(self, within: float) -> bool:
        """Ask the brokers, from any thread, whether they are there; `within` is in seconds."""
        try:
            return bool(self._producer.list_topics(timeout=within).brokers)
        except KafkaException:
            return False

    async def _serve(self) -> None:
        """Take reports soon while any are to come, and now and then what else the client has to say."""
        wait = _SOON
        try:
            while True:
                if not len(self._producer):
                    await self._pause()
                wait = _SOON if self._producer.poll(0) else min(2 * wait, _LATE)
                await asyncio.sleep(wait)
        except Exception as error:  # noqa: BLE001 - without it no publication would ever end
            self._failed(error)

    async def _pause(self) -> None:
        self._sent.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_IDLE):
                await self._sent.wait()

    async def close(self, within: float) -> None:
        """Give what is under way so many seconds; what is not through then was not acknowledged either."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        while len(self._producer) and loop.time() < until:  # noqa: ASYNC110 - the client tells nobody
            await asyncio.sleep(_LATE)
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)
        self._producer.purge()
        self._producer.flush(1)


class _Batch:
    """The delivery reports that one publication waits for."""

    def __init__(self, count: int, delivered: Callable[[], None]) -> None:
        self.end = asyncio.get_running_loop().create_future()
        self._left = count
        self._delivered = delivered
        self._error: KafkaError | None = None

    def report(self, error: KafkaError | None, _: object) -> None:
        """Take a report."""
        self._left -= 1
        if error is not None:
            self._error = self._error or error
        if self._left or self.end.done():  # the latter where whoever waited was cancelled
            return
        if self._error is None:
            self._delivered()
            self.end.set_result(None)
        else:
            self.end.set_exception(_refused(self._error))


def _refused(error: KafkaError) -> BusError:
    return BusError(
        f"Kafka does not take a record: {error.str()}. See that the topics are there and that tamiz may write to them "
        "(tamiz topics list); nothing is lost"
    )
