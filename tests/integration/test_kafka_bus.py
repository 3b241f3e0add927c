"""The bus on a real broker: what it guarantees, also when processes are killed and brokers go away."""

import asyncio
import base64
import random
from collections import Counter
from functools import partial
from typing import Final

import msgspec
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cluster.broker import Broker
from cluster.ports import port
from on_kafka import OnKafka, finished, ids, received
from strategies import asked, dead, failed, regeneration, requested, responded, validated
from tamiz.bus.address import KafkaAddress
from tamiz.bus.kafka import KafkaBus
from tamiz.bus.reader import KafkaDelivery
from tamiz.bus.topics import Topics
from tamiz.errors import BusError
from tamiz.messages import READ_BY, DeadLetter, Event, Record, Topic, encode, topic_of
from tamiz.poison import LARGEST_MESSAGE, LARGEST_RECORD, TOO_LARGE, UNREADABLE
from waiting import PATIENCE, until, until_seen, wait_until

pytestmark = pytest.mark.xdist_group("cluster")

MAKERS: Final = (asked, requested, responded, failed, regeneration, validated, dead)
AT_ONCE: Final = 501
"""Records that a reader takes in one go."""


@pytest.fixture
def on(broker: Broker, prefix: str) -> OnKafka:
    return OnKafka(broker, prefix)


