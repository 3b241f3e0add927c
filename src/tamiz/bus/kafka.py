"""The bus on Kafka: at least once, each record acknowledged after its effects have happened."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from tamiz.bus.address import KafkaAddress
from tamiz.bus.base import Delivery
from tamiz.bus.keyed import KeyedQueue
from tamiz.bus.reader import KafkaDelivery, KafkaReader
from tamiz.bus.writer import KafkaWriter
from tamiz.errors import BusError
from tamiz.messages import Event, Topic

__all__ = ["KafkaBus", "client_properties"]

_PATIENCE: Final = 10.0
"""Seconds that the brokers get to answer at the start."""
_WINDOW: Final = 4_000
"""Records of a group that are in work, or wait for it in this process."""
_DOZE: Final = 0.2
"""Seconds until it is looked again whether a reader is awake."""
_LOOK: Final = 1.0
"""Seconds after which brokers that went away are asked whether they are back, where nothing is to be read or sent."""
_DRAIN: Final = 10.0
"""Seconds that what was published gets to reach the brokers at the end."""


def client_properties(address: KafkaAddress, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Give the properties of every client: the user's, and what it takes to be calm while brokers are away."""
    return {
        "bootstrap.servers": address.servers,
        "client.id": "tamiz",
        "log_level": 0,  # librdkafka would write several lines a second to stderr; errors come by `error_cb`
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 2_000,
        "socket.connection.setup.timeout.ms": 5_000,
        "socket.timeout.ms": 20_000,  # a broker that hangs is noticed before a member's session ends
        **properties,
    }


