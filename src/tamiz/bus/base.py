"""The bus as a seam: records, groups of readers, acknowledgement after the effect."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tamiz.messages import Event

__all__ = ["Bus", "Delivery"]


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One record for one group of readers. It comes again after a crash until it is acknowledged."""

    offset: int
    group: str
    event: Event


class Bus(Protocol):
    """Topics, and groups that each read all records of their topics.

    Records of one key reach a group in the order they were published.
    """

    async def publish(self, events: Sequence[Event]) -> None:
        """Add the events to their topics; they are durable with the next `commit`."""
        ...

    def receive(self, group: str) -> Delivery | None:
        """Give the group's next record, or `None` where there is none right now."""
        ...

    def acknowledge(self, delivery: Delivery) -> None:
        """Say that the delivery's effects have happened; with the next `commit` it never comes again."""
        ...

    def waiting(self, group: str) -> int:
        """Give how many records the group has still to receive."""
        ...
