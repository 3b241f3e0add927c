"""Reads a consumer group's share of its topics, in a thread that does nothing else and so is never late for the group.

What is read goes out to whoever works on it, and comes back in any order. The thread follows each partition with its
`Acks` and commits what is finished.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tamiz.bus.acks import Acks
from tamiz.bus.base import Delivery
from tamiz.bus.start import starts
from tamiz.errors import BusError, UnreadableMessage
from tamiz.messages import Record, Topic, decode
from tamiz.poison import TOO_LARGE, UNREADABLE, largest, unreadable

__all__ = ["Assigned", "KafkaDelivery", "KafkaReader"]

_AT_ONCE: Final = 500
_PATIENCE: Final = 0.05
"""Seconds that the thread waits for a record before it looks after the rest."""
_HOLD: Final = 0.5
"""Seconds without room until partitions are paused."""
_MOMENT: Final = 0.001
_COMMIT_EVERY: Final = 0.1
_DRAIN: Final = 3.0
"""Seconds that records in work get to finish when their partition is taken away."""
_GAP: Final = 5.0
"""Seconds without a turn of the thread after which it is not sure that the partitions are still this process's."""
_CLOSE: Final = 5.0
"""Seconds that leaving the group may take."""
_SPAN: Final = 50_000
"""Records of a partition from the first that is not finished to the last that was read."""
_BYTES: Final = 64 << 20
"""Bytes of records that were read and are not finished."""
_PROPERTIES: Final = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # where to start is found out, see `bus/start.py`
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 16 << 10,
    "fetch.queue.backoff.ms": 10,  # the usual second would be spent idle each time the queue was full
}


class Assigned:
    """A partition for as long as this process has it."""

    __slots__ = ("acks", "bytes", "committed", "gone", "out", "partition", "topic")

    def __init__(self, topic: str, partition: int, acks: Acks) -> None:
        self.topic = topic
        self.partition = partition
        self.acks = acks
        self.committed: tuple[int | None, str] = (acks.committable, acks.metadata)
        self.bytes = 0
        """Of the records that were begun and are not finished."""
        self.out = 0
        """Records in work; whoever works on them counts."""
        self.gone = False
        """Whether it was, or is just being, taken away: nothing more of it is to be begun."""


class KafkaDelivery(Delivery, frozen=True, gc=False):
    """A record of a partition."""

    assigned: Assigned
    size: int
    poison: bool = False
    """Whether the record could not be read: `event` is its dead letter, to be published in its place."""


