"""What is wrong with a request is told in one form, whichever call it is: the field, what it is, what it must be."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_service import service
from waiting import PATIENCE, until

PAIR: dict[str, Any] = {"answer": "x", "reference": "x"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with service(tmp_path) as running, running.client() as made:
        yield made


async def refused(client: httpx.AsyncClient, call: str, field: str | None, *said: str, **sent: Any) -> None:
    """Send what has to be refused, and look for its field and for words of the message."""
    method, _, path = call.partition(" ")
    answer = await client.request(method, path, **sent)
    assert (answer.status_code, answer.json().get("field")) == (400, field), answer.text
    for words in said:
        assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    ("call", "body", "field", "said"),
    [
        ("POST /questions", {}, "title", "title is missing; it must be a text of 1 to 200,000 characters"),
        ("POST /questions", {"title": 7}, "title", "title is 7; it must be a text"),
        (
            "POST /questions",
            {"title": "x" * 200_001},
            "title",
            "of 200,001 characters; it must be a text of 1 to 200,000",
        ),
        ("POST /questions", {"title": "x", "theshold": 1}, "theshold", "did you mean threshold?"),
        (
            "POST /questions",
            {"title": "x", "colour": 1},
            "colour",
            "there is title, content, reference, id and threshold",
        ),
        (
            "POST /questions",
            {"title": "x", "reference": ["y", 8]},
            "reference[1]",
            "reference[1] is 8; it must be a text",
        ),
        ("POST /questions", [], "body", "the body is a list of 0; it must be an object with title"),
        ("PUT /cache", {"title": "x"}, "answer", "answer is missing"),
        ("PUT /cache/policy", {"policy": "best", "size": 1}, "policy", "'best'; it must be fifo, lfu or lru"),
        ("PUT /cache/policy", {"policy": "lru", "size": 1, "ttl": 0}, "ttl", "it must be a number above 0"),
        ("PUT /policy", {"unscored": "drop"}, "unscored", "'drop'; it must be accept or retry"),
        ("PUT /policy", {"attempts": 0}, "attempts", "attempts is 0; it must be a whole number from 1 to 1,000"),
        ("POST /score", {**PAIR, "scorer": "best"}, "scorer", "'best'; choose from: gate, gate-vectors, tfidf"),
        ("POST /score/batch", {"pairs": [], "scorer": "best"}, "scorer", "'best'; choose from: gate"),
        ("POST /score/batch", {"pairs": [PAIR, {"answer": 8}]}, "pairs[1].answer", "pairs[1].answer is 8"),
        ("POST /score/batch", {"pairs": [PAIR, {}]}, "pairs[1].answer", "pairs[1].answer is missing"),
        ("POST /score/batch", {"pairs": [{**PAIR, "wrong": 8}]}, "pairs[0].wrong", "pairs[0].wrong is not known"),
        ("POST /traffic", {"dataset": "mine"}, "dataset", "'mine'; it must be given, sample or stored"),
        (
            "POST /traffic",
            {"arrivals": "now"},
            "arrivals",
            "'now'; it must be poisson, uniform, constant, burst, diurnal or max",
        ),
        ("POST /traffic", {"arrivals": "burst:up=1s"}, "arrivals", "'up'"),
        ("POST /traffic", {"popularity": "mine"}, "popularity", "no popularity 'mine': choose one of zipf"),
        ("POST /session", {"key": ""}, "key", "key is the text ''; it must be a text of 1 to 1,000 characters"),
    ],
)
async def test_a_wrong_field_of_a_body_is_named(
    client: httpx.AsyncClient, call: str, body: object, field: str, said: str
) -> None:
    await refused(client, call, field, said, json=body)


@pytest.mark.parametrize(
    ("call", "field", "said"),
    [
        ("POST /questions?wait=301", "wait", "wait is '301'; it must be a number from 0 to 300"),
        ("POST /questions?wait=soon", "wait", "wait is 'soon'; it must be a number"),
        ("POST /questions?wiat=3", "wiat", "wiat is not known; did you mean wait?"),
        ("POST /cache/lookup?wait=3", "wait", "wait is not known; there is none that it takes"),
        ("GET /answers?outcome=accepted&outcome=good", "outcome", "'good'; it must be accepted, exhausted or failed"),
        (
            "GET /answers?tenant=ana",
            "tenant",
            "tenant is not known; there is outcome, min_score, limit, after and dataset",
        ),
        ("GET /answers?dataset=mine", "dataset", "'mine'; it must be a data set's id"),
        ("GET /export?format=xlsx", "format", "'xlsx'; it must be csv, jsonl or parquet"),
        ("GET /stats?tenant=ana", "tenant", "tenant is not known"),
        ("GET /stats?=ana", "''", "'' is not known"),
        ("GET /cache/preview?size=5", "policy", "policy is missing; it must be fifo, lfu or lru"),
        ("GET /cache/preview?policy=lru", "size", "size is missing; it must be a whole number from 0"),
        ("GET /cache/preview?policy=best&size=5", "policy", "'best'; it must be fifo, lfu or lru"),
    ],
)
async def test_a_wrong_parameter_of_a_url_is_named(client: httpx.AsyncClient, call: str, field: str, said: str) -> None:
    body = {"json": {"title": "x"}} if call.startswith("POST") else {}
    await refused(client, call, field, said, **body)


@pytest.mark.parametrize("path", ["/", "/assets/page.js", "/docs", "/health", "/ready", "/metrics", "/v1/models"])
async def test_what_others_add_to_a_url_does_no_harm(client: httpx.AsyncClient, path: str) -> None:
    """Browsers, monitors and clients of OpenAI's API add parameters of their own."""
    assert (await client.get(f"{path}?api-version=1&t=2")).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty; it must be JSON: an object with title"),
        (b'{"title": "x', "the body cannot be read: Unterminated string starting at: line 1 column 11"),
        (b'{"title": "x",}', "the body cannot be read"),
        (b'{"title": "\\ud800"}', "half of a surrogate pair"),
        (b'{"title": "\xff"}', "the body is not UTF-8 (byte 0xff at 11)"),
        (b'{"title": NaN}', "the body cannot be read"),
    ],
)
@pytest.mark.parametrize("path", ["/questions", "/cache/lookup"])
async def test_a_body_that_cannot_be_read_is_told_as_that(
    client: httpx.AsyncClient, path: str, body: bytes, said: str
) -> None:
    await refused(client, f"POST {path}", "body", said, content=body)


