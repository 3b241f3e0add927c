"""The servers that other tests stand on: they are real, keep what they acknowledged, and leave nothing behind."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from cluster import install
from cluster.broker import Broker
from cluster.flink import Flink
from cluster.mongo import MongoServer
from cluster.server import Server, ServerFailed
from waiting import PATIENCE, wait_until

pytestmark = pytest.mark.xdist_group("cluster")

ROOT = Path(__file__).parents[2]


def test_a_killed_broker_comes_back_with_what_it_acknowledged(broker: Broker, prefix: str) -> None:
    topic, address = f"{prefix}questions", broker.servers
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    admin.create_topics([NewTopic(topic, 3)])[topic].result(PATIENCE)
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "log_level": 0})
    sent = {b"%d" % number for number in range(1000)}
    for value in sent:
        producer.produce(topic, value, key=value)
    assert producer.flush(PATIENCE) == 0
    broker.kill()
    broker.start()
    assert broker.servers == address
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": f"{prefix}readers",
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    got = set[bytes | None]()

    def has_all() -> bool:
        got.update(message.value() for message in consumer.consume(500, 0.5) if message.error() is None)
        return got == sent

    wait_until(has_all, "all that was sent")
    consumer.close()


def test_a_paused_broker_is_silent_until_it_goes_on(broker: Broker) -> None:
    admin = AdminClient({"bootstrap.servers": broker.servers, "log_level": 0})
    broker.pause()
    try:
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=0.5)
    finally:
        broker.resume()
    assert admin.list_topics(timeout=PATIENCE).brokers


def test_a_killed_database_comes_back_with_what_it_acknowledged(mongo: MongoServer, database: str) -> None:
    with MongoClient[dict[str, int]](mongo.url) as client:
        answers = client[database].get_collection("answers", write_concern=WriteConcern(w="majority", j=True))
        for number in range(100):
            answers.insert_one({"_id": number})
        mongo.kill()
        mongo.start()
        assert client.address == ("127.0.0.1", int(mongo.url.rpartition(":")[2]))
        assert {found["_id"] for found in answers.find()} == {*range(100)}


def test_a_killed_flink_comes_back_with_its_slots(flink: Flink) -> None:
    address = flink.rest
    wait_until(lambda: _overview(address) == {"taskmanagers": 1, "slots-total": 4}, "those of other tests are missed")
    flink.kill_taskmanager()
    flink.start_taskmanager()
    wait_until(lambda: _overview(address) == {"taskmanagers": 1, "slots-total": 4}, "the one that was killed is missed")
    flink.kill_jobmanager()
    flink.start_jobmanager()
    wait_until(lambda: _overview(address) == {"taskmanagers": 1, "slots-total": 4}, "the other goes to the new one")
    assert flink.rest == address


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="only Linux ends a process with the one that started it")
@pytest.mark.parametrize("make", ["broker.Broker", "mongo.MongoServer", "flink.Flink"])
def test_nothing_outlives_the_process_that_started_it(
    make: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(make.partition(".")[0])  # it can be had
    module, name = make.split(".")
    script = (
        f"import pathlib, sys, time; from cluster.{module} import {name}; "
        f"{name}(*map(pathlib.Path, sys.argv[1:])).start(); print('up', flush=True); time.sleep(600)"
    )
    arguments = (tmp_path, ROOT / "src") if name == "Flink" else (tmp_path,)
    with subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=ROOT, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        assert len(_processes_with(tmp_path)) > 1
        starter.send_signal(signal.SIGKILL)
    wait_until(lambda: not _processes_with(tmp_path), "the end of all that was started")


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    server = Server(["sh", "-c", "echo no luck today; exit 3"], log=tmp_path / "luck.log", answers=lambda: False)
    with pytest.raises(ServerFailed, match="luck ended at its start:\nno luck today"):
        server.start()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux tells what each thread does")
def test_a_server_that_is_paused_does_nothing_any_more(tmp_path: Path) -> None:
    """From the moment at which `pause` returns, however many threads it has and whatever else the machine does."""
    threads = "import threading; [threading.Thread(target=lambda: sum(iter(int, 1))).start() for _ in range(7)]"
    script = f"import pathlib, sys; pathlib.Path(sys.argv[1]).touch(); {threads}; sum(iter(int, 1))"
    up = tmp_path / "up"
    server = Server([sys.executable, "-c", script, str(up)], log=tmp_path / "busy.log", answers=up.exists)
    server.start()
    try:
        for _ in range(20):
            server.pause()
            assert _states(tmp_path) == {"T"}
            server.pause()
            server.resume()
    finally:
        server.kill()


def test_of_two_that_install_at_once_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    builds: list[Path] = []

    def build(folder: Path) -> None:
        builds.append(folder)
        folder.mkdir()

    with ThreadPoolExecutor() as threads:
        folders = {*threads.map(lambda _: install._installed("thing-1", "nothing", build), range(4))}
    assert len(builds) == 1
    assert folders == {tmp_path / "tamiz" / "cluster" / "thing-1"}


def test_an_interrupted_install_is_done_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def interrupted(folder: Path) -> None:
        folder.mkdir()
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        install._installed("thing-1", "nothing", interrupted)
    assert [*install._installed("thing-1", "nothing", Path.mkdir).iterdir()] == []


def _overview(address: str) -> dict[str, int | None]:
    """Give how many there are; a JobManager that is about to begin does not say."""
    with contextlib.closing(HTTPConnection(address.removeprefix("http://"))) as connection:
        connection.request("GET", "/overview")
        found = json.load(connection.getresponse())
    return {name: found.get(name) for name in ("taskmanagers", "slots-total")}


def _processes_with(folder: Path) -> list[Path]:
    """Give the processes whose command line names the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "cmdline").read_bytes():
                found.append(process)
        except OSError:
            continue  # ended in between
    return found


def _states(folder: Path) -> set[str]:
    """Give what the threads do whose processes' command lines name the folder."""
    tasks = [task for process in _processes_with(folder) for task in (process / "task").iterdir()]
    return {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks}
