"""The Flink job on real servers: it gives what the plain judge gives, whatever is killed beneath it."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from cluster.broker import Broker
from cluster.flink import Flink
from strategies import requested, responded, scored
from tamiz.bus.address import KafkaAddress
from tamiz.bus.topics import Topics
from tamiz.flink.decide import Tally
from tamiz.flink.plan import JUDGED
from tamiz.identity import digest
from tamiz.messages import (
    DeadLetter,
    LlmResponse,
    Record,
    RegenerationRequest,
    Topic,
    ValidatedResponse,
    decode,
    encode,
)
from tamiz.poison import LARGEST_MESSAGE, LARGEST_RECORD
from tamiz.policy import Policy
from tamiz.scorers import make_scorer
from tamiz.stages.judge import Judge
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("flink")

SETTINGS = {
    "TAMIZ_THRESHOLD": "0.45",
    "TAMIZ_ATTEMPTS": "2",
    "TAMIZ_UNSCORED": "retry",
    "FLINK_PARALLELISM": "2",
}
JUDGE = Judge(make_scorer("tfidf"), Policy(threshold=0.45, attempts=2, unscored="retry"))
PARTITIONS = 3

READABLE = encode(responded())
POISON: list[tuple[bytes | None, bytes | None]] = [
    (b"k", b""),
    (b"k", None),
    (None, None),
    (None, b"no JSON"),
    (b"\xff\xfe", b"\xff\xfe\x00 no UTF-8"),
    (b"k", READABLE.replace(b"Paris", b"Par\xc3is")),
    (b"k", READABLE[:-1]),
    (b"k", READABLE.replace(b'"v":1', b'"v":2')),
    (b"k", encode(requested())),
    (b"k", b"[" * 100_000),
    (b"k", b'{"message_id":"\\ud800"}'),
    (b"k", b'{"message_id":"' + b"m" * 100_000 + b'"}'),
    (b"k", b"\xef\xbb\xbf" + READABLE),
    (b"k", b"x" * (LARGEST_MESSAGE + 1)),
]


class Read:
    """What the job wrote, as it is read."""

    def __init__(self, bus: KafkaAddress, isolation: str) -> None:
        self.judged: dict[tuple[str, int], list[ValidatedResponse | RegenerationRequest]] = {}
        """By submission and attempt."""
        self.letters: dict[tuple[int, int], DeadLetter] = {}
        """By the partition and the offset of the record."""
        self._topics = {bus.topic(topic): topic for topic in JUDGED}
        self._consumer = Consumer(
            {"bootstrap.servers": bus.servers, "group.id": "reads", "isolation.level": isolation, "log_level": 0}
        )
        self._consumer.assign([TopicPartition(name, each, 0) for name in self._topics for each in range(PARTITIONS)])

    def until(self, responses: int, letters: int = 0) -> None:
        """Read until there is something for so many responses, and so many dead letters."""

        def enough() -> bool:
            for message in self._consumer.consume(5_000, 0.2):
                self._take(message)
            return len(self.judged) >= responses and len(self.letters) >= letters

        wait_until(enough, f"{responses} responses to be judged and {letters} dead letters", within=120)

    def _take(self, message: Message) -> None:
        if (error := message.error()) is not None:
            assert error.code() == KafkaError._ALL_BROKERS_DOWN or error.retriable(), error.str()
            return
        value = message.value()
        assert value is not None
        event = decode(value)
        assert message.key() == event.cache_key.encode()
        match event:
            case ValidatedResponse():
                assert self._topics[message.topic() or ""] is Topic.VALIDATED_RESPONSES
                self.judged.setdefault((event.message_id, event.attempts), []).append(event)
            case RegenerationRequest():
                assert self._topics[message.topic() or ""] is Topic.REGENERATION_REQUESTS
                self.judged.setdefault((event.message_id, event.attempt - 1), []).append(event)
            case DeadLetter(record=Record() as record):
                assert self._topics[message.topic() or ""] is Topic.DEAD_LETTERS
                self.letters[record.partition, record.offset] = event
            case _:
                raise AssertionError(f"nobody wrote {event}")

    def repeated(self, responses: Sequence[LlmResponse]) -> int:
        """See that each response was judged, as the plain judge does, and nothing else was; count what came twice."""
        wanted = {(response.message_id, response.attempt): JUDGE.decide(response) for response in responses}
        assert self.judged.keys() == wanted.keys()
        for place, events in self.judged.items():
            assert set(events) == {wanted[place]}
        return sum(map(len, self.judged.values())) - len(wanted)


class OnFlink:
    """The job on the servers, and topics of its own."""

    def __init__(self, broker: Broker, flink: Flink, prefix: str, folder: Path) -> None:
        self.bus = KafkaAddress(servers=broker.servers, prefix=prefix)
        self.offsets: list[tuple[int, int]] = []
        """The places of what was written last."""
        self._flink = flink
        self._folder = folder
        Topics(self.bus, {}).create(PARTITIONS, 1)
        self._producer = Producer(
            {"bootstrap.servers": broker.servers, "message.max.bytes": 2 * LARGEST_MESSAGE, "log_level": 0}
        )

    def start_submit(self, *args: str) -> "subprocess.Popen[str]":
        """Start the command, as a user does."""
        of_flink = {name: self._flink.environment[name] for name in ("FLINK_HOME", "FLINK_CONF_DIR", "FLINK_LOG_DIR")}
        return subprocess.Popen(
            [sys.executable, "-m", "tamiz.flink.submit", "--rest", self._flink.rest, "--bus", self.bus.url, *args],
            cwd=self._folder,
            env={**os.environ, **SETTINGS, **of_flink},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def submit(self, *args: str) -> tuple[str, str]:
        """Run the command; give what it printed and what it said."""
        return ended(self.start_submit(*args))

    def write(self, records: Sequence[tuple[bytes | None, bytes | None]]) -> None:
        """Write records of (key, value) to `llm_responses`, and return when the broker has them."""
        self.offsets = []

        def report(error: KafkaError | None, message: Message) -> None:
            assert error is None
            self.offsets.append((message.partition() or 0, message.offset() or 0))

        for key, value in records:
            self._producer.produce(self.bus.topic(Topic.LLM_RESPONSES), value, key, on_delivery=report)
            self._producer.poll(0)
        assert self._producer.flush(60) == 0

    def respond(self, responses: Sequence[LlmResponse]) -> None:
        """Write responses."""
        self.write([(response.cache_key.encode(), encode(response)) for response in responses])

    def read(self, isolation: str = "read_uncommitted") -> Read:
        """Read what the job writes, from the beginning."""
        return Read(self.bus, isolation)

    def jobs(self) -> list[str]:
        """Give the ids of the jobs that have not ended."""
        mine = [job for job in self.ask("/jobs/overview")["jobs"] if job["name"] == self.bus.group("judge")]
        return [job["jid"] for job in mine if job["state"] not in {"CANCELED", "FINISHED"}]

    def counters(self, job: str) -> dict[str, int]:
        """Give the job's counters that are not 0."""
        found = Counter[str]()
        for vertex in self.ask(f"/jobs/{job}")["vertices"]:
            path = f"/jobs/{job}/vertices/{vertex['id']}/subtasks/metrics"
            names = [each["id"] for each in self.ask(path) if each["id"].startswith("judge.responses_")]
            for each in self.ask(f"{path}?get={','.join(names)}") if names else ():
                found[each["id"].removeprefix("judge.")] += int(each["sum"])
        return dict(+found)

    def ask(self, path: str, method: str = "GET") -> Any:
        """Ask the JobManager."""
        with closing(HTTPConnection(self._flink.rest.removeprefix("http://"), timeout=20)) as connection:
            connection.request(method, path)
            return json.load(connection.getresponse())

    def cancel(self) -> None:
        """End the job, and wait until its slots are free."""
        for job in self.jobs():
            self.ask(f"/jobs/{job}", "PATCH")
        wait_until(lambda: not self.jobs(), "the job to end")


