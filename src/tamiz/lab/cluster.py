"""A cell on a cluster: topics, a database and workers of its own, gone when it is measured."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pymongo
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tamiz.bus.address import KafkaAddress
from tamiz.bus.kafka import client_properties
from tamiz.bus.topics import Topics
from tamiz.errors import BusError, Interrupted, TamizError, UsageError
from tamiz.hosts.flow import STAGES
from tamiz.hosts.follow import follow_batch
from tamiz.identity import digest
from tamiz.lab.arriving import Arriving
from tamiz.lab.cells import Measured
from tamiz.lab.flow import batch_of, place_in_run
from tamiz.lab.measures import Asked, measure, series_of
from tamiz.lab.parameters import Run
from tamiz.messages import Topic
from tamiz.settings import Settings
from tamiz.store.mongo.address import MongoAddress
from tamiz.store.mongo.connection import connected
from tamiz.traffic.question import Question

__all__ = ["run_cluster"]

_PATIENCE: Final = 120.0
"""Seconds that workers and the Flink job get to be at work."""
_STOPS: Final = 30.0
"""Seconds that a worker gets to stop."""
_ANSWERS: Final = 10.0
"""Seconds that brokers get to answer."""
_MOMENT: Final = 0.2
_OUTCOME: Final = ("outcome", "score", "source", "attempts", "retries")
_NOT_TOLD: Final = frozenset({"model", "escalate", "bus", "store", "state", "prices", "refusal", "kafka", "columns"})


def run_cluster(run: Run, questions: Sequence[Question], folder: Path, flink: str | None) -> Measured:
    """Run the traffic through workers that are started for it, as processes of this machine.

    Where its parallelism is above 0 the judge is a Flink job on the cluster at `flink` (with $FLINK_HOME set). The
    prefix of the topics and the name of the database are new, so that nothing else on the cluster is touched. Raises
    `Interrupted` after Ctrl-C, and `TamizError` where a part does not start.
    """
    if run.parallelism and flink is None:
        raise UsageError("a parallelism above 0 is of a Flink job: say where Flink is with --flink http://HOST:8081")
    place = _Place.of(run.settings)
    with contextlib.ExitStack() as stack:
        stack.callback(place.remove)
        Topics(place.address, run.settings.kafka).create(run.partitions, 1)
        stages = [stage for stage in STAGES if stage != "judge" or not run.parallelism]
        environment = _environment(run, place)
        for number in range(run.workers):
            stack.enter_context(_worker(stages, environment, folder / f"worker-{number}.log"))
        _wait(lambda: place.members(stages) >= run.workers, "workers to have joined")
        if run.parallelism and flink is not None:
            stack.enter_context(_job(flink, environment, folder))
        return _measure(run, questions, folder, place)


def _measure(run: Run, questions: Sequence[Question], folder: Path, place: "_Place") -> Measured:
    arriving = Arriving(run.plan, questions)
    settings = msgspec.structs.replace(run.settings, bus=place.bus, store=place.store)
    batch = batch_of(msgspec.structs.replace(run, settings=settings), arriving, folder, clustered=True)
    summary = follow_batch(batch, None, lambda _: None)
    (folder / "cell.jsonl").unlink(missing_ok=True)
    if summary.stopped is not None:
        raise Interrupted
    began = arriving.began or 0.0
    asked = [
        Asked(arriving.due[place_in_run(submission)], asked_at - began, ended_at - began, *outcome)
        for submission, asked_at, ended_at, outcome in place.outcomes()
    ]
    measured = measure(asked, summary.totals, summary.calls, None, run.plan.lasts)
    measured.series = series_of([], asked)
    return measured


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the cluster that is the cell's own."""

    address: KafkaAddress
    store: str
    kafka: dict[str, Any]

    @classmethod
    def of(cls, settings: Settings) -> "_Place":
        tag = f"lab-{digest(os.getpid(), time.time(), size=4)}"
        address = KafkaAddress.parse(settings.bus or "")
        own = msgspec.structs.replace(address, prefix=f"{address.prefix}{tag}-")
        if settings.store is None:
            raise UsageError("no store given: name the database with --store mongodb://HOST/DATABASE (or MONGO_URI)")
        database = MongoAddress.parse(settings.store).database
        before, question, options = settings.store.partition("?")
        hosts = "/".join(before.split("/")[:3])
        return cls(address=own, store=f"{hosts}/{database}-{tag}{question}{options}", kafka=settings.kafka)

    @property
    def bus(self) -> str:
        return f"kafka:{self.address.servers}?prefix={self.address.prefix}"

    def members(self, stages: Sequence[str]) -> int:
        """Count the members of the stages' groups, of the smallest of them; of groups that are not there yet, none."""
        groups = [self.address.group(stage) for stage in stages]
        admin = self._admin()  # held until it has answered: what it was asked goes with it
        described = admin.describe_consumer_groups(groups, request_timeout=_ANSWERS).values()
        try:
            return min(len(each.result().members) for each in described)
        except KafkaException:  # brokers that are new have to find out first who coordinates a group
            return 0

    def outcomes(self) -> Iterator[tuple[str, float, float, list[Any]]]:
        """Give each submission with when it was fed, when it ended and how, in their order."""
        with connected(pymongo.MongoClient, MongoAddress.parse(self.store)) as client:
            database = client[MongoAddress.parse(self.store).database]
            asked = {row["_id"]: row["created_at"] for row in database.questions.find({}, {"created_at": 1})}
            wanted = dict.fromkeys((*_OUTCOME, "finished_at"), 1)
            for row in database.answers.find({}, wanted).sort("_id", 1):
                yield row["_id"], asked[row["_id"]], row["finished_at"], [row[name] for name in _OUTCOME]

    def remove(self) -> None:
        """Remove topics and database; what cannot be removed is in nobody's way."""
        with contextlib.suppress(Exception):
            admin = self._admin()
            names = [self.address.topic(topic) for topic in Topic]
            for future in admin.delete_topics(names, request_timeout=_ANSWERS).values():
                future.result()
        with (
            contextlib.suppress(Exception),
            connected(pymongo.MongoClient, MongoAddress.parse(self.store)) as client,
        ):
            client.drop_database(MongoAddress.parse(self.store).database)

    def _admin(self) -> AdminClient:
        return AdminClient(client_properties(self.address, self.kafka))


