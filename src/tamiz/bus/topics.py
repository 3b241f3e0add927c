"""The topics of a cluster: made with the right settings, listed, and how far behind their readers are."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType
from confluent_kafka.cimpl import NewTopic

from tamiz.bus.address import KafkaAddress
from tamiz.bus.kafka import client_properties
from tamiz.errors import BusError
from tamiz.messages import Topic
from tamiz.poison import LARGEST_MESSAGE

__all__ = ["TopicState", "Topics"]

_PATIENCE: Final = 10.0
_MOMENT: Final = 0.1
_PASSING: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._TRANSPORT,  # noqa: SLF001 - librdkafka's own codes begin so
    }
)
"""What is so for a moment, while partitions are new or change hands."""
_SETTINGS: Final = {
    "cleanup.policy": "delete",
    "retention.ms": str(7 * 24 * 3600 * 1000),
    "max.message.bytes": str(LARGEST_MESSAGE + (64 << 10)),
}


class TopicState(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as it is on the cluster."""

    name: str
    partitions: int
    replication: int
    problem: str | None = None
    """What is not as it should be."""


class Topics:
    """Asks and changes the cluster; raises `BusError` where the brokers do not answer, or refuse."""

    def __init__(self, address: KafkaAddress, properties: Mapping[str, Any]) -> None:
        self._address = address
        self._admin = AdminClient(client_properties(address, properties))

    def create(self, partitions: int, replication: int) -> list[str]:
        """Make the topics that are not there; give their names. Those that are there stay as they are.

        Raises `BusError` where one that is there has another number of partitions: the keys of the topics would no
        longer meet in the same partition.
        """
        there = self._there()
        names = [self._address.topic(topic) for topic in Topic]
        differing = {name: there[name][0] for name in names if name in there and there[name][0] != partitions}
        if differing:
            told = ", ".join(f"{name} has {count}" for name, count in differing.items())
            raise BusError(
                f"topics are there with another number of partitions than {partitions}: {told}. All have to have the "
                "same number: say --partitions with theirs, or use another ?prefix=NAME in --bus"
            )
        missing = [
            NewTopic(name, num_partitions=partitions, replication_factor=replication, config=_SETTINGS)
            for name in names
            if name not in there
        ]
        made = []
        for name, future in self._admin.create_topics(missing, request_timeout=_PATIENCE).items() if missing else ():
            try:
                future.result()
                made.append(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._refused(error) from None
        return made

    def states(self) -> list[TopicState]:
        """Give the topics of the flow that are there, and those that are missing, with no partition."""
        there = self._there()
        names = [self._address.topic(topic) for topic in Topic]
        known = [there[name][0] for name in names if name in there]
        usual = max(set(known), key=known.count, default=0)
        largest = self._largest([name for name in names if name in there])
        return [self._state(name, there.get(name), usual, largest) for name in names]

    def lag(self, groups: Mapping[str, Iterable[Topic]]) -> dict[str, dict[str, int]]:
        """Give, by stage and topic, how many records its readers have not finished. One that never read has none."""
        there = self._there()
        lags: dict[str, dict[str, int]] = {}
        for group, topics in groups.items():
            places = [
                TopicPartition(name, partition)
                for topic in topics
                if (name := self._address.topic(topic)) in there
                for partition in range(there[name][0])
            ]
            lags[group] = self._lag(self._address.group(group), places)
        return lags

    def counts(self) -> dict[str, int]:
        """Give, by topic, how many records were ever written to it."""
        there = self._there()
        places = [
            TopicPartition(name, partition)
            for topic in Topic
            if (name := self._address.topic(topic)) in there
            for partition in range(there[name][0])
        ]
        ends = self._offsets(places, OffsetSpec.latest())
        counts: dict[str, int] = {}
        for (name, _), end in ends.items():
            topic = name.removeprefix(self._address.prefix)
            counts[topic] = counts.get(topic, 0) + end
        return counts

    def _state(self, name: str, found: tuple[int, int] | None, usual: int, largest: Mapping[str, int]) -> TopicState:
        if found is None:
            return TopicState(name=name, partitions=0, replication=0, problem="is missing: tamiz topics create")
        problem = None
        if found[0] != usual:
            problem = f"has {found[0]} partitions where the others have {usual}"
        elif largest.get(name, LARGEST_MESSAGE) < LARGEST_MESSAGE:
            problem = f"takes records of {largest[name]:,} bytes only: set max.message.bytes to {LARGEST_MESSAGE:,}"
        return TopicState(name=name, partitions=found[0], replication=found[1], problem=problem)

    def _there(self) -> dict[str, tuple[int, int]]:
        """Give the partitions and the replicas of each topic."""
        try:
            topics = self._admin.list_topics(timeout=_PATIENCE).topics
        except KafkaException as error:
            raise self._refused(error) from None
        return {
            name: (len(topic.partitions), min((len(each.replicas) for each in topic.partitions.values()), default=0))
            for name, topic in topics.items()
        }

    def _largest(self, names: Iterable[str]) -> dict[str, int]:
        asked = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        if not asked:
            return {}
        try:
            found = self._admin.describe_configs(asked, request_timeout=_PATIENCE)
            return {each.name: int(future.result()["max.message.bytes"].value) for each, future in found.items()}
        except KafkaException:
            return {}  # who may not look at settings may still use the topics

    def _lag(self, group: str, places: list[TopicPartition]) -> dict[str, int]:
        if not places:
            return {}
        try:
            asked = ConsumerGroupTopicPartitions(group, places)
            (future,) = self._admin.list_consumer_group_offsets([asked], request_timeout=_PATIENCE).values()
            committed = {(each.topic, each.partition): each.offset for each in future.result().topic_partitions or ()}
        except KafkaException as error:
            if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                raise self._refused(error) from None
            committed = {}
        ends = self._offsets(places, OffsetSpec.latest())
        begins = self._offsets(places, OffsetSpec.earliest())
        lag: dict[str, int] = {}
        for (name, partition), end in ends.items():
            done = committed.get((name, partition), -1)
            topic = name.removeprefix(self._address.prefix)
            lag[topic] = lag.get(topic, 0) + max(end - (done if done >= 0 else begins[name, partition]), 0)
        return lag

    def _offsets(self, places: list[TopicPartition], which: OffsetSpec) -> dict[tuple[str, int], int]:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                found = self._admin.list_offsets(dict.fromkeys(places, which), request_timeout=_PATIENCE)
                return {(place.topic, place.partition): future.result().offset for place, future in found.items()}
            except KafkaException as error:
                if error.args[0].code() not in _PASSING or time.monotonic() > until:
                    raise self._refused(error) from None
                time.sleep(_MOMENT)

    def _refused(self, error: KafkaException) -> BusError:
        return BusError(
            f"Kafka at {self._address.servers} does not do it: {error.args[0].str()}. See that it runs, and that --bus "
            "and the [kafka] settings are right"
        )
