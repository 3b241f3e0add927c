"""`make bench-cluster`: measures tamiz on Kafka and a MongoDB-compatible server that run on this machine too.

Prints a table as `bench/run.py` does. Exits with 1 where a ratio misses what is required. Arguments: what to measure;
none is all.
"""

import asyncio
import contextlib
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE.parent))  # the servers

from cluster.broker import Broker  # noqa: E402
from cluster.mongo import MongoServer  # noqa: E402
from run import Result, server  # noqa: E402
from tamiz.bus.address import KafkaAddress  # noqa: E402
from tamiz.bus.kafka import KafkaBus  # noqa: E402
from tamiz.bus.topics import Topics  # noqa: E402
from tamiz.messages import QuestionAsked, Topic, decode  # noqa: E402

_RECORDS = 60_000


class Cluster(NamedTuple):
    """The servers, and one tamiz on them."""

    broker: Broker
    mongo: MongoServer
    address: KafkaAddress
    database: str
    folder: Path

    def another(self, partitions: int) -> "Cluster":
        """Give a tamiz of its own, with new topics and a new database."""
        name = uuid.uuid4().hex[:8]
        address = KafkaAddress(servers=self.broker.servers, prefix=f"{name}.")
        Topics(address, {}).create(partitions, 1)
        return self._replace(address=address, database=name)

    @contextlib.contextmanager
    def worker(self, *stages: str, model: str, concurrency: int) -> Iterator[None]:
        """Run a worker until the block ends; it has joined when the block begins."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TAMIZ_")}
        environment |= {"TAMIZ_BUS": self.address.url, "TAMIZ_STORE": f"{self.mongo.url}/{self.database}"}
        command = [sys.executable, "-m", "tamiz", "worker", *stages, "--model", model, "--threshold", "0"]
        log = self.folder / f"{uuid.uuid4().hex}.log"
        with log.open("w") as said:
            process = subprocess.Popen(
                [*command, "--concurrency", str(concurrency)], env=environment, stderr=said, cwd=self.folder
            )
            try:
                while "at work" not in log.read_text():
                    assert process.poll() is None, log.read_text()
                    time.sleep(0.05)
                yield
            finally:
                process.terminate()
                process.wait()


class Outcomes(threading.Thread):
    """Notes when each outcome of a cluster comes."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self.at: dict[str, float] = {}
        self._topic = cluster.address.topic(Topic.VALIDATED_RESPONSES)
        self._consumer = Consumer(
            {"bootstrap.servers": cluster.address.servers, "group.id": "bench", "log_level": 0,
             "auto.offset.reset": "earliest", "enable.auto.commit": False, "fetch.queue.backoff.ms": 5}
        )  # fmt: skip
        partitions = self._consumer.list_topics(self._topic, timeout=10).topics[self._topic].partitions
        self._consumer.assign([TopicPartition(self._topic, partition, 0) for partition in partitions])
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                self.at.setdefault(decode(message.value() or b"").message_id, time.time())
        self._consumer.close()

    def until(self, count: int, within: float) -> None:
        """Wait until so many have come, and end."""
        deadline = time.time() + within
        while len(self.at) < count:
            assert time.time() < deadline, f"{len(self.at)} of {count} outcomes within {within:g} s"
            time.sleep(0.05)
        self._ended.set()
        self.join()


def question(n: int) -> QuestionAsked:
    """Give one of many different questions."""
    identity = f"{n:032x}"
    return QuestionAsked(
        message_id=identity, trace_id=identity, question_id=str(n), title=f"What is number {n}?",
        best_answer=f"The answer: number {n}", cache_key=identity, created_at=time.time(),
    )  # fmt: skip


async def feed(cluster: Cluster, count: int, rate: float | None) -> dict[str, float]:
    """Ask so many questions, so many a second or all at once; give when each was asked."""
    bus = KafkaBus(cluster.address, {}, {}, say=print)
    await bus.open()
    asked: dict[str, float] = {}
    began = time.time()
    if rate is None:
        events = [question(n) for n in range(count)]
        await bus.publish(events)
        asked = dict.fromkeys((event.message_id for event in events), began)
    else:
        async with asyncio.TaskGroup() as group:
            for n in range(count):
                # at the time that the schedule has, whether the one before is through or not
                await asyncio.sleep(max(began + n / rate - time.time(), 0))
                asked[f"{n:032x}"] = time.time()
                group.create_task(bus.publish([question(n)]))
    await bus.close()
    return asked


def latencies(cluster: Cluster, count: int, rate: float, within: float) -> list[float]:
    """Give the seconds from asking to the outcome, in ascending order."""
    outcomes = Outcomes(cluster)
    outcomes.start()
    asked = asyncio.run(feed(cluster, count, rate))
    outcomes.until(count, within)
    return sorted(outcomes.at[message_id] - at for message_id, at in asked.items())


def share(values: Sequence[float], part: float) -> float:
    """Give a percentile of ascending values."""
    return values[min(int(len(values) * part), len(values) - 1)]


