"""The services of a cluster, over real sockets, on real servers."""

import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Final

import pytest

from calling import Answer, Calling, free_port
from cluster.mongo import MongoServer
from on_cluster import OnCluster
from running import run_tamiz
from started import Started, started
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("cluster")

MODEL: Final = "simulated:?latency=20ms&seed=7"


@contextmanager
def serving(on: OnCluster, *stages: str, **env: str) -> Iterator[tuple[Started, Calling]]:
    """Run a worker that serves, on a port of its own, until it is ready."""
    port = free_port()
    with started(
        "worker", *stages, "--http", "--port", str(port), cwd=on.folder, env={**on.environment, **env}
    ) as worker:
        service = Calling(port)
        service.until_ready()
        yield worker, service


def _ask(service: Calling, number: int, *, wait: float = 0) -> Answer:
    body = {"title": f"Question {number}?", "reference": f"the reference is ref{number}", "id": str(number)}
    return service.post(f"/questions?wait={wait}", body)


def _until_answered(service: Calling) -> None:
    """Wait until workers are there to answer."""
    wait_until(lambda: _ask(service, 0, wait=30).status == 200, "the first answer")


def test_a_question_goes_through_a_cluster(on: OnCluster) -> None:
    """Handed in over HTTP: waited for, looked up, answered at once the second time; drains on SIGTERM."""
    with serving(on, "traffic") as (worker, service), on.worker(model=MODEL):
        _until_answered(service)
        waited = _ask(service, 1, wait=30)
        assert waited.status == 200
        told = waited.json
        assert (told["outcome"], told["source"], told["id"]) == ("accepted", "model", "1")
        life = service.get(f"/questions/{told['message_id']}").json
        assert life["answer"] == told["answer"]
        assert life["life"]["question"] == "Question 1?"

        again = _ask(service, 1)
        assert again.status == 200
        assert again.json["source"] in {"store", "cache"}
        assert again.json["answer"] == told["answer"]
        wait_until(lambda: service.get(f"/questions/{again.json['message_id']}").status == 200, "it to be recorded")

        taken = _ask(service, 2)
        assert taken.status == 202
        where = taken.headers["location"]
        wait_until(lambda: service.get(where).json["outcome"] == "accepted", "its outcome")

        worker.process.send_signal(signal.SIGTERM)
        assert worker.end()[0] == 0
    assert on.status()["open"] == 0


def test_identical_questions_at_two_services_are_one_call(on: OnCluster) -> None:
    with (
        on.worker(model="simulated:?latency=500ms&seed=7"),
        serving(on, "traffic") as (_, one),
        serving(on, "traffic") as (_, two),
        ThreadPoolExecutor(20) as clients,
    ):
        for service in (one, two):
            _until_answered(service)
        before = on.calls()
        answers = [*clients.map(lambda number: _ask((one, two)[number % 2], 1, wait=30), range(20))]
        assert on.calls() == before + 1
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["answer"] for answer in answers}) == 1
    assert Counter(answer.json["source"] == "model" for answer in answers)[True] == 1


def test_a_service_that_is_killed_has_lost_nothing(on: OnCluster) -> None:
    """What was told to be taken, 202, ends in an outcome though the service dies at that moment."""
    with on.worker(model="simulated:?latency=200ms&seed=7"):
        with serving(on, "traffic") as (worker, service), ThreadPoolExecutor(8) as clients:
            _until_answered(service)
            taken: list[str] = []

            def ask(number: int) -> None:
                try:
                    answer = _ask(service, number)
                except (OSError, HTTPException):  # it died before, or within, the answer
                    return
                if answer.status == 202:
                    taken.append(answer.json["message_id"])
                if len(taken) >= 40:
                    assert worker.kill()

            [*clients.map(ask, range(1, 400))]
        assert 40 <= len(taken) < 399
        with on.database() as database:
            wait_until(
                lambda: database.answers.count_documents({"_id": {"$in": taken}}) == len(taken),
                "all outcomes",
            )


def test_what_is_down_is_named(on: OnCluster, mongo: MongoServer) -> None:
    """`/ready` names each thing that a worker depends on, and is 503 while the store is away; `/health` goes on."""
    with serving(on, "retry", TAMIZ_MODEL=MODEL) as (_, service):
        ready = {"status": "ready", "dependencies": {"bus": "ok", "store": "ok", MODEL: "ok"}}
        wait_until(lambda: service.get("/ready").json == ready, "all to answer")
        mongo.pause()
        try:
            missed = wait_until(lambda: _missed(service), "the store, and nothing else, to be missed")
            assert "does not answer" in str(missed)
            assert service.get("/health").json == {"status": "ok"}
        finally:
            mongo.resume()
        service.until_ready()
        assert service.get("/questions/nobody").status == 404


def _missed(service: Calling) -> str | None:
    """Give what is wrong with the store; `None` where it is all right, or not all that is wrong."""
    answer = service.get("/ready")
    wrong: dict[str, str] = {name: why for name, why in answer.json["dependencies"].items() if why != "ok"}
    return wrong["store"] if answer.status == 503 and [*wrong] == ["store"] else None


def test_nobody_is_asked_before_a_worker_has_been_there(on: OnCluster) -> None:
    with serving(on, "traffic") as (_, service):
        answer = _ask(service, 1)
        assert answer.status == 503
        assert "tamiz worker intake" in answer.json["detail"]
        assert answer.headers["retry-after"]


def test_one_process_serves_a_whole_cluster(on: OnCluster) -> None:
    """`tamiz serve --bus` hands questions to the workers, and has no stage of its own."""
    port = free_port()
    with (
        on.worker(model=MODEL),
        started("serve", "--port", str(port), cwd=on.folder, env=on.environment) as server,
    ):
        service = Calling(port)
        service.until_ready()
        _until_answered(service)
        server.process.send_signal(signal.SIGINT)
        code, said = server.end()
        assert code == 0, said
    assert not (on.folder / "tamiz.db").exists()


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("traffic",), "say --http"),
        (("judge", "persist", "--http", "--port", "1234"), "score, storage are 2 services"),
        (("judge", "--http", "--host", "192.0.2.1"), "tamiz keys make"),
    ],
)
def test_what_cannot_be_served_is_refused_at_once(args: tuple[str, ...], why: str, tmp_path: Path) -> None:
    nowhere = {"TAMIZ_BUS": "kafka:localhost:1", "TAMIZ_STORE": "mongodb://localhost:1/tamiz"}
    done = run_tamiz("worker", *args, cwd=tmp_path, env=nowhere)
    assert done.returncode == 2
    assert why in done.stderr
    assert len(done.stderr.splitlines()) <= 2