def ended(process: "subprocess.Popen[str]") -> tuple[str, str]:
    stdout, stderr = process.communicate(timeout=180)
    assert process.returncode == 0, stderr
    return stdout.strip(), stderr


def made(name: str, count: int) -> list[LlmResponse]:
    """Make answers from good to bad, to first and to last attempts, some of them to questions without a reference."""
    random_ = random.Random(name)
    words = [digest(number, size=3) for number in range(200)]
    responses = []
    for number in range(count):
        reference = random_.choices(words, k=12)
        answer = reference[: random_.randrange(13)] + random_.choices(words, k=4)
        attempt = random_.choice((1, 1, 2))
        responses.append(
            responded(
                message_id=digest(name, number),
                cache_key=digest(name, number // 2),
                title=f"Question {number}, ünïcödé ✓",
                best_answer=None if number % 11 == 0 else " ".join(reference),
                llm_answer=" ".join(answer),
                attempt=attempt,
                best=scored(random_.choice((None, 0.2, 0.4)), 1, "the first answer") if attempt > 1 else None,
            )
        )
    return responses


def tally(responses: Sequence[LlmResponse]) -> Counter[str]:
    """Count the responses by what the plain judge says of them."""
    return Counter(
        Tally.REGENERATED
        if isinstance(judged, RegenerationRequest)
        else Tally.ACCEPTED
        if judged.accepted
        else Tally.EXHAUSTED
        for judged in map(JUDGE.decide, responses)
    )


@pytest.fixture
def on_flink(broker: Broker, flink: Flink, prefix: str, tmp_path: Path) -> Iterator[OnFlink]:
    on = OnFlink(broker, flink, prefix, tmp_path)
    yield on
    on.cancel()


def test_the_job_gives_what_the_judge_gives(on_flink: OnFlink) -> None:
    """Every response is judged once and every other record becomes a dead letter; repeats are refused, replays not."""
    responses = [*made("first", 3_000), responded(message_id="large", llm_answer="Paris " * 200_000)]
    on_flink.respond(responses)
    submits = [on_flink.start_submit(), on_flink.start_submit()]
    jobs = [ended(submit)[0] for submit in submits]
    assert jobs == on_flink.jobs() * 2, "two at once start one job"
    read = on_flink.read()
    read.until(len(responses))
    assert read.repeated(responses) == 0

    for key, value in POISON:
        on_flink.write([(key, value)])
        ((partition, offset),) = on_flink.offsets
        read.until(0, len(read.letters) + 1)
        size = len(value or b"")
        assert read.letters[partition, offset].record == Record(
            topic=on_flink.bus.topic(Topic.LLM_RESPONSES),
            partition=partition,
            offset=offset,
            key=key,
            size=size,
            value=(value or b"")[:LARGEST_RECORD],
        )

    on_flink.respond(responses[:500])
    put_back = [
        msgspec.structs.replace(response, created_at=response.created_at + 1, attempt=1, best=None, title="again")
        for response in responses
        if response.attempt == 1
    ][:50]
    on_flink.respond(put_back)
    counted = tally([*responses, *put_back]) + Counter(
        {Tally.REPEATED: 500, Tally.UNREADABLE: len(POISON)},
    )
    wait_until(lambda: on_flink.counters(jobs[0]) == counted, f"the counters to be {counted}")
    read.until(len(responses))
    titles = [event.title for events in read.judged.values() for event in events]
    assert len(titles) == len(responses) + len(put_back)
    assert titles.count("again") == len(put_back)

    assert on_flink.submit()[0] == jobs[0], "once more changes nothing"


@pytest.mark.parametrize("sinks", ["at-least-once", "exactly-once"])
def test_a_killed_taskmanager_loses_nothing(on_flink: OnFlink, flink: Flink, sinks: str) -> None:
    """With exactly-once sinks, nothing is there twice either."""
    responses = made(sinks, 12_000)
    on_flink.respond(responses[:2_000])
    on_flink.submit(*(("--exactly-once",) if sinks == "exactly-once" else ()))
    read = on_flink.read("read_committed")
    read.until(1_000)
    on_flink.respond(responses[2_000:])
    flink.kill_taskmanager()
    flink.start_taskmanager()
    read.until(len(responses))
    repeated = read.repeated(responses)
    assert sinks == "at-least-once" or repeated == 0


def test_a_killed_broker_loses_nothing(on_flink: OnFlink, broker: Broker) -> None:
    responses = made("broker", 12_000)
    on_flink.respond(responses[:2_000])
    (job, _) = on_flink.submit()
    read = on_flink.read()
    read.until(1_000)
    on_flink.respond(responses[2_000:])
    broker.kill()
    broker.start()
    read.until(len(responses))
    read.repeated(responses)
    assert on_flink.jobs() == [job]


def test_a_killed_jobmanager_is_followed_by_a_job_that_goes_on(on_flink: OnFlink, flink: Flink) -> None:
    """Submitted anew, it goes on from the newest checkpoint and knows what was judged; so it does after a stop."""
    responses = made("jobmanager", 12_000)
    on_flink.respond(responses[:2_000])
    (first, said) = on_flink.submit()
    assert "going on" not in said
    read = on_flink.read()
    read.until(2_000)
    wait_until(lambda: on_flink.ask(f"/jobs/{first}/checkpoints")["counts"]["completed"] > 2, "the state to be kept")
    on_flink.respond(responses[2_000:])
    flink.kill_jobmanager()
    flink.start_jobmanager()
    (second, said) = on_flink.submit()
    assert f"{first}/chk-" in said
    assert on_flink.jobs() == [second]
    assert second != first
    read.until(len(responses))
    read.repeated(responses)
    on_flink.respond(responses[:100])
    wait_until(lambda: on_flink.counters(second).get(Tally.REPEATED) == 100, "repeats to be known")

    savepoint, _ = on_flink.submit("--stop")
    assert on_flink.jobs() == []
    on_flink.respond(responses[:100])
    (third, said) = on_flink.submit()
    assert savepoint in said
    wait_until(lambda: on_flink.counters(third) == {Tally.REPEATED: 100}, "repeats to be known after a stop")
