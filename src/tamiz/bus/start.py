"""Where to read on when a partition is assigned: after what was committed, and never past records that nobody read."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tamiz.bus.acks import Acks

__all__ = ["starts"]

T = TypeVar("T")

_PATIENCE: Final = 10.0
_TRIES_FOR: Final = 30.0
"""Seconds that brokers may take to know what they are asked for."""
_MOMENT: Final = 0.2


def starts(
    consumer: Consumer, partitions: Sequence[TopicPartition], say: Callable[[str], None]
) -> list[tuple[TopicPartition, Acks]]:
    """Give for each partition the offset to start from, and what is known to be finished beyond it.

    What cannot be as it should is told, for it cannot be mended here: records that are gone before anybody read them,
    or a commit that is ahead of the log, which has lost its end. Raises `KafkaException` where the brokers do not tell.
    """
    found = []
    for each in _patiently(lambda: consumer.committed(list(partitions), timeout=_PATIENCE)):
        place = TopicPartition(each.topic, each.partition)
        low, high = _patiently(partial(consumer.get_watermark_offsets, place, timeout=_PATIENCE))
        acks = Acks(each.offset, each.metadata) if low <= each.offset <= high else None
        if acks is None:
            acks = Acks(high if each.offset > high else low)
            if each.offset > high:
                why = f"ends at {high}, before {each.offset}, which is committed: Kafka has lost the end of it"
            elif each.offset >= 0:
                why = f"begins at {low}: {low - each.offset} records before that are gone and were not finished"
            else:
                why = ""
            if why:
                say(f"{each.topic}[{each.partition}] {why}. `tamiz run --resubmit` asks again what is lost")
        place.offset = acks.committable or 0
        found.append((place, acks))
    return found


def _patiently(ask: Callable[[], T]) -> T:
    """Ask until the brokers tell: where partitions are new or change hands, it takes them a moment to know."""
    until = time.monotonic() + _TRIES_FOR
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > until:
                raise  # from Python: what the client itself raises in a callback, `poll` gives as no exception at all
            time.sleep(_MOMENT)