@pytest.fixture
def on_four(broker: Broker, prefix: str) -> OnKafka:
    return OnKafka(broker, prefix, partitions=4)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a bus that is closed, or loses a partition, not wait for what is out."""
    monkeypatch.setattr("tamiz.bus.reader._DRAIN", 0.1)


def questions(count: int, name: str = "m") -> list[Event]:
    """Make questions of which no two have the same key."""
    return [asked(f"{name}{n}", f"key-{name}{n}") for n in range(count)]


async def settled(on: OnKafka, group: str, topic: Topic, end: int, *unfinished: int) -> None:
    """Wait until what is committed of a partition says that exactly these offsets are not finished."""
    await until_seen(
        lambda: on.unfinished(group, topic, end), [*unfinished].__eq__, f"the commit of all but {unfinished}"
    )


async def test_each_group_gets_each_record_once_and_those_of_a_key_in_order(on_four: OnKafka) -> None:
    """Over any number of publications and partitions, whatever other groups do."""
    events = [MAKERS[n % 7](message_id=f"m{n}", cache_key=f"k{n % 11}") for n in range(770)]
    async with on_four.bus(*READ_BY) as bus:
        for start in range(0, len(events), 50):
            await bus.publish(events[start : start + 50])
        wanted = {group: [each for each in events if topic_of(each) in topics] for group, topics in READ_BY.items()}
        got = await asyncio.gather(*(finished(bus, group, len(wanted[group])) for group in READ_BY))
    for group, deliveries in zip(READ_BY, got, strict=True):
        assert {delivery.group for delivery in deliveries} == {group}
        found = [delivery.event for delivery in deliveries]
        assert Counter(ids(deliveries)) == Counter(each.message_id for each in wanted[group])
        for topic in READ_BY[group]:
            for key in {each.cache_key for each in events}:
                assert _of(found, topic, key) == _of(wanted[group], topic, key)


def _of(events: list[Event], topic: Topic, key: str) -> list[Event]:
    return [each for each in events if topic_of(each) is topic and each.cache_key == key]


@pytest.mark.usefixtures("hasty")
async def test_after_a_close_exactly_what_was_not_acknowledged_comes_again(on: OnKafka) -> None:
    """Never received, received, and that with later ones acknowledged; in their order, and nothing else."""
    async with on.bus("intake", windows={"intake": 1}) as bus:
        await bus.publish(questions(8))
        out = await received(bus, "intake", 6)
        for number in (5, 0, 3, 2):
            bus.acknowledge(out[number])
    async with on.bus("intake") as bus:
        await bus.publish([asked("last")])
        assert ids(await finished(bus, "intake", 5)) == ["m1", "m4", "m6", "m7", "last"]
    async with on.bus("intake") as bus:
        await bus.publish([asked("new")])
        assert ids(await received(bus, "intake", 1)) == ["new"]


async def test_a_record_that_is_never_finished_costs_only_itself(on: OnKafka) -> None:
    """Thousands behind it are finished meanwhile; after kill -9 it alone comes again, with what was never received."""
    kept = (0, 700, 2999)
    async with on.bus() as outside:
        await outside.publish(questions(3000))
        with on.left_alone("intake", 3000, *(f"m{n}" for n in kept)) as process:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == b"waits\n"
            await settled(on, "intake", Topic.QUESTIONS_IN, 3000, *kept)
            assert on.committed("intake", Topic.QUESTIONS_IN)[0][0] == 0, "the prefix ends at the first of them"
            await outside.publish(questions(5, "late"))
    async with on.bus("intake") as heir:
        await heir.publish([asked("last")])
        got = await finished(heir, "intake", 9)
        assert ids(got) == ["m0", "m700", "m2999", "late0", "late1", "late2", "late3", "late4", "last"]
        await settled(on, "intake", Topic.QUESTIONS_IN, 3006)
    assert on.committed("intake", Topic.QUESTIONS_IN) == {0: (3006, "")}


async def test_no_record_of_a_key_is_given_while_an_earlier_one_is_out(on: OnKafka) -> None:
    """Not of another topic either; other keys go on, and the next one comes as soon as the one that is out is done."""
    async with on.bus("intake") as bus:
        await bus.publish([asked("a1", "a"), asked("a2", "a"), asked("b1", "b"), asked("a3", "a")])
        await until(lambda: bus.waiting("intake") == 4, "all to be read")
        a1, b1 = bus.receive("intake"), bus.receive("intake")
        assert a1 is not None
        assert b1 is not None
        assert ids([a1, b1]) == ["a1", "b1"]
        await bus.publish([validated("a4", "a"), asked("c1", "c")])
        assert ids(await received(bus, "intake", 1)) == ["c1"]
        await until(lambda: bus.waiting("intake") == 3, "the other one to be read")
        assert bus.take("intake", 10) == []
        bus.acknowledge(b1)
        assert bus.take("intake", 10) == []
        bus.acknowledge(a1)
        run = bus.take("intake", 2)
        assert ids(run) == ["a2", "a3"], "those of a key may come together"
        bus.acknowledge(run[1])
        assert bus.take("intake", 10) == [], "until all of them are done"
        bus.acknowledge(run[0])
        assert ids(await finished(bus, "intake", 1)) == ["a4"]


async def test_no_more_is_read_than_may_be_in_work(on: OnKafka) -> None:
    """With nobody to acknowledge, reading stops a batch beyond the window; with room again it goes on, to the end."""
    window, most = 50, 0
    async with on.bus("intake", windows={"intake": window}) as bus:
        await bus.publish(questions(2500))
        reader = bus._readers["intake"]
        await until(lambda: reader._paused, "the partition to be paused")
        read = bus.waiting("intake")
        assert window <= read < window + 2 * AT_ONCE, "one batch more may come while it makes up its mind"
        got: list[KafkaDelivery] = []
        while len(got) < 2500:
            most = max(most, bus.waiting("intake"))
            got += await finished(bus, "intake", 1)
        assert ids(got) == [f"m{n}" for n in range(2500)]
        assert read <= most < window + 2 * AT_ONCE


async def test_a_partition_that_is_too_far_ahead_waits_and_others_go_on(
    broker: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what a commit has to say of it stays short; it goes on when its oldest record is done."""
    monkeypatch.setattr("tamiz.bus.reader._SPAN", 1000)
    on = OnKafka(broker, prefix, partitions=2)
    async with on.bus("intake") as bus:
        on.put(Topic.QUESTIONS_IN, *map(encode, questions(2500, "a")), partition=0)
        (oldest,) = await received(bus, "intake", 1)
        on.put(Topic.QUESTIONS_IN, *map(encode, questions(2500, "b")), partition=1)
        got: list[str] = []
        while sum(each.startswith("b") for each in got) < 2500:
            got += ids(await finished(bus, "intake", 1))
        await until(lambda: bus._readers["intake"]._paused, "the partition to be paused")
        assert bus._readers["intake"]._paused == {(oldest.assigned.topic, 0)}
        assert oldest.assigned.acks.span < 1000 + 2 * AT_ONCE
        bus.acknowledge(oldest)
        got += ids(await finished(bus, "intake", 4999 - len(got)))
        assert Counter(got) == Counter([f"a{n}" for n in range(1, 2500)] + [f"b{n}" for n in range(2500)])


