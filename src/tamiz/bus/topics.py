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
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError._TRANSPORT,  # noqa: SLF001 - librdkafka's own codes begin so
    }
)
"""What is so for a moment, while partitions and groups are new or change hands."""
_LARGEST: Final = LARGEST_MESSAGE + (64 << 10)
"""Bytes of a batch with one record, which has a key and headers beside its value."""
_SETTINGS: Final = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",  # what is not finished must never go; `trim` drops what is
    "max.message.bytes": str(_LARGEST),
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
        self.address = address
        self._admin = AdminClient(client_properties(address, properties))

    def create(self, partitions: int, replication: int) -> list[str]:
        """Make the topics that are not there; give their names. Those that are there stay as they are.

        Returns when the brokers tell of all of them, so that whoever looks next finds them.
        Raises `BusError` where one that is there has another number of partitions: the keys of the topics would no
        longer meet in the same partition.
        """
        there = self._there()
        names = [self.address.topic(topic) for topic in Topic]
        differing = {name: there[name][0] for name in names if name in there and there[name][0] != partitions}
        if differing:
            told = ", ".join(f"{name} has {count}" for name, count in differing.items())
            raise BusError(
                f"topics are there with another number of partitions than {partitions}: {told}. All have to have the "
                "same number: say --partitions with theirs, or use another ?prefix=NAME in --bus"
            )
        # of several copies two have a record before it is acknowledged, or one that is left alone could lose it
        settings = {**_SETTINGS, "min.insync.replicas": "2" if replication > 2 else "1"}  # noqa: PLR2004
        missing = [
            NewTopic(name, num_partitions=partitions, replication_factor=replication, config=settings)
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
        until = time.monotonic() + _PATIENCE
        while not self._there().keys() >= {*names} and time.monotonic() < until:
            time.sleep(_MOMENT)
        return made

    def states(self) -> list[TopicState]:
        """Give the topics of the flow that are there, and those that are missing, with no partition."""
        there = self._there()
        names = [self.address.topic(topic) for topic in Topic]
        known = [there[name][0] for name in names if name in there]
        usual = max(set(known), key=known.count, default=0)
        largest = self._largest([name for name in names if name in there])
        return [self._state(name, there.get(name), usual, largest) for name in names]

    def lag(self, groups: Mapping[str, Iterable[Topic]]) -> dict[str, dict[str, int]]:
        """Give, by stage and topic, how many records its readers have not finished. One that never read has none."""
        there = self._there()
        lags: dict[str, dict[str, int]] = {}
        for group, topics in groups.items():
            places = self._places(there, topics)
            lags[group] = self._lag(self.address.group(group), places)
        return lags

    def trim(self, groups: Mapping[str, Iterable[Topic]], keep: float) -> int:
        """Have the brokers drop records that all these stages have finished, older than `keep` seconds; tell how many.

        Nothing goes of a topic that a stage has yet to begin with.
        """
        there = self._there()
        finished: dict[tuple[str, int], int] = {}
        for group, topics in groups.items():
            places = self._places(there, topics)
            for place, offset in self._committed(self.address.group(group), places).items():
                finished[place] = min(offset, finished.get(place, offset))
        places = [TopicPartition(*place) for place, offset in finished.items() if offset > 0]
        begins, ends = self._offsets(places, OffsetSpec.earliest()), self._offsets(places, OffsetSpec.latest())
        young = self._offsets(places, OffsetSpec.for_timestamp(int((time.time() - keep) * 1000)))
        upto = {place: min(finished[place], young[place] if young[place] >= 0 else ends[place]) for place in begins}
        goes = [TopicPartition(*place, offset) for place, offset in upto.items() if offset > begins[place]]
        if not goes:
            return 0
        try:
            for future in self._admin.delete_records(goes, request_timeout=_PATIENCE).values():
                future.result()
        except KafkaException as error:
            raise self._refused(error) from None
        return sum(each.offset - begins[each.topic, each.partition] for each in goes)

    def counts(self) -> dict[str, int]:
        """Give, by topic, how many records were ever written to it."""
        there = self._there()
        places = self._places(there, Topic)
        ends = self._offsets(places, OffsetSpec.latest())
        counts: dict[str, int] = {}
        for (name, _), end in ends.items():
            topic = name.removeprefix(self.address.prefix)
            counts[topic] = counts.get(topic, 0) + end
        return counts

    def _state(self, name: str, found: tuple[int, int] | None, usual: int, largest: Mapping[str, int]) -> TopicState:
        if found is None:
            return TopicState(name=name, partitions=0, replication=0, problem="is missing: tamiz topics create")
        problem = None
        if found[0] != usual:
            problem = f"has {found[0]} partitions where the others have {usual}"
        elif largest.get(name, _LARGEST) < _LARGEST:
            problem = f"takes records of {largest[name]:,} bytes only: set max.message.bytes to {_LARGEST}"
        return TopicState(name=name, partitions=found[0], replication=found[1], problem=problem)

    def _places(self, there: Mapping[str, tuple[int, int]], topics: Iterable[Topic]) -> list[TopicPartition]:
        """Give the partitions of those of the topics that are there."""
        names = [name for topic in topics if (name := self.address.topic(topic)) in there]
        return [TopicPartition(name, partition) for name in names for partition in range(there[name][0])]

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
        committed = self._committed(group, places)
        ends = self._offsets(places, OffsetSpec.latest())
        begins = self._offsets(places, OffsetSpec.earliest())
        lag: dict[str, int] = {}
        for (name, partition), end in ends.items():
            done = committed[name, partition]
            topic = name.removeprefix(self.address.prefix)
            lag[topic] = lag.get(topic, 0) + max(end - (done if done >= 0 else begins[name, partition]), 0)
        return lag

    def _committed(self, group: str, places: list[TopicPartition]) -> dict[tuple[str, int], int]:
        """Give the committed offsets of a group, -1 where there is none."""
        until = time.monotonic() + _PATIENCE
        none = {(place.topic, place.partition): -1 for place in places}
        while places:
            try:
                asked = ConsumerGroupTopicPartitions(group, places)
                (future,) = self._admin.list_consumer_group_offsets([asked], request_timeout=_PATIENCE).values()
                found = future.result().topic_partitions or ()
                return none | {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}
            except KafkaException as error:
                code = error.args[0].code()
                if code == KafkaError.GROUP_ID_NOT_FOUND:
                    break
                if code not in _PASSING or time.monotonic() > until:
                    raise self._refused(error) from None
                time.sleep(_MOMENT)
        return none

    def _offsets(self, places: list[TopicPartition], which: OffsetSpec) -> dict[tuple[str, int], int]:
        until = time.monotonic() + _PATIENCE
        while places:
            try:
                found = self._admin.list_offsets(dict.fromkeys(places, which), request_timeout=_PATIENCE)
                return {(place.topic, place.partition): future.result().offset for place, future in found.items()}
            except KafkaException as error:
                if error.args[0].code() not in _PASSING or time.monotonic() > until:
                    raise self._refused(error) from None
                time.sleep(_MOMENT)
        return {}

    def _refused(self, error: KafkaException) -> BusError:
        return BusError(
            f"Kafka at {self.address.servers} does not do it: {error.args[0].str()}. See that it runs, and that --bus "
            "and the [kafka] settings are right"
        )