@pytest.mark.parametrize(
    ("call", "body", "field"),
    [
        ("POST /questions", {"title": "x", "threshold": "0.3"}, "threshold"),
        ("POST /cache/lookup", {"title": "x", "threshold": "0.3"}, "threshold"),
        ("PUT /cache", {"title": "x", "answer": "y", "score": "1"}, "score"),
        ("PUT /cache/policy", {"policy": "lru", "size": "5"}, "size"),
        ("PUT /policy", {"threshold": "0.3"}, "threshold"),
        ("POST /traffic", {"total": "5"}, "total"),
        ("POST /questions", {"title": True}, "title"),
        ("PUT /policy", {"attempts": True}, "attempts"),
    ],
)
async def test_a_text_is_no_number(client: httpx.AsyncClient, call: str, body: object, field: str) -> None:
    await refused(client, call, field, f"{field} is ", json=body)


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"title": "   "}, "title"),
        ({"title": "\u2003\n"}, "title"),
        ({"title": "a\0b"}, "title"),
        ({"title": "\0"}, "title"),
        ({"title": "x", "content": "a\0"}, "content"),
        ({"title": "x", "id": "\0a"}, "id"),
        ({"title": "x", "reference": "a\0"}, "reference"),
        ({"title": "x", "reference": ["a", "\0"]}, "reference[1]"),
    ],
)
async def test_a_question_that_no_file_could_hold_is_refused(
    client: httpx.AsyncClient, question: dict[str, Any], field: str
) -> None:
    """So that what is exported can be taken in again."""
    await refused(client, "POST /questions", field, json=question)
    await refused(client, "POST /traffic", f"questions[0].{field}", json={"questions": [question]})


async def test_an_empty_query_is_none(client: httpx.AsyncClient) -> None:
    for path in ("/cache/lookup?", "/cache/lookup?&", "/questions?", "/questions?&"):
        assert (await client.post(path, json={"title": "x"})).is_success


async def test_texts_with_blanks_and_line_feeds_are_questions(client: httpx.AsyncClient) -> None:
    for title in ("x\n", "\n x", " \n\tx\n\n", "\u200b"):
        assert (await client.post("/questions", json={"title": title, "content": "\n", "id": ""})).is_success