def shares(bus: KafkaBus) -> dict[str, set[int]]:
    """Give the partitions that a bus has of each topic for intake."""
    found: dict[str, set[int]] = {}
    for topic, partition in [*bus._readers["intake"]._assigned]:
        found.setdefault(topic, set()).add(partition)
    return found


def has_half(bus: KafkaBus) -> bool:
    """Tell whether a bus has two of four partitions of all of intake's topics, and the same ones of each."""
    found = [*shares(bus).values()]
    return len(found) == len(READ_BY["intake"]) and len(found[0]) == 2 and all(each == found[0] for each in found)


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
async def test_a_member_that_joins_takes_over_its_share_and_nothing_is_lost_or_repeated(
    on_four: OnKafka, protocol: str
) -> None:
    """The same partitions of each topic are with the same member, so that a key is in one process."""
    on, properties = on_four, {"group.protocol": protocol}
    sent: list[str] = []
    got: list[KafkaDelivery] = []
    enough = asyncio.Event()

    async def send(bus: KafkaBus) -> None:
        while not enough.is_set():
            events = questions(20, f"m{len(sent)}-")
            await bus.publish(events)
            sent.extend(each.message_id for each in events)

    async def work(bus: KafkaBus) -> None:
        while True:
            got.extend(await finished(bus, "intake", 1))

    async with on.bus("intake", properties=properties) as one:
        tasks = [asyncio.create_task(work(one)), asyncio.create_task(send(one))]
        await until(lambda: len(got) > 100, "the first to be at work")
        async with on.bus("intake", properties=properties) as two:
            tasks.append(asyncio.create_task(work(two)))
            await until(lambda: has_half(one) and has_half(two), "both to have half of each topic")
            assert not {*shares(one)[sent_to(on)]} & {*shares(two)[sent_to(on)]}
            mark = len(got)
            await until(lambda: len(got) > mark + 100, "both to be at work")
            enough.set()
            await tasks[1]
            await until_seen(lambda: on.topics.lag(READ_BY)["intake"]["questions_in"], (0).__eq__, "no lag")
        for task in tasks:
            task.cancel()
    assert Counter(ids(got)) == Counter(sent)


def sent_to(on: OnKafka) -> str:
    return on.address.topic(Topic.QUESTIONS_IN)


@pytest.mark.usefixtures("hasty")
async def test_what_is_acknowledged_after_its_partition_has_gone_is_done_again(on_four: OnKafka) -> None:
    """By whoever has it now; what waits behind it here is not given any more."""
    on = on_four
    for partition in range(4):
        # from the fifth on they wait for one another
        waiting = [asked(f"p{partition}-{n}", f"key-{partition}-{min(n, 4)}") for n in range(10)]
        on.put(Topic.QUESTIONS_IN, *map(encode, waiting), partition=partition)
    async with on.bus("intake") as one:
        await until(lambda: one.waiting("intake") == 40, "all to be read")
        out = [delivery for _ in range(20) if (delivery := one.receive("intake"))]
        assert {*ids(out)} == {f"p{partition}-{n}" for partition in range(4) for n in range(5)}
        async with on.bus("intake") as two:
            await until(lambda: has_half(one) and has_half(two), "both to have half")
            kept, taken = shares(one)[sent_to(on)], shares(two)[sent_to(on)]
            for delivery in out:
                one.acknowledge(delivery)
            rest = await finished(one, "intake", 10)
            assert {*ids(rest)} == {f"p{partition}-{n}" for partition in kept for n in range(5, 10)}
            assert one.take("intake", 40) == []
            await until_seen(
                lambda: [on.unfinished("intake", Topic.QUESTIONS_IN, 10, partition) for partition in range(4)],
                [[] if partition in kept else [*range(10)] for partition in range(4)].__eq__,
                "the commit of what is still its own, and of nothing else",
            )
            again = await finished(two, "intake", 20)
            assert {*ids(again)} == {f"p{partition}-{n}" for partition in taken for n in range(10)}
            await until_seen(lambda: on.topics.lag(READ_BY)["intake"]["questions_in"], (0).__eq__, "the other commits")