class KafkaReader:
    """A member of a consumer group.

    At most `window` records are in work or wait for it: beyond that the partitions are paused, and one whose first
    unfinished record is too far behind. `deliver` gets records, in the order of their partitions, in the thread.
    """

    def __init__(
        self,
        group: str,
        name: str,
        topics: Mapping[str, Topic],
        properties: Mapping[str, Any],
        *,
        window: int,
        deliver: Callable[[list[KafkaDelivery]], None],
        failed: Callable[[Exception], None],
        dropped: Callable[[], None],
        answers: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        """Join as `name` for the stage `group`.

        In the thread, `dropped` hears that partitions were taken away, `answers` that the brokers answer, and `say`
        what cannot be mended.
        """
        self._group = group
        self._topics = topics
        self._window = window
        self._deliver = deliver
        self._failed = failed
        self._dropped = dropped
        self._answers = answers
        self._say = say
        self._all_at_once = properties.get("group.protocol") == "classic"  # a rebalance moves all partitions, or some
        self._with_metadata = True
        self._consumer = Consumer({**properties, **_PROPERTIES, "group.id": name, "on_commit": self._on_commit})
        self._assigned: dict[tuple[str, int], Assigned] = {}
        self._paused: set[tuple[str, int]] = set()
        self._finished: deque[KafkaDelivery] = deque()
        self._records = 0
        self._bytes = 0
        self._roomy_at = 0.0
        self._seen = time.monotonic()  # when the thread last came by
        self._sure = True
        self._committing = False
        self._commit_at = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"tamiz-{group}", daemon=True)

    def start(self) -> None:
        """Join the group."""
        self._thread.start()

    def finish(self, deliveries: Iterable[KafkaDelivery]) -> None:
        """Say, from any thread, that the effects of these have happened."""
        self._finished.extend(deliveries)

    @property
    def awake(self) -> bool:
        """Whether the partitions are this process's for sure; one that was stopped may have lost them unawares."""
        return self._sure and time.monotonic() - self._seen <= _GAP

    def close(self) -> None:
        """Commit what is finished and leave the group, if the brokers let it within a few seconds."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE)  # else it ends with the process, and what it did not commit comes again

    def _run(self) -> None:
        try:
            self._consumer.subscribe(
                list(self._topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
            while not self._closing.is_set():
                now = time.monotonic()
                self._sure &= now - self._seen <= _GAP
                self._seen = now
                self._read()
                self._settle()
                self._sure = self._sure or self._confirm()
                self._pace()
                self._commit()
            self._settle()
            self._commit_now(list(self._assigned.values()))
        except Exception as error:  # noqa: BLE001 - whoever waits for the records raises it
            self._failed(error)
        finally:
            if not self._closing.is_set():
                # what the client raises within a callback may be no exception at all, which nothing above catches
                self._failed(BusError(f"the consumer of {self._group} ended by itself. Start the worker again"))
            self._consumer.close()

    def _read(self) -> None:
        now = time.monotonic()
        if not self._full():
            self._roomy_at = now
        elif now < self._roomy_at + _HOLD:
            # a short while without a poll is cheaper than a pause, which throws away what was fetched
            time.sleep(_MOMENT)
            return
        first = self._consumer.poll(_PATIENCE)
        if first is None:
            return
        self._answers()
        taken = [self._take(first)]
        # `consume` waits for all of them or the end of its time, so only for what is there already
        taken += [self._take(message) for message in self._consumer.consume(_AT_ONCE, 0)]
        if deliveries := [delivery for delivery in taken if delivery is not None]:
            self._deliver(deliveries)

    def _take(self, message: Message) -> KafkaDelivery | None:
        error = message.error()
        if error is not None:
            if error.fatal() or error.code() in _HOPELESS:
                raise KafkaException(error)
            return None
        topic, partition, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
        assigned = self._assigned.get((topic, partition))
        if assigned is None or not assigned.acks.begin(offset):
            return None
        value = message.value() or b""
        size = len(value)
        self._records += 1
        self._bytes += size
        assigned.bytes += size
        kind, limit = TOO_LARGE, largest(self._topics[topic])
        why = f"the record has {size:,} bytes; {limit:,} are taken"
        if size <= limit:
            try:
                return KafkaDelivery(offset, self._group, decode(value), assigned, size)
            except UnreadableMessage as error:
                kind, why = UNREADABLE, str(error)
        record = Record(topic=topic, partition=partition, offset=offset, key=message.key(), size=size, value=value)
        letter = unreadable(record, why, time.time(), kind)
        return KafkaDelivery(offset, self._group, letter, assigned, size, poison=True)

    def _settle(self) -> None:
        while self._finished:
            delivery = self._finished.popleft()
            if self._assigned.get((delivery.assigned.topic, delivery.assigned.partition)) is delivery.assigned:
                delivery.assigned.acks.finish(delivery.offset)
                self._records -= 1
                self._bytes -= delivery.size
                delivery.assigned.bytes -= delivery.size

    def _pace(self) -> None:
        """Pause what is too far ahead, resume what is not any more; between the two there is a gap, for calm."""
        full = self._full() and time.monotonic() >= self._roomy_at + _HOLD
        roomy = self._records <= self._window // 2 and self._bytes <= _BYTES // 2
        pause, resume = [], []
        for place, assigned in self._assigned.items():
            span = assigned.acks.span
            if place not in self._paused:
                if full or span >= _SPAN:
                    pause.append(place)
            elif roomy and span <= _SPAN // 2:
                resume.append(place)
        if pause:
            self._consumer.pause([TopicPartition(*place) for place in pause])
            self._paused.update(pause)
        if resume:
            self._consumer.resume([TopicPartition(*place) for place in resume])
            self._paused.difference_update(resume)

    def _full(self) -> bool:
        return self._records >= self._window or self._bytes >= _BYTES

    def _commit(self) -> None:
        now = time.monotonic()
        if self._committing or now < self._commit_at:
            return
        self._commit_at = now + _COMMIT_EVERY
        if offsets := self._changed(self._assigned.values()):
            try:
                self._consumer.commit(offsets=offsets, asynchronous=True)
                self._committing = True
            except KafkaException:
                self._again(offsets)

    def _changed(self, partitions: Iterable[Assigned]) -> list[TopicPartition]:
        offsets = []
        for assigned in partitions:
            state = (assigned.acks.committable, assigned.acks.metadata if self._with_metadata else "")
            if state != assigned.committed and state[0] is not None:
                assigned.committed = state
                offsets.append(TopicPartition(assigned.topic, assigned.partition, state[0], metadata=state[1]))
        return offsets

    def _confirm(self) -> bool:
        """Tell whether the partitions are still this process's: the brokers take a commit from nobody else."""
        for assigned in self._assigned.values():
            assigned.committed = (None, "")
        if not (offsets := self._changed(self._assigned.values())):
            return True
        try:
            done = self._consumer.commit(offsets=offsets, asynchronous=False) or []
        except KafkaException:
            self._again(offsets)
            return False
        failed = [each for each in done if each.error is not None]
        self._again(failed)
        return not failed

    def _commit_now(self, partitions: Sequence[Assigned]) -> None:
        if offsets := self._changed(partitions):
            try:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            except KafkaException:
                return  # somebody else has them by now, and does again what this would have said

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self._committing = False
        failed = partitions if error is not None else [each for each in partitions if each.error is not None]
        if not failed:
            self._answers()
            return
        errors = [error, *(each.error for each in failed)]
        if any(each is not None and each.code() == KafkaError.OFFSET_METADATA_TOO_LARGE for each in errors):
            self._with_metadata = False  # brokers that take less than they usually do
        self._again(failed)

    def _again(self, partitions: Iterable[TopicPartition]) -> None:
        """Have the next commit say this again."""
        for each in partitions:
            assigned = self._assigned.get((each.topic, each.partition))
            if assigned is not None:
                assigned.committed = (None, "")

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._drop([self._assigned[each.topic, each.partition] for each in partitions if self._has(each)])
        found = starts(consumer, partitions, self._say)
        for place, acks in found:
            self._assigned[place.topic, place.partition] = Assigned(place.topic, place.partition, acks)
        places = [place for place, _ in found]
        if self._all_at_once:
            consumer.assign(places)
        else:
            consumer.incremental_assign(places)
        # the client remembers a pause for as long as it lives, also of partitions that were away meanwhile
        consumer.resume(places)

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Let what is in work finish, for a moment, and commit; what finishes later is dropped."""
        going = [self._assigned[each.topic, each.partition] for each in partitions if self._has(each)]
        for assigned in going:
            assigned.gone = True
        until = time.monotonic() + _DRAIN
        while any(assigned.out for assigned in going) and time.monotonic() < until and not self._closing.is_set():
            time.sleep(0.01)
        self._settle()
        self._commit_now(going)
        self._drop(going)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._drop([self._assigned[each.topic, each.partition] for each in partitions if self._has(each)])

    def _has(self, partition: TopicPartition) -> bool:
        return (partition.topic, partition.partition) in self._assigned

    def _drop(self, going: Sequence[Assigned]) -> None:
        for assigned in going:
            assigned.gone = True
            del self._assigned[assigned.topic, assigned.partition]
            self._paused.discard((assigned.topic, assigned.partition))
            self._records -= assigned.acks.in_flight
            self._bytes -= assigned.bytes
        if going:
            self._dropped()


_HOPELESS: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_ASSIGNOR,
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - librdkafka's own codes begin so
        KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001
    }
)