@pytest.mark.parametrize(
    ("body", "columns", "field", "said"),
    [
        (b"question\nx\n", "question=Z", "columns", "has no column 'Z' for question"),
        (b"question\nx\n", "question=", "columns", "?columns: 'question=' names no column"),
        (b"a\nx\n", "", "body", "?columns=question=NAME"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "", "body", "the body is gzip data, not CSV; decompress it"),
        (b"PAR1", "", "body", "the body is Parquet data, not CSV; send its rows as CSV or JSON Lines"),
    ],
)
async def test_what_is_wrong_with_a_data_set_is_told_as_of_a_request(
    client: httpx.AsyncClient, body: bytes, columns: str, field: str, said: str
) -> None:
    sent: dict[str, Any] = {"content": body, "headers": {"content-type": "text/csv"}}
    await refused(client, f"POST /datasets?columns={columns}", field, said, **sent)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/export", "application/jsonl"),
        ("/export?format=jsonl", "application/jsonl"),
        ("/export?format=csv", "text/csv; charset=utf-8"),
        ("/export?format=parquet", "application/vnd.apache.parquet"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/", "text/html; charset=utf-8"),
        ("/docs", "text/html; charset=utf-8"),
        ("/health", "application/json"),
        ("/events", "text/event-stream"),
    ],
)
async def test_head_tells_what_get_would_and_of_what_kind_it_is(
    client: httpx.AsyncClient, path: str, kind: str
) -> None:
    head = await client.head(path)
    assert (head.status_code, head.headers["content-type"], head.content) == (200, kind, b"")
    async with client.stream("GET", path) as got:
        assert (got.status_code, got.headers["content-type"]) == (200, kind)
        if path in {"/", "/docs", "/health"}:
            assert head.headers["content-length"] == got.headers["content-length"] != "0"


async def test_head_ends_at_once_what_get_streams_and_is_counted(tmp_path: Path) -> None:
    async with service(tmp_path) as running, running.client() as client:
        assert (await client.head("/events")).status_code == 200
        board = running.context.board
        assert board is not None
        await until(lambda: board.listeners == 0, "the stream to end")
        assert 'method="HEAD",route="/events",status="200"} 1.0' in (await client.get("/metrics")).text


async def test_head_of_what_takes_no_get_is_refused(client: httpx.AsyncClient) -> None:
    for path in ("/questions", "/cache/lookup", "/v1/chat/completions", "/datasets"):
        answer = await client.head(path)
        assert (answer.status_code, "POST" in answer.headers["allow"]) == (405, True)
    assert (await client.head("/nothing")).status_code == 404
    answer = await client.put("/health")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert "GET, HEAD, OPTIONS" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/models", "GET, HEAD, OPTIONS"),
        ("/questions", "OPTIONS, POST"),
        ("/policy", "GET, HEAD, OPTIONS, PUT"),
        ("/cache/lookup", "OPTIONS, POST"),
        ("/v1/chat/completions", "OPTIONS, POST"),
    ],
)
async def test_options_tells_what_there_is(client: httpx.AsyncClient, path: str, methods: str) -> None:
    answer = await client.options(path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, methods, b"")


async def test_a_slash_at_the_end_makes_no_difference(client: httpx.AsyncClient) -> None:
    chat = {"model": "tamiz", "messages": [{"role": "user", "content": "x"}]}
    for path, body in (
        ("/v1/chat/completions/", chat),
        ("/cache/lookup/", {"title": "x"}),
        ("/questions/", {"title": "x"}),
    ):
        assert (await client.post(path, json=body)).status_code in {200, 202}
    assert (await client.get("/v1/chat/completions/")).status_code == 405
    assert 'route="/v1/chat/completions",status="200"' in (await client.get("/metrics")).text


HANGS_UP = ["/questions", "/datasets", "/cache/lookup", "/score", "/v1/chat/completions", "/dead-letters/replay"]


@pytest.mark.parametrize("path", HANGS_UP)
async def test_who_hangs_up_within_a_body_is_no_failure_of_the_service(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """It is counted as 499 and not worth a line in the log."""
    async with service(tmp_path) as running, running.client() as client:
        kind = "text/csv" if path == "/datasets" else "application/json"
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 500\r\n\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(head.encode() + b'{"title": "What is t')
        await writer.drain()
        writer.close()
        async with asyncio.timeout(PATIENCE):
            while f'method="POST",route="{path}",status="499"}} 1.0' not in (await client.get("/metrics")).text:
                pass
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