async def test_records_that_are_gone_before_they_were_read_are_told_of(broker: Broker, prefix: str) -> None:
    """Too old ones, and those of a log that lost its end; what is there is read, and nothing is done again."""
    on = OnKafka(broker, prefix, partitions=3)
    for partition in range(3):
        on.put(Topic.QUESTIONS_IN, *map(encode, questions(10, f"p{partition}-")), partition=partition)
    on.commit("intake", Topic.QUESTIONS_IN, 2, 15, 4)
    on.cut(Topic.QUESTIONS_IN, 0, 5)
    async with on.bus("intake") as bus:
        got = ids(await finished(bus, "intake", 11))
        assert {*got} == {f"p0-{n}" for n in range(5, 10)} | {f"p2-{n}" for n in range(4, 10)}
        on.put(Topic.QUESTIONS_IN, encode(asked("new")), partition=1)
        assert ids(await finished(bus, "intake", 1)) == ["new"]
    old, ahead = sorted(on.said)
    assert old.startswith(f"{sent_to(on)}[0] begins at 5: 3 records before that are gone and were not finished")
    assert ahead.startswith(f"{sent_to(on)}[1] ends at 10, before 15, which is committed: Kafka has lost the end of it")


def newer(message_id: str) -> bytes:
    """Make a question as a later version of tamiz would write it."""
    told = {**msgspec.to_builtins(asked(message_id)), "type": "question_asked", "v": 2, "hint": "shout"}
    return msgspec.json.encode(told)


async def test_a_record_that_cannot_be_read_becomes_a_dead_letter_and_its_partition_goes_on(on: OnKafka) -> None:
    """With its bytes and its place, under the same id whoever reads it and whenever; one that names its own ends it."""
    largest = asked("largest", content="x" * (LARGEST_RECORD - len(encode(asked("largest"))) + len("In Europe.")))
    assert len(encode(largest)) == LARGEST_RECORD
    poison: list[tuple[bytes | None, str, str]] = [
        (b'{"type": "question_asked", "title": "\xff\xfe"}', UNREADABLE, "'utf-8' codec can't decode byte 0xff"),
        (b"GET / HTTP/1.1\r\n\r\n", UNREADABLE, "not a message of tamiz"),
        (b'{"hello": ["world"]}', UNREADABLE, "not a message of version 1"),
        (b"", UNREADABLE, "not a message of tamiz"),
        (None, UNREADABLE, "not a message of tamiz"),
        (newer("named"), UNREADABLE, "a question_asked of version 2, written by a newer tamiz"),
        (encode(msgspec.structs.replace(largest, message_id="largest1")), TOO_LARGE, "1,048,577 bytes; 1,048,576 are"),
        (encode(asked("huge", content="x" * (7 << 20))), TOO_LARGE, "7,340,2"),
        (encode(asked("i" * (5 << 20))), TOO_LARGE, "5,243,"),
    ]
    on.put(Topic.QUESTIONS_IN, *(value for value, _, _ in poison), encode(largest))
    again = {"again": (Topic.QUESTIONS_IN,)}
    async with on.bus("intake") as bus:
        got = [delivery.event for delivery in await finished(bus, "intake", len(poison) + 1)]
        letters = {each.record.offset: each for each in got if isinstance(each, DeadLetter) and each.record}
        assert [each.message_id for each in got if not isinstance(each, DeadLetter)] == ["largest"]
        for offset, (value, kind, why) in enumerate(poison):
            letter, data = letters[offset], value or b""
            assert (letter.kind, letter.leader) == (kind, letter.message_id)
            assert why in letter.reason
            assert letter.record == Record(
                topic=sent_to(on),
                partition=0,
                offset=offset,
                key=b"k",
                size=len(data),
                value=data[:LARGEST_RECORD],
            )
        names = [letters[offset].message_id for offset in range(len(poison))]
        assert len({*names}) == len(poison)
        assert names[5:8] == ["named", "largest1", "huge"]
        await settled(on, "intake", Topic.QUESTIONS_IN, len(poison) + 1)
        async with on.bus("again", read_by=again) as second:
            assert ids(await finished(second, "again", 1)) == ["largest"]
            repeated = await finished(bus, "intake", len(poison))
        assert Counter(ids(repeated)) == Counter(names)