def _environment(run: Run, place: _Place) -> dict[str, str]:
    """Give the environment of the cell's processes: its settings, and none that this process was given."""
    usual = Settings()
    told = {
        f"TAMIZ_{name.upper()}": str(value)
        for name in Settings.__struct_fields__
        if name not in _NOT_TOLD and (value := getattr(run.settings, name)) != getattr(usual, name)
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TAMIZ_")}
    places = {"TAMIZ_MODEL": " ".join(run.settings.model), "TAMIZ_BUS": place.bus, "TAMIZ_STORE": place.store}
    flink = {"TAMIZ_FLINK_PARALLELISM": str(run.parallelism)} if run.parallelism else {}
    return {**inherited, **told, **places, **flink}


@contextlib.contextmanager
def _worker(stages: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tamiz", "worker", *stages]
    with log.open("w", encoding="utf-8") as said:
        # of a group of its own: Ctrl-C is for the experiment, which stops the workers then
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)  # noqa: S603 - this program
    try:
        yield
        if process.poll() is not None:
            raise TamizError(f"a worker ended with code {process.returncode}: {_end_of(log)}")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOPS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _job(flink: str, environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    command = [
        sys.executable,
        "-m",
        "tamiz.flink.submit",
        "--rest",
        flink,
        "--checkpoints",
        str(folder / "checkpoints"),
    ]

    def call(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - this program

    done = call()
    if done.returncode:
        raise TamizError(f"the Flink job does not start: {done.stderr.strip()}")
    try:
        yield
    finally:
        call("--stop")


def _wait(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise BusError(f"waited {_PATIENCE:g} s in vain for {what}")
        time.sleep(_MOMENT)


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
