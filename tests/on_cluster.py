"""A cluster of real servers with tamiz on it: topics of its own, workers as processes, runs that are followed."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import pymongo
import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from cluster.broker import Broker
from cluster.flink import Flink
from cluster.mongo import MongoServer
from rows import read_rows
from running import run_tamiz, status_of
from started import Started, started
from tamiz.bus.address import KafkaAddress
from tamiz.bus.topics import Topics
from tamiz.messages import READ_BY
from waiting import wait_until

__all__ = ["OnCluster", "on", "same_rows"]

_SOON: Final = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
STAGES: Final = ("intake", "generate", "retry", "judge", "persist")


class OnCluster:
    """One tamiz on the servers; `prefix` and `database` keep it apart from others."""

    def __init__(self, broker: Broker, mongo: MongoServer, prefix: str, database: str, folder: Path) -> None:
        self.bus = f"kafka:{broker.servers}?prefix={prefix}"
        self.store = f"{mongo.url}/{database}"
        self.folder = folder
        self.topics = Topics(KafkaAddress.parse(self.bus), {})
        self._mongo = mongo
        self._database = database

    @property
    def environment(self) -> dict[str, str]:
        """The variables that name it."""
        return {"TAMIZ_BUS": self.bus, "TAMIZ_STORE": self.store}

    def create_topics(self, partitions: int = 4) -> None:
        """Make the topics, as a user does."""
        done = run_tamiz("topics", "create", "--partitions", str(partitions), cwd=self.folder, env=self.environment)
        assert done.returncode == 0, done.stderr

    def worker(self, *stages: str, **settings: object) -> AbstractContextManager[Started]:
        """Start a worker of these stages, or of all; it is killed when the block ends."""
        flags = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        return started("worker", *(stages or STAGES), *flags, cwd=self.folder, env=self.environment)

    def run(self, *args: str) -> AbstractContextManager[Started]:
        """Start `tamiz run` on it."""
        return started("run", *args, cwd=self.folder, env=self.environment)

    def submit(self, flink: Flink) -> None:
        """Have the judge's Flink job run, as a user does."""
        flags = ("--rest", flink.rest, "--checkpoints", "checkpoints", "--wait", "240s")
        done = subprocess.run(
            [sys.executable, "-m", "tamiz.flink.submit", *flags],
            cwd=self.folder,
            env={**flink.environment, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def members(self, stage: str) -> int:
        """Count the members of a stage's group; 0 where the broker is still about to find out who keeps it."""
        admin = AdminClient({"bootstrap.servers": self.topics.address.servers})
        (future,) = admin.describe_consumer_groups([self.topics.address.group(stage)]).values()
        try:
            return len(future.result().members)
        except KafkaException as error:
            if error.args[0].code() not in _SOON:
                raise
            return 0

    def jobs(self, flink: Flink) -> int:
        """Count this one's jobs that run."""
        with urllib.request.urlopen(f"{flink.rest}/jobs/overview", timeout=60) as answer:  # noqa: S310 - ours
            jobs = json.load(answer)["jobs"]
        return sum(job["state"] == "RUNNING" and job["name"] == self.topics.address.group("judge") for job in jobs)

    def status(self) -> dict[str, Any]:
        """Ask as a user does."""
        return status_of(self.folder, self.environment)

    @contextmanager
    def database(self) -> Iterator[Any]:
        """Give the database itself."""
        with pymongo.MongoClient[dict[str, Any]](self._mongo.url, serverSelectionTimeoutMS=20_000) as client:
            yield client[self._database]

    def answers(self) -> int:
        """Count the outcomes that are in the store."""
        with self.database() as database:
            count: int = database.answers.count_documents({})
            return count

    def calls(self) -> int:
        """Count the model calls whose result came out of a worker."""
        counts = self.topics.counts()
        return counts["llm_responses"] + counts["llm_errors"]

    def until_quiet(self) -> None:
        """Wait until every stage has finished all there is to read."""

        def quiet() -> bool:
            return not any(any(topics.values()) for topics in self.topics.lag(READ_BY).values())

        wait_until(quiet, "the stages to have finished everything")


@pytest.fixture
def on(broker: Broker, mongo: MongoServer, prefix: str, database: str, tmp_path: Path) -> OnCluster:
    """Give a tamiz on the servers that is this test's alone, with its topics."""
    cluster = OnCluster(broker, mongo, prefix, database, tmp_path)
    cluster.create_topics()
    return cluster


def same_rows(found: Path, wanted: Path) -> None:
    """Have both files the same rows, but for how long calls took."""
    here, there = ([_without_time(row) for row in read_rows(path)] for path in (found, wanted))
    assert len(here) == len(there)
    assert [pair for pair in zip(here, there, strict=True) if pair[0] != pair[1]] == []


def _without_time(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "latency_ms"}