async def test_what_no_topic_takes_becomes_the_dead_letter_of_its_question(on: OnKafka) -> None:
    """And what is just small enough arrives as it is, also where nothing of it can be compressed."""
    letters = base64.b85encode(random.Random(7).randbytes(LARGEST_MESSAGE)).decode()  # none of them need quoting
    room = LARGEST_MESSAGE - len(encode(requested(title="")))
    fits = requested(title=letters[:room])
    assert len(encode(fits)) == LARGEST_MESSAGE
    async with on.bus("generate", "persist") as bus:
        await bus.publish([requested(message_id="beyond", title=letters[: room + 1]), fits])
        (request,) = await finished(bus, "generate", 1)
        assert request.event == fits
        (delivery,) = await finished(bus, "persist", 1)
        letter = delivery.event
        assert isinstance(letter, DeadLetter)
        assert (letter.message_id, letter.kind, letter.leader) == ("beyond", TOO_LARGE, "beyond")
        assert "LlmRequest has 8,388,61" in letter.reason
        assert letters.startswith(letter.title)


async def test_publishing_waits_for_a_broker_that_is_away(on: OnKafka, broker: Broker) -> None:
    """It returns when the record is there, once; that the broker went away and that it is back is said once each."""
    async with on.bus("intake") as bus:
        await bus.publish([asked("before")])
        await finished(bus, "intake", 1)
        broker.kill()
        try:
            publishing = asyncio.create_task(bus.publish([asked("meanwhile")]))
            await until(lambda: on.said, "word that the broker is away")
            assert not publishing.done()
        finally:
            await asyncio.to_thread(broker.start)
        await asyncio.wait_for(publishing, PATIENCE)
        await bus.publish([asked("after")])
        assert ids(await finished(bus, "intake", 2)) == ["meanwhile", "after"]
    assert on.topics.counts()["questions_in"] == 3
    away, back = on.said
    assert away.startswith(f"Kafka at {broker.servers} does not answer (")
    assert back == f"Kafka at {broker.servers} answers"


async def test_a_broker_that_is_back_is_told_of_where_there_is_nothing_to_do(on: OnKafka, broker: Broker) -> None:
    def said(times: int) -> bool:
        return len(on.said) == times

    async with on.bus("intake"):
        for before in (0, 2):
            broker.kill()
            await until(partial(said, before + 1), "word that the broker is away")
            await asyncio.to_thread(broker.start)
            await until(partial(said, before + 2), "word that it is back")
    assert [word.endswith(" answers") for word in on.said] == [False, True, False, True]


async def opening(address: KafkaAddress) -> str:
    """Open a bus in vain; give what it says."""
    bus = KafkaBus(address, {"intake": READ_BY["intake"]}, {}, say=print)
    with pytest.raises(BusError) as refusal:
        await asyncio.wait_for(bus.open(), PATIENCE)
    await bus.close()
    return str(refusal.value)


async def test_topics_that_are_missing_are_named_with_the_remedy(broker: Broker, prefix: str) -> None:
    address = KafkaAddress(servers=broker.servers, prefix=prefix)
    made = [Topic.QUESTIONS_IN, Topic.LLM_ERRORS, Topic.DEAD_LETTERS]
    admin = AdminClient({"bootstrap.servers": broker.servers})
    for future in admin.create_topics([NewTopic(address.topic(topic), 1) for topic in made]).values():
        future.result(PATIENCE)
    there = {address.topic(topic) for topic in made}
    wait_until(lambda: there <= {*admin.list_topics(timeout=PATIENCE).topics}, "the topics to be told of")
    said = await opening(address)
    assert f"make them with `tamiz topics create --bus kafka:{broker.servers}?prefix={prefix}`" in said
    assert [topic for topic in Topic if address.topic(topic) in said] == [each for each in Topic if each not in made]


