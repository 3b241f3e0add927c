"""What processes tell of their work: logs, metrics and traces, as an operator gets them."""

import json
import signal
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from calling import Calling, free_port
from collector import collecting
from on_cluster import OnCluster
from started import Started, started
from waiting import wait_until

MODEL: Final = "simulated:?latency=10ms&quality=0.6&overload=0.2&seed=7"
ABOVE: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SECRETS: Final = {
    "OPENAI_API_KEY": "sk-this-is-my-key-0123456789",
    "TAMIZ_API_KEYS": "acme:tz-a-key-of-acme-0123456789abcdef",
    "KAFKA_SASL_PASSWORD": "password-of-kafka",
}
KEY: Final = SECRETS["TAMIZ_API_KEYS"].partition(":")[2]


def _lines(process: Started) -> list[dict[str, Any]]:
    """Give what a process logged, each line decoded."""
    return [json.loads(line) for line in process.stderr.read_text(encoding="utf-8").splitlines()]


def _sums(pages: list[str], name: str, *labels: str) -> Counter[tuple[str, ...]]:
    """Add up the samples of a counter on several pages, by these labels."""
    sums: Counter[tuple[str, ...]] = Counter()
    for page in pages:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == name:
                    sums[tuple(sample.labels[label] for label in labels)] += int(sample.value)
    return sums


def _service(ports: dict[str, int], name: str) -> Calling:
    return Calling(ports[name], headers={"authorization": f"Bearer {KEY}"})


@pytest.mark.xdist_group("cluster")
def test_a_question_s_way_through_a_cluster_can_be_followed(on: OnCluster, tmp_path: Path) -> None:
    """One trace over three processes, below whoever asked; each hop a line of JSON; metrics that add up; no secret."""
    processes = {"front": ("traffic",), "calls": ("intake", "generate", "retry"), "rest": ("judge", "persist")}
    ports = {"front": free_port()}
    with ExitStack() as stack:
        collector = stack.enter_context(collecting())
        running = {}
        for name, stages in processes.items():
            env = {
                **on.environment,
                **SECRETS,
                "TAMIZ_MODEL": MODEL,
                "TAMIZ_LOG": "json",
                "TAMIZ_LOG_LEVEL": "debug",
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "OTEL_SERVICE_NAME": name,
            }
            serving = ("--http", "--port", str(ports[name])) if name in ports else ()
            running[name] = stack.enter_context(started("worker", *stages, *serving, cwd=tmp_path, env=env))
        service = _service(ports, "front")
        service.until_ready()

        def ask(number: int) -> Any:
            body = {"title": f"Question {number}?", "reference": f"the reference is ref{number}"}
            return service.post("/questions?wait=30", body, traceparent=ABOVE)

        wait_until(lambda: ask(0).status == 200, "the first answer")
        asked = [ask(number).json["message_id"] for number in range(1, 21)]
        on.until_quiet()
        page = service.get("/metrics").text
        for process in running.values():
            process.process.send_signal(signal.SIGTERM)
        for process in running.values():
            code, said = process.end()
            assert code == 0, said
        spans, logs = collector.spans, {name: _lines(process) for name, process in running.items()}
        told = "".join(process.stderr.read_text() + process.stdout.read_text() for process in running.values())

    # one trace, from the request that asked to the record of its outcome, in three processes
    assert {span.trace_id for span in spans if span.message_id} == {ABOVE[3:35]}
    for message_id in asked:
        own = [span for span in spans if span.message_id == message_id]
        names = {(span.service, span.name) for span in own}
        assert names >= {("calls", "intake"), ("calls", "generate"), ("rest", "judge"), ("rest", "persist")}
        (question,) = (span for span in own if span.name == "question")
        assert {span.parent for span in own if span is not question} == {question.span_id}
        (request,) = (span for span in spans if span.span_id == question.parent)
        assert (request.service, request.name, request.parent) == ("front", "POST /questions", ABOVE[36:52])

    # each hop, each outcome and each request is a line with both ids
    for message_id in asked:
        logged = [line for lines in logs.values() for line in lines if line.get("message_id") == message_id]
        assert {line["trace_id"] for line in logged} == {ABOVE[3:35]}
        hops = {line["stage"] for line in logged if line["message"] == "hop"}
        assert hops >= {"intake", "generate", "judge", "persist"}
        assert sum(line["message"] == "outcome" for line in logged) == 1
        (request_line,) = (line for line in logged if line["message"] == "request")
        assert (request_line["route"], request_line["tenant"]) == ("/questions", "acme")
        assert request_line["status"] == 200

    # metrics have routes, never paths
    routes = _sums([page], "tamiz_http_request_seconds_count", "route", "status")
    assert routes["/questions", "200"] >= 20
    assert not [route for route, _ in routes if route not in {"", "/questions", "/ready", "/health", "/metrics"}]
    assert _sums([page], "tamiz_questions_asked_total")[()] >= 20
    for secret in (*(value.rpartition(":")[2] for value in SECRETS.values()), "Bearer"):
        assert secret not in told
        assert secret not in page
        assert secret not in str(collector.headers)


