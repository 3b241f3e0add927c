"""Measures the Flink job: `flink.py [ROUNDS] [hashmap|rocksdb]`.

Beside it is a job that does everything but judge (`flink_bare.py`), with the same topics, state and sinks, written as
PyFlink is; the two in turns, one subtask each, on a cluster of this machine. Exits with 1 where the judge's job does
less than four fifths of it.
"""

import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE.parent))  # the servers

from cluster.broker import Broker  # noqa: E402
from cluster.flink import Flink  # noqa: E402
from tamiz.flink.decide import Decider, Output  # noqa: E402
from tamiz.flink.jobmanager import JobManager  # noqa: E402
from tamiz.flink.plan import JUDGED, Plan  # noqa: E402
from tamiz.identity import digest  # noqa: E402
from tamiz.messages import LlmResponse, Topic, encode  # noqa: E402
from tamiz.settings import Settings  # noqa: E402

_RECORDS: Final = 100_000
_WARM: Final = 0.3
"""Of the records, how many come before the clock starts: Java compiles meanwhile."""
_REQUIRED: Final = 0.8


def responses(count: int) -> list[LlmResponse]:
    """Make responses of a kilobyte, good and bad ones."""
    random_ = random.Random(1)
    words = ["".join(random_.choices("abcdefghijklmnopqrstuvwxyz", k=random_.randint(2, 9))) for _ in range(400)]
    made = []
    for number in range(count):
        reference = random_.choices(words, k=30)
        answer = reference[: random_.randrange(31)] + random_.choices(words, k=10)
        made.append(
            LlmResponse(
                message_id=digest("m", number),
                trace_id=digest("m", number),
                question_id=str(number),
                title=" ".join(random_.choices(words, k=10)),
                content=" ".join(random_.choices(words, k=20)),
                best_answer=" ".join(reference),
                cache_key=digest("k", number),
                created_at=1.8e9 + number,
                llm_answer=" ".join(answer),
                model="bench",
                latency_ms=12.5,
            )
        )
    return made


class Bench:
    """The servers with the responses on them."""

    def __init__(self, folder: Path, broker: Broker, flink: Flink, backend: str) -> None:
        self._folder = folder
        self._broker = broker
        self._flink = flink
        self._backend = backend
        self._manager = JobManager(flink.rest)
        self._admin = AdminClient({"bootstrap.servers": broker.servers})
        made = responses(_RECORDS)
        values = [encode(response) for response in made]
        self._create("in")
        producer = Producer({"bootstrap.servers": broker.servers, "linger.ms": 20})
        for response, value in zip(made, values, strict=True):
            producer.produce("in", value, response.cache_key.encode())
            producer.poll(0)
        assert producer.flush(60) == 0
        decider = Decider(self._plan("none").judge(), "in")
        began = time.perf_counter()
        outputs = [decided(decider, value) for value in values]
        self.alone = _RECORDS / (time.perf_counter() - began)
        """Records a second that the decision itself takes, with nothing around it."""
        sizes = [sum(map(len, those)) / _RECORDS for those in (values, [output.value for output in outputs])]
        self._padding = round(sizes[1] - sizes[0])
        print(f"{_RECORDS:,} records of {sizes[0]:.0f} B, judged to {sizes[1]:.0f} B; {backend}", file=sys.stderr)

    def _create(self, name: str) -> None:
        # the broker's own clock tells when a record was there
        config = {"message.timestamp.type": "LogAppendTime"}
        self._admin.create_topics([NewTopic(name, 1, 1, config=config)])[name].result(10)

    def _plan(self, name: str) -> Plan:
        settings = msgspec.convert({"bus": f"kafka:{self._broker.servers}?prefix={name}."}, Settings)
        plan = Plan.of(
            settings,
            job_id=digest(name),
            checkpoints=f"file://{self._folder}/checkpoints",
            every=1.0,
            remember=86_400.0,
            state_backend=self._backend,
            exactly_once=False,
        )
        return msgspec.structs.replace(plan, topics={**plan.topics, Topic.LLM_RESPONSES: "in"})

    def measure(self, which: str, number: int) -> float:
        """Run a job over all records; give records a second, from when it is warm."""
        plan = self._plan(f"{which}{number}")
        topics = [plan.topics[topic] for topic in JUDGED]
        for name in topics:
            self._create(name)
        file = self._folder / "plan.json"
        file.write_bytes(msgspec.json.encode(plan))
        script = [str(_HERE / "flink_bare.py"), str(file), which, str(self._padding)]
        client = [str(self._flink.home / "bin" / "flink"), "run", "-d", "-py", *script]
        subprocess.run(client, env=self._flink.environment, check=True, capture_output=True)
        consumer = Consumer({"bootstrap.servers": self._broker.servers, "group.id": "bench"})
        consumer.assign([TopicPartition(name, 0, 0) for name in topics])
        times: list[int] = []
        until = time.monotonic() + 180
        while len(times) < _RECORDS:
            assert time.monotonic() < until, f"{len(times)} of {_RECORDS} records came"
            times += [message.timestamp()[1] for message in consumer.consume(10_000, 0.5) if not message.error()]
        consumer.close()
        self._manager.cancel(plan.job_id, 30)
        times.sort()
        first = int(_RECORDS * _WARM)
        return (len(times) - first) / (times[-1] - times[first]) * 1000


def decided(decider: Decider, value: bytes) -> Output:
    read = decider.read(value, None, 0, 0)
    return read if isinstance(read, Output) else decider.decide(read)


def main(rounds: str = "5", backend: str = "rocksdb") -> int:
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "kafka")
        flink = Flink(Path(folder) / "flink", _HERE.parent / "src")
        servers: tuple[Any, ...] = (broker, flink)
        try:
            for server in servers:
                server.start()
            bench = Bench(Path(folder), broker, flink, backend)
            rates: dict[str, list[float]] = {"bare": [], "judge": []}
            for number in range(int(rounds)):
                for which, measured in rates.items():
                    measured.append(bench.measure(which, number))
                    print(f"{which}: {measured[-1]:,.0f} records/s", file=sys.stderr)
        finally:
            for server in servers:
                server.stop()
    bare, judge = (statistics.median(rates[which]) for which in ("bare", "judge"))
    ratio = statistics.median(ours / theirs for ours, theirs in zip(rates["judge"], rates["bare"], strict=True))
    print(f"| Flink job, {backend} | records/s |\n|---|---|")
    print(f"| bare, in PyFlink's way | {bare:,.0f} |")
    print(f"| tamiz's judge | {judge:,.0f} |")
    print(f"| the decision alone, in Python | {bench.alone:,.0f} |")
    print(f"| judge / bare, median of {rounds} pairs | {ratio:.2f} (required: {_REQUIRED}) |")
    return 0 if ratio >= _REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
