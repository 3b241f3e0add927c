"""The embedded bus: a durable log in the state file."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tamiz.bus.base import Delivery
from tamiz.errors import StateError, UnreadableMessage
from tamiz.messages import Event, Topic, decode, encode, topic_of
from tamiz.statefile import StateFile

__all__ = ["SqliteBus"]

_BIT: Final = {group: 1 << n for n, group in enumerate(("intake", "generate", "retry", "judge", "persist"))}
"""A group's bit in a record's `pending` set. Part of the file's format: append only."""


class SqliteBus:
    """A log whose publications and acknowledgements become durable together, in the state file's next commit.

    A record that is published and acknowledged by all its groups within one commit never touches the disk; one that
    all have acknowledged is dropped from it. What was not acknowledged comes again on a new bus on the same file.
    """

    def __init__(self, state: StateFile, groups: Mapping[str, Iterable[Topic]]) -> None:
        """Take up what the file still holds.

        Raises `StateError` where a record cannot be read (a newer tamiz wrote it); the file is left as it was.
        """
        self._state = state
        self._queues: dict[str, deque[int]] = {group: deque() for group in groups}
        self._readers: dict[Topic, list[str]] = {
            topic: [group for group, topics in groups.items() if topic in topics] for topic in Topic
        }
        self._mask = {topic: sum(_BIT[group] for group in readers) for topic, readers in self._readers.items()}
        self._values: dict[int, bytes] = {}
        self._pending: dict[int, int] = {}
        self._fresh: dict[int, tuple[str, str]] = {}
        self._changed: set[int] = set()
        self._finished: list[tuple[int]] = []
        self._last = 0
        self._load()
        state.before_commit(self._flush)

    async def publish(self, events: Sequence[Event]) -> None:
        """Add the events to their topics."""
        for event in events:
            topic = topic_of(event)
            self._last += 1
            self._fresh[self._last] = (topic, event.cache_key)
            self._values[self._last] = encode(event)
            self._pending[self._last] = self._mask[topic]
            for group in self._readers[topic]:
                self._queues[group].append(self._last)

    def receive(self, group: str) -> Delivery | None:
        """Give the group's next record, decoded from its bytes."""
        queue = self._queues[group]
        if not queue:
            return None
        offset = queue.popleft()
        return Delivery(offset, group, decode(self._values[offset]))

    def acknowledge(self, delivery: Delivery) -> None:
        """Take the group off the record's pending set; the last one out drops the record."""
        offset = delivery.offset
        left = self._pending[offset] & ~_BIT[delivery.group]
        if left:
            self._pending[offset] = left
            if offset not in self._fresh:
                self._changed.add(offset)
            return
        del self._pending[offset], self._values[offset]
        if self._fresh.pop(offset, None) is None:
            self._changed.discard(offset)
            self._finished.append((offset,))

    def waiting(self, group: str) -> int:
        """Give how many records the group has still to receive."""
        return len(self._queues[group])

    @property
    def open(self) -> int:
        """How many records somebody has still to acknowledge."""
        return len(self._pending)

    def _flush(self) -> None:
        if self._fresh:
            self._state.execute_many(
                "INSERT INTO log VALUES (?, ?, ?, ?, ?)",
                [(n, topic, key, self._pending[n], self._values[n]) for n, (topic, key) in self._fresh.items()],
            )
            self._fresh.clear()
        if self._changed:
            self._state.execute_many(
                "UPDATE log SET pending = ? WHERE seq = ?", [(self._pending[n], n) for n in self._changed]
            )
            self._changed.clear()
        if self._finished:
            self._state.execute_many("DELETE FROM log WHERE seq = ?", self._finished)
            self._finished.clear()

    def _load(self) -> None:
        rows = self._state.execute("SELECT seq, topic, pending, value FROM log ORDER BY seq")
        for offset, topic, pending, value in rows:
            try:
                decode(value)
            except UnreadableMessage as error:
                raise StateError(
                    f"record {offset} of {topic} in {self._state.path} is {error}. Nothing was changed"
                ) from error
            self._last = offset
            self._values[offset] = value
            self._pending[offset] = pending
            for group in self._readers[Topic(topic)]:
                if pending & _BIT[group]:
                    self._queues[group].append(offset)