async def test_no_broker_is_an_error_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a wait without an end: that is for brokers that answered before."""
    monkeypatch.setattr("tamiz.bus.kafka._PATIENCE", 1.0)
    servers = f"127.0.0.1:{port()}"
    said = await opening(KafkaAddress(servers=servers))
    assert f"no Kafka broker answers at {servers}" in said
    assert "see that it runs" in said


def test_topics_are_made_once_and_all_with_the_same_partitions(broker: Broker, prefix: str) -> None:
    address = KafkaAddress(servers=broker.servers, prefix=prefix)
    topics = Topics(address, {})
    names = [address.topic(topic) for topic in Topic]
    assert topics.create(3, 1) == names
    assert topics.create(3, 1) == []
    with pytest.raises(BusError, match=f"another number of partitions than 4: {names[0]} has 3, .*--partitions"):
        topics.create(4, 1)
    assert [(each.name, each.partitions, each.replication, each.problem) for each in topics.states()] == [
        (name, 3, 1, None) for name in names
    ]


def test_what_is_not_right_with_topics_is_told(broker: Broker, prefix: str) -> None:
    """One that is missing, one with another number of partitions, one that takes no large records."""
    address = KafkaAddress(servers=broker.servers, prefix=prefix)
    small, odd, missing, *others = Topic
    admin = AdminClient({"bootstrap.servers": broker.servers})
    large = {"max.message.bytes": "8454144"}
    wanted = [NewTopic(address.topic(topic), 2, config=large) for topic in others]
    wanted.append(NewTopic(address.topic(small), 2, config={"max.message.bytes": str(LARGEST_MESSAGE)}))
    wanted.append(NewTopic(address.topic(odd), 3, config=large))
    for future in admin.create_topics(wanted).values():
        future.result(PATIENCE)
    there = {address.topic(topic) for topic in Topic if topic is not missing}
    wait_until(lambda: there <= {*admin.list_topics(timeout=PATIENCE).topics}, "the topics to be told of")
    problems = {each.name: each.problem for each in Topics(address, {}).states()}
    assert problems == {
        address.topic(missing): "is missing: tamiz topics create",
        address.topic(odd): "has 3 partitions where the others have 2",
        address.topic(small): "takes records of 8,388,608 bytes only: set max.message.bytes to 8454144",
        **{address.topic(topic): None for topic in others},
    }


async def test_lag_is_what_readers_have_not_finished_and_counts_are_what_was_ever_written(on_four: OnKafka) -> None:
    """A stage that never read has everything to do; nothing else of the cluster is counted."""
    on = on_four
    for partition in range(4):
        on.put(Topic.QUESTIONS_IN, *map(encode, questions(25, f"p{partition}-")), partition=partition)
    async with on.bus("intake") as bus:
        await bus.publish([failed(message_id=f"e{n}", cache_key=f"k{n}") for n in range(7)])
        out = await received(bus, "intake", 100)
        done = [each for each in out if each.assigned.partition < 2 or each.offset < 5]
        for delivery in done:
            bus.acknowledge(delivery)
        await until_seen(lambda: on.topics.lag(READ_BY)["intake"]["questions_in"], (40).__eq__, "the commits")
        lag = on.topics.lag(READ_BY)
        for delivery in out:
            if delivery not in done:
                bus.acknowledge(delivery)
    assert lag["intake"] == {
        "questions_in": 40,
        "regeneration_requests": 0,
        "validated_responses": 0,
        "dead_letters": 0,
    }
    assert lag["retry"] == {"llm_errors": 7}
    assert lag["persist"]["llm_errors"] == 7
    assert lag["generate"] == {"llm_requests": 0}
    assert on.topics.lag(READ_BY)["intake"]["questions_in"] == 0
    counts = on.topics.counts()
    assert {name for name, count in counts.items() if count} == {"questions_in", "llm_errors"}
    assert (counts["questions_in"], counts["llm_errors"]) == (100, 7)