def host(cluster: Cluster) -> Iterator[Result]:
    """Pass records on, beside a bare loop that moves the same bytes, and beside one that decodes and encodes them."""

    def measure(kind: str, address: KafkaAddress) -> dict[str, float]:
        command = [sys.executable, str(_HERE / "stage_host.py"), kind, address.servers, address.prefix, str(_RECORDS)]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
        found: dict[str, float] = json.loads(said) if said.strip() else {}
        return found

    rounds = []
    warm = cluster.another(4).address  # the first records find a broker that has not compiled its code
    measure("fill", warm)
    measure("bare", warm)
    for _ in range(5):
        address = cluster.another(4).address
        measure("fill", address)
        found = {kind: measure(kind, address) for kind in random.sample(("host", "bare", "decoding"), 3)}
        rounds.append((found["host"], found["bare"], found["decoding"]))
    for index, what, required in ((1, "bare loop", 0.8), (2, "bare loop that decodes", 0.8)):
        ratio = statistics.median(each[0]["rate"] / each[index]["rate"] for each in rounds)
        ours, theirs = (statistics.median(each[at]["rate"] for each in rounds) for at in (0, index))
        cpu = statistics.median(each[0]["cpu_us"] for each in rounds)
        yield Result(
            f"Kafka stage host, {cpu:.0f} us of CPU a record",
            f"{ours:,.0f} records/s",
            f"{what} {theirs:,.0f}/s",
            ratio,
            f"{required:g}",
            ratio >= required,
        )


def scale(cluster: Cluster) -> Iterator[Result]:
    """Let 1, 2 and 4 workers share as many partitions; each makes 4 calls of 50 ms at once."""
    rates = {}
    for workers in (1, 2, 4):
        on = cluster.another(workers)
        count = 400 * workers
        with contextlib.ExitStack() as stack:
            model = "simulated:?latency=50ms"
            stack.enter_context(on.worker("intake", "retry", "judge", "persist", model=model, concurrency=4))
            for _ in range(workers):
                stack.enter_context(on.worker("generate", model=model, concurrency=4))
            outcomes = Outcomes(on)
            outcomes.start()
            asked = asyncio.run(feed(on, count, None))
            outcomes.until(count, 120)
        rates[workers] = count / (max(outcomes.at.values()) - min(asked.values()))
    for workers, rate in rates.items():
        possible = workers * 4 / 0.05
        yield Result(
            f"{workers} partitions and generate workers, 4 calls of 50 ms each",
            f"{rate:,.0f} q/s",
            f"{possible:,.0f} possible",
            rate / possible,
            "0.8",
            rate >= 0.8 * possible,
        )


def latency(cluster: Cluster) -> Iterator[Result]:
    """Ask 50 questions a second of a model that takes 50 ms: what the way through the cluster adds."""
    on = cluster.another(4)
    with on.worker("intake", "generate", "retry", "judge", "persist", model="simulated:?latency=50ms", concurrency=64):
        found = latencies(on, 1500, 50, 60)
    for part in (0.5, 0.99):
        added = share(found, part) - 0.05
        limit = 0.1 if part == 0.5 else 0.3
        yield Result(
            f"latency added at 50 q/s, p{part * 100:g}",
            f"{added * 1000:.0f} ms",
            "",
            added / limit,
            f"under {limit * 1000:.0f} ms",
            added < limit,
        )


def slow(cluster: Cluster) -> Iterator[Result]:
    """Let one call in 50 take 30 s: the other questions of its partition are not to be delayed."""
    p99 = []
    for every, seconds in ((0, 0), (50, 30)):
        on = cluster.another(2)
        with (
            server(0.05, every, seconds) as port,
            on.worker(
                "intake", "generate", "retry", "judge", "persist",
                model=f"openai+http://127.0.0.1:{port}/v1#bench", concurrency=128,
            ),
        ):  # fmt: skip
            found = latencies(on, 2000, 50, 120)
        quick = [value for value in found if value < 20]
        assert len(quick) >= 0.97 * len(found)
        p99.append(share(quick, 0.99))
    yield Result(
        "p99 of the others where 1 call in 50 takes 30 s",
        f"{p99[1] * 1000:.0f} ms",
        f"without {p99[0] * 1000:.0f} ms",
        p99[1] / p99[0],
        "at most 1.5",
        p99[1] <= 1.5 * p99[0],
    )


def main() -> None:
    wanted = sys.argv[1:]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}\n")
    print("| what | tamiz | beside | ratio | required | |\n|---|---|---|---|---|---|")
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        broker, mongo = Broker(root / "kafka"), MongoServer(root / "mongo")
        broker.start()
        mongo.start()
        try:
            cluster = Cluster(broker, mongo, KafkaAddress(servers=broker.servers), "bench", root)
            for measure in (host, scale, latency, slow):
                if wanted and measure.__name__ not in wanted:
                    continue
                for line in measure(cluster):
                    missed += not line.ok
                    print(
                        f"| {line.what} | {line.ours} | {line.beside} | {line.ratio:.2f} | {line.required} | "
                        f"{'ok' if line.ok else 'MISSED'} |",
                        flush=True,
                    )
        finally:
            mongo.stop()
            broker.stop()
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