class KafkaBus:
    """A member of the consumer groups of some stages, and a producer.

    `publish` returns when the brokers have the events, so whoever acknowledges after it loses nothing; after a crash,
    or where a partition changes hands, what was not acknowledged comes again, to this process or another one.
    """

    def __init__(
        self,
        address: KafkaAddress,
        groups: Mapping[str, Iterable[Topic]],
        properties: Mapping[str, Any],
        *,
        say: Callable[[str], None],
        windows: Mapping[str, int] | None = None,
    ) -> None:
        """Say what reads what: `groups` are the stages, `say` hears of brokers that go away and come back.

        `windows` is how many records a group may have in work at once, where that is not the usual number.
        """
        self.failure: Exception | None = None
        """Why nothing more comes, where that is so."""
        self._address = address
        self._groups = {group: tuple(topics) for group, topics in groups.items()}
        self._properties = client_properties(address, properties)
        self._say = say
        self._windows = windows or {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: KafkaWriter | None = None
        self._readers: dict[str, KafkaReader] = {}
        self._queues: dict[str, KeyedQueue[KafkaDelivery]] = {group: KeyedQueue() for group in groups}
        self._arrived = {group: asyncio.Event() for group in groups}
        self._burials: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._stopping = False
        self._away = False

    async def open(self) -> None:
        """Connect and join the groups. Raises `BusError` where the brokers do not answer or topics are missing."""
        self._loop = asyncio.get_running_loop()
        await self._loop.run_in_executor(None, self._check)
        told = {**self._properties, "error_cb": self._on_error}
        self._writer = KafkaWriter(self._address, told, delivered=self._on_answer, failed=self._fail)
        for group, topics in self._groups.items():
            self._readers[group] = KafkaReader(
                group,
                self._address.group(group),
                {self._address.topic(topic): topic for topic in topics},
                _consuming(told),
                window=self._windows.get(group, _WINDOW),
                deliver=self._on_deliveries,
                failed=self._on_failed,
                dropped=partial(self._call, self._purge, group),
                answers=self._on_answer,
                say=partial(self._call, self._say),
            )
        for reader in self._readers.values():
            reader.start()

    @property
    def opened(self) -> bool:
        """Whether it is connected."""
        return self._writer is not None

    async def publish(self, events: Sequence[Event]) -> None:
        """Return once the brokers have the events, those of one key in their order."""
        if self._writer is None:
            raise BusError("the bus is not open")
        await self._writer.publish(events)

    def receive(self, group: str) -> KafkaDelivery | None:
        """Give the group's next record, or `None` where none may be worked on right now."""
        return next(iter(self.take(group, 1)), None)

    def take(self, group: str, limit: int) -> list[KafkaDelivery]:
        """Give up to `limit` records that may be worked on now. Those of one key are in their order, and together.

        No record of a key is given while an earlier one of it is out.
        """
        taken: list[KafkaDelivery] = []
        queue = self._queues[group]
        if not self._readers[group].awake:
            asyncio.get_running_loop().call_later(_DOZE, self._arrived[group].set)
            return taken
        while not self._stopping and not taken and (found := queue.take(limit)):
            for delivery in found:
                if delivery.assigned.gone:
                    queue.done(delivery.event.cache_key)
                else:
                    delivery.assigned.out += 1
                    taken.append(delivery)
        return taken

    async def wait(self, group: str) -> None:
        """Return when records may have become available, or the bus stops. Raises what made it fail."""
        if self.failure is not None:
            raise self.failure
        await self._arrived[group].wait()
        self._arrived[group].clear()
        if self.failure is not None:
            raise self.failure

    def nudge(self, group: str) -> None:
        """Wake who waits for the group's records."""
        self._arrived[group].set()

    def acknowledge(self, delivery: Delivery) -> None:
        """Say that the delivery's effects have happened; it is committed within moments."""
        if not isinstance(delivery, KafkaDelivery):
            raise TypeError(f"{delivery!r} is not of this bus")
        self.acknowledge_all(delivery.group, (delivery,))

    def acknowledge_all(self, group: str, deliveries: Sequence[KafkaDelivery]) -> None:
        """Say that the effects of all of these have happened."""
        self._readers[group].finish(deliveries)
        queue = self._queues[group]
        for delivery in deliveries:
            # after `finish`: a reader that sees nothing out any more commits what is finished by then
            delivery.assigned.out -= 1
            queue.done(delivery.event.cache_key)
        if queue:
            self._arrived[group].set()

    def waiting(self, group: str) -> int:
        """Give how many records of the group this process has read and not yet given."""
        return len(self._queues[group])

    def stop(self) -> None:
        """Give no more records; what is out may still be acknowledged."""
        self._stopping = True
        self._wake()

    async def close(self) -> None:
        """Commit what was acknowledged and leave. What was not comes again, to whoever is next."""
        self.stop()
        tasks = [*self._burials, *([] if self._looking is None else [self._looking])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(None, reader.close) for reader in self._readers.values()))
        if self._writer is not None:
            await self._writer.close(_DRAIN if self.failure is None else 0.0)

    def _check(self) -> None:
        """See that the brokers answer and have the topics."""
        try:
            there = AdminClient(self._properties).list_topics(timeout=_PATIENCE).topics
        except KafkaException as error:
            raise BusError(
                f"no Kafka broker answers at {self._address.servers} ({error.args[0].str()}): see that it runs, and "
                "that --bus and the [kafka] settings are right"
            ) from None
        missing = [name for topic in Topic if (name := self._address.topic(topic)) not in there]
        if missing:
            raise BusError(
                f"Kafka at {self._address.servers} has no topic {', '.join(missing)}: make them with "
                f"`tamiz topics create --bus {self._address.url}`"
            )

    def _on_deliveries(self, deliveries: list[KafkaDelivery]) -> None:
        self._call(self._arrive, deliveries)

    def _arrive(self, deliveries: list[KafkaDelivery]) -> None:
        group = deliveries[0].group
        queue = self._queues[group]
        for delivery in deliveries:
            if delivery.poison:
                task = asyncio.create_task(self._bury(delivery))
                self._burials.add(task)
                task.add_done_callback(self._burials.discard)
            else:
                queue.put(delivery.event.cache_key, delivery)
        self._arrived[group].set()

    def _purge(self, group: str) -> None:
        """Throw away what was read of partitions that are gone."""
        self._queues[group].discard(lambda delivery: delivery.assigned.gone)

    async def _bury(self, delivery: KafkaDelivery) -> None:
        """Publish the dead letter of a record that cannot be read, and let its partition go on."""
        delivery.assigned.out += 1
        try:
            await self.publish((delivery.event,))
        except Exception as error:  # noqa: BLE001 - whoever waits for records raises it
            self._fail(error)
            return
        self._readers[delivery.group].finish((delivery,))
        delivery.assigned.out -= 1

    def _on_failed(self, error: Exception) -> None:
        if isinstance(error, KafkaException):
            error = BusError(
                f"Kafka at {self._address.servers} refuses: {error.args[0].str()}. See that tamiz may read its topics "
                "and be in its groups, and that the brokers are of version 4 or newer (older ones: group.protocol = "
                '"classic" in [kafka])'
            )
        self._call(self._fail, error)

    def _fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        self.stop()

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._on_failed(KafkaException(error))
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own codes begin so
            self._call(self._note, True, error.str())

    def _on_answer(self) -> None:
        if self._away:
            self._call(self._note, False, "")

    def _note(self, away: bool, why: str) -> None:  # noqa: FBT001 - called through the loop, by position
        if away != self._away:
            self._away = away
            where = self._address.servers
            self._say(f"Kafka at {where} does not answer ({why}); work waits" if away else f"Kafka at {where} answers")
            if away and not self._stopping and (self._looking is None or self._looking.done()):
                self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Find out that the brokers are back also where there is nothing to read or to send."""
        loop = asyncio.get_running_loop()
        while self._away and self._writer is not None:
            await asyncio.sleep(_LOOK)
            if await loop.run_in_executor(None, self._writer.answers, _LOOK):
                self._note(False, "")

    def _call(self, function: Callable[..., None], *args: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)

    def _wake(self) -> None:
        for arrived in self._arrived.values():
            arrived.set()


def _consuming(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Add how partitions are shared out: by range, so that a key's topics are with one member.

    KIP-848 moves only the partitions that change hands.
    """
    told = {"group.protocol": "consumer", **properties}
    if told["group.protocol"] == "consumer":
        return {"group.remote.assignor": "range", **told}
    return {"partition.assignment.strategy": "range", **told}