def test_the_metrics_of_a_service_are_what_its_store_says(tmp_path: Path) -> None:
    """Outcomes, attempts and failed calls, counted in passing, are those that were recorded."""
    port = free_port()
    env = {"TAMIZ_LOG": "json"}
    with started("serve", "--model", MODEL, "--port", str(port), cwd=tmp_path, env=env) as server:
        service = Calling(port)
        service.until_ready()
        lives = []
        for number in [*range(40), *range(10)]:
            body = {"title": f"Question {number}?", "reference": f"the reference is ref{number}"}
            where = f"/questions/{service.post('/questions?wait=30', body).json['message_id']}"
            # an answer that is known at once is recorded a moment after it was given
            wait_until(lambda: service.get(where).status == 200, "it to be recorded")  # noqa: B023 - awaited here
            lives.append(service.get(where).json)
        page = service.get("/metrics").text
        server.process.send_signal(signal.SIGTERM)
        assert server.end()[0] == 0
        lines = _lines(server)
    outcomes = Counter((life["outcome"], life["source"]) for life in lives)
    assert len(outcomes) >= 2
    assert _sums([page], "tamiz_questions_total", "outcome", "source") == outcomes
    tried = Counter(each["result"] for life in lives for each in life["life"]["tried"])
    refused = tried.pop("refused")
    accepted = outcomes["accepted", "model"]
    verdicts = _sums([page], "tamiz_attempts_total", "verdict")
    assert (verdicts["accepted",], verdicts["refused",]) == (accepted, refused)
    assert _sums([page], "tamiz_retries_total", "kind") == {(kind,): count for kind, count in tried.items()}
    results = _sums([page], "tamiz_model_calls_total", "result")
    assert results == {("answered",): accepted + refused, **{(kind,): count for kind, count in tried.items()}}
    assert _sums([page], "tamiz_queue_length")[()] == 0
    assert sum(line["message"] == "outcome" for line in lines) == 50
    assert sum(line["message"] == "request" and line["route"] == "/questions" for line in lines) == 50


def test_an_error_at_the_start_is_a_line_of_json(tmp_path: Path) -> None:
    env = {"TAMIZ_LOG": "json", "TAMIZ_MODEL": MODEL, "TAMIZ_BUS": "kafka:localhost:1", "TAMIZ_STORE": "mongodb://h/d"}
    with started("serve", "--port", str(free_port()), cwd=tmp_path, env=env) as server:
        assert server.end()[0] == 1
        *_, last = _lines(server)
    assert last["level"] == "error"
    assert "no Kafka broker answers" in last["message"]


def test_a_collector_that_is_away_holds_nothing_up(tmp_path: Path) -> None:
    """The service answers, and ends; that spans are lost is said."""
    port = free_port()
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with started("serve", "--model", MODEL, "--port", str(port), cwd=tmp_path, env=env) as server:
        service = Calling(port)
        service.until_ready()
        assert service.post("/questions?wait=30", {"title": "What?", "reference": "the reference is 1"}).status == 200
        server.process.send_signal(signal.SIGTERM)
        code, said = server.end()
    assert code == 0, said
    assert "Traceback" not in said
