"""`tamiz serve`, as whoever runs a service meets it."""

import signal
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from running import run_tamiz
from serve_command import call, served
from started import committed


def ask(url: str, number: int) -> str:
    """Hand a question in and give its id."""
    status, told = call(f"{url}/questions", {"title": f"Question {number}?", "reference": f"the answer {number}"})
    assert status in {200, 202}, told
    return str(told["message_id"])


def test_a_question_is_answered_and_its_answer_kept(tmp_path: Path) -> None:
    question = {"title": "What is the capital of Peru?", "reference": "Lima", "id": "17"}
    with served(tmp_path, model="simulated:") as (_, url):
        status, first = call(f"{url}/questions?wait=30", question)
        assert (status, first["outcome"], first["source"], first["id"]) == (200, "accepted", "model", "17")
        status, again = call(f"{url}/questions", question)
        assert (status, again["answer"], again["source"]) == (200, first["answer"], "cache")
        status, told = call(f"{url}/questions/{first['message_id']}")
        assert (status, told["outcome"], told["life"]["reference"]) == (200, "accepted", "Lima")
        assert call(f"{url}/questions/{'0' * 32}")[0] == 404
        assert call(f"{url}/health") == (200, {"status": "ok"})
        assert call(f"{url}/ready")[0] == 200
    shown = run_tamiz("show", first["message_id"], cwd=tmp_path)
    assert "Lima" in shown.stdout


def test_the_store_answers_after_a_restart(tmp_path: Path) -> None:
    for source in ("model", "store"):
        with served(tmp_path, model="simulated:") as (service, url):
            _, told = call(f"{url}/questions?wait=30", {"title": "Q?"})
            assert told["source"] == source
            service.process.send_signal(signal.SIGTERM)
            assert service.end()[0] == 0


def test_nothing_that_was_taken_in_is_lost_by_a_kill(tmp_path: Path) -> None:
    """Each question that was answered with 202 ends in one outcome, in this process or the next."""
    with served(tmp_path, "--concurrency", "8") as (service, url), ThreadPoolExecutor(8) as threads:
        asking = [threads.submit(ask, url, number) for number in range(200)]
        service.until(lambda: committed(tmp_path / "tamiz.db", "outcomes") > 30, "some outcomes")
        assert service.kill()
        ids = [each.result() for each in asking if each.exception() is None]
    assert ids
    with served(tmp_path) as (service, url):
        service.until(lambda: call(f"{url}/questions/{ids[-1]}")[1]["outcome"] is not None, "the last one's outcome")
        service.until(
            lambda: all(call(f"{url}/questions/{each}")[1]["outcome"] is not None for each in ids), "every outcome"
        )
        outcomes = Counter(call(f"{url}/questions/{each}")[1]["outcome"] for each in ids)
    assert outcomes["accepted"] > 0
    assert outcomes.total() == len(ids) == len(set(ids))


def test_a_signal_lets_calls_end(tmp_path: Path) -> None:
    """Who waits gets the answer; exit 0."""
    with served(tmp_path, model="simulated:?latency=1s") as (service, url), ThreadPoolExecutor(1) as threads:
        asking = threads.submit(call, f"{url}/questions?wait=30", {"title": "Slow?"})
        service.until(lambda: committed(tmp_path / "tamiz.db", "questions"), "the question")
        service.process.send_signal(signal.SIGTERM)
        code, said = service.end()
        assert code == 0, said
        assert asking.result()[1]["outcome"] == "accepted"


def test_who_never_ends_a_request_is_cut_off_without_a_trace(tmp_path: Path) -> None:
    """After the grace time; how many there were is said in a line."""
    with served(tmp_path) as (service, url):
        host, port = urlsplit(url).hostname, urlsplit(url).port
        with socket.create_connection((host, port)) as client:
            headers = ("Host: localhost", "Content-Length: 1000", "Expect: 100-continue")
            client.sendall("\r\n".join(("POST /questions HTTP/1.1", *headers, "", "")).encode())
            assert client.recv(100).startswith(b"HTTP/1.1 100")  # it waits for the body
            service.process.send_signal(signal.SIGTERM)
            code, said = service.end()
    assert code == 0, said
    assert "Cancel 1 running task" in said
    assert "Traceback" not in said


def test_beyond_this_machine_a_key_is_needed(tmp_path: Path) -> None:
    refused = run_tamiz("serve", "--host", "0.0.0.0", "--model", "simulated:", cwd=tmp_path)  # noqa: S104
    assert refused.returncode == 2
    assert "tamiz keys make" in refused.stderr


def test_with_keys_each_tenant_sees_its_own(tmp_path: Path) -> None:
    keys = {
        tenant: run_tamiz("keys", "make", tenant, cwd=tmp_path).stdout.strip() for tenant in ("acme", "bee", "operator")
    }
    with served(tmp_path, model="simulated:") as (service, url):
        assert call(f"{url}/questions", {"title": "Q?"})[0] == 401
        assert call(f"{url}/health")[0] == 200
        bearer = {tenant: {"authorization": f"Bearer {key}"} for tenant, key in keys.items()}
        _, mine = call(f"{url}/questions?wait=30", {"title": "Q?"}, headers=bearer["acme"])
        _, theirs = call(f"{url}/questions?wait=30", {"title": "Q?"}, headers={"x-api-key": keys["bee"]})
        assert (mine["source"], theirs["source"]) == ("model", "model"), "nothing is reused across tenants"
        where = f"{url}/questions/{mine['message_id']}"
        seen = {tenant: call(where, headers=headers)[0] for tenant, headers in bearer.items()}
        assert seen == {"acme": 200, "bee": 404, "operator": 200}
        for key in keys.values():
            assert key not in service.stderr.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--port", "99999"), "--port"),
        (("--host", "no such host"), "no such host"),
        (("--queue", "0"), "--queue"),
        (("--model", "nonsense"), "nonsense"),
    ],
)
def test_wrong_usage_is_told(tmp_path: Path, flags: tuple[str, ...], says: str) -> None:
    refused = run_tamiz("serve", "--model", "simulated:", *flags, cwd=tmp_path)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert refused.stderr.count("\n") <= 7


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with served(tmp_path) as (_, url):
        port = url.rpartition(":")[2]
        refused = run_tamiz("serve", "--model", "simulated:", "--port", port, cwd=tmp_path / "other")
    assert refused.returncode == 2
    assert "--port" in refused.stderr
