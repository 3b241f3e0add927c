import asyncio
import gzip
import json
import logging
import random
from collections.abc import Callable
from typing import Any

import pytest

from asking import KEY, ask, failure_of, model_of, talking
from fake_llm import Do, FakeLLM, Request, answer, completion, status
from tamiz.errors import Failed, FailureKind, ModelRefused, UsageError
from tamiz.models.openai import BODY_CAP, Timeouts

OVERLOAD, QUOTA, TIMEOUT, INVALID, FATAL = FailureKind


async def test_an_answer_comes_back_with_its_tokens() -> None:
    async with talking(answer("  Paris.\n"), system="Be brief.", max_tokens=9) as (model, llm):
        reply = await model.ask(ask())
    assert (reply.text, reply.model, reply.prompt_tokens, reply.completion_tokens) == ("Paris.", "fake-1", 7, 3)
    request = llm.requests[0]
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Capital of France?"}],
        "max_tokens": 9,
    }


async def test_later_attempts_vary_and_the_first_does_not() -> None:
    """A first attempt leaves sampling to the server; each later one differs from all before."""
    async with talking() as (model, llm):
        for attempt in (1, 2, 3, 9):
            await model.ask(ask(attempt=attempt, seed=100 + attempt))
    assert [body.get("seed") for body in llm.bodies] == [None, 102, 103, 109]
    assert [body.get("temperature") for body in llm.bodies] == [None, 0.7, 0.8, 1.0]


async def test_a_setting_that_the_server_does_not_take_is_left_out_from_then_on() -> None:
    def script(request: Request) -> Do:
        for field in ("temperature", "seed", "max_tokens"):
            if field in request.body:
                return status(400, {"code": "unsupported_parameter", "param": field, "message": f"no {field}"})
        return answer()

    async with talking(script, max_tokens=5) as (model, llm):
        assert (await model.ask(ask(attempt=2))).text == "Paris."
        assert (await model.ask(ask(attempt=3))).text == "Paris."
    assert len(llm.requests) == 5
    assert llm.bodies[-1] == {
        "model": "m",
        "messages": [{"role": "user", "content": "Capital of France?"}],
        "max_completion_tokens": 5,
    }


async def test_connections_are_pooled_and_calls_are_not_limited() -> None:
    """Hundreds of calls run at once, and calls after them reuse the connections."""
    running = 0

    def script(_: Request) -> Do:
        nonlocal running
        running += 1
        return answer(delay=0.2)

    async with talking(script) as (model, llm):
        await asyncio.gather(*(model.ask(ask()) for _ in range(300)))
        assert (running, llm.connections) == (300, 300)
        await asyncio.gather(*(model.ask(ask()) for _ in range(100)))
        assert llm.connections == 300


async def test_a_compressed_answer_is_read() -> None:
    async with talking(answer("Paris.", gzipped=True)) as (model, llm):
        assert (await model.ask(ask())).text == "Paris."
    assert "gzip" in llm.requests[0].headers["accept-encoding"]


@pytest.mark.parametrize(
    "do",
    [
        answer(headers={"content-type": "text/plain"}),
        answer(headers={"content-type": ""}),
        answer(drip=0.0005),
        answer(finish_reason=None),
        answer(refusal=None, tool_calls=[]),
        Do(body=json.dumps({**completion(), "error": None, "usage": None, "x": [[]]}).encode()),
        Do(body=json.dumps({"choices": [{"message": {"content": "Paris."}}]}).encode()),
    ],
)
async def test_what_does_not_matter_does_not_fail(do: Do) -> None:
    """A wrong content type, a slow body or a sparse completion is an answer all the same."""
    async with talking(do) as (model, _):
        assert (await model.ask(ask())).text == "Paris."


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (completion(None), "null"),
        (completion(" \n\t"), "blank"),
        (completion(""), "blank"),
        (completion(42), "not text"),
        (completion([{"type": "text", "text": "Paris."}]), "not text"),
        ({"choices": []}, "no choices"),
        ({"choices": None}, "no choices"),
        ({"id": "x"}, "no choices"),
        ({}, "no choices"),
        ({"choices": [{}]}, "no message"),
        ({"choices": ["Paris."]}, "no message"),
    ],
)
async def test_a_completion_without_an_answer_is_worth_another_call(body: Any, reason: str) -> None:
    """What looks like a success and holds nothing is a failed call that says what it holds, and may come back."""
    failure = await failure_of(Do(body=json.dumps(body).encode()))
    assert failure.kind is OVERLOAD
    assert reason in failure.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (completion(None, refusal="I cannot help with that."), "refused: I cannot help"),
        (completion("Par", refusal="I cannot."), "refused: I cannot"),
        (completion("Par", finish_reason="content_filter"), "content filter"),
        (completion("Par", finish_reason="length"), "cut off at max_tokens"),
    ],
)
async def test_a_completion_that_the_model_withheld_is_invalid(body: Any, reason: str) -> None:
    """Another call would end the same way: the question fails, and says why."""
    failure = await failure_of(Do(body=json.dumps(body).encode()))
    assert failure.kind is INVALID
    assert reason in failure.reason


@pytest.mark.parametrize(
    "text",
    [
        "Error: upstream unavailable",
        "error: 503 Service Unavailable",
        "Internal Server Error",
        "[ERROR] rate limit exceeded, try again later",
        "502 Bad Gateway: error",
    ],
)
async def test_a_servers_error_in_an_answers_clothes_is_no_answer(text: str) -> None:
    failure = await failure_of(answer(text))
    assert failure.kind is OVERLOAD
    assert text in failure.reason


@pytest.mark.parametrize(
    "text",
    [
        "ZeroDivisionError: division by zero",
        "Error: a mistake in a judgement or a belief.",
        "Error 404 means that the page was not found.",
        "An upstream server is unavailable when it does not answer.",
        "Timeout errors happen when a server is overloaded.",
    ],
)
async def test_an_answer_about_errors_is_an_answer(text: str) -> None:
    async with talking(answer(text)) as (model, _):
        assert (await model.ask(ask())).text == text


GOOD = json.dumps(completion()).encode()


@pytest.mark.parametrize(
    "do",
    [
        Do(body=b"<!DOCTYPE html><html>welcome</html>", headers={"content-type": "text/html"}),
        Do(body=b""),
        Do(body=b"OK"),
        Do(body=b"[]"),
        Do(body=b'"Paris."'),
        Do(body=GOOD[:40]),
        Do(body=json.dumps(completion("París"), ensure_ascii=False).encode("latin-1")),
        Do(body=json.dumps(completion("París")).encode("utf-16")),
        Do(body=b"[" * 100_000),
        Do(body=b'{"choices": [{"message": {"content": "x"}}], "x": ' + b"[" * 100_000),
        Do(body=GOOD.replace(b'"finish_reason": "stop"', b'"finish_reason": 5')),
        Do(body=b" " * (BODY_CAP + 1) + GOOD),
        Do(body=b" " * (BODY_CAP * 20) + GOOD, gzipped=True),
        Do(body=GOOD, stop_after=50),
        Do(body=GOOD, stop_after=50, reset=True),
        Do(body=gzip.compress(GOOD)[:-20], headers={"content-encoding": "gzip"}),
        Do(body=GOOD, headers={"content-encoding": "gzip"}),
        Do(body=GOOD, headers={"content-encoding": "deflate"}),
        Do(body=b"zz\r\n", headers={"transfer-encoding": "chunked", "content-length": ""}),
        Do(body=GOOD, headers={"content-length": "-5"}),
        Do(raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
        Do(raw=b"HTTP/1.1 999999 What\r\n\r\n"),
        Do(raw=b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000),
        Do(raw=b"\x16\x03\x01\x00"),
        Do(close=True),
        Do(reset=True),
    ],
)
async def test_rubbish_is_worth_another_try(do: Do) -> None:
    """A body or a connection that breaks is an overload, whatever breaks, and names the host."""
    failure = await failure_of(do)
    assert failure.kind is OVERLOAD
    assert failure.retry_at is None


async def test_random_bytes_are_never_more_than_a_failure() -> None:
    """A broken head, or broken bytes in a good one, ends in a typed failure or the right answer."""
    chance = random.Random(5)
    raw = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(GOOD) + GOOD

    def script(_request: Request) -> Do:
        broken = bytearray(raw)
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        return Do(raw=bytes(broken))

    async with talking(script, timeouts=Timeouts(total=2)) as (model, _):
        ends = await asyncio.gather(*(model.ask(ask()) for _ in range(200)), return_exceptions=True)
    wrong = [end for end in ends if isinstance(end, BaseException) and not isinstance(end, Failed | ModelRefused)]
    assert wrong == []


@pytest.mark.parametrize(
    "do", [answer(delay=10), Do(hang=True), Do(body=GOOD, stop_after=9, hang=True), answer(drip=0.05)]
)
async def test_a_slow_server_is_a_timeout(do: Do) -> None:
    """Silence, silence in mid-body and a trickle all end with the timeout."""
    failure = await failure_of(do, timeouts=Timeouts(total=0.3))
    assert failure.kind is TIMEOUT
    assert "in 0.3 s" in failure.reason


async def test_a_server_that_is_not_there_is_an_overload() -> None:
    async with FakeLLM() as llm:
        gone = llm.base_url
    for base_url, said in ((gone, "no connection to 127.0.0.1:"), ("http://no.such.host.invalid/v1", "no.such.host")):
        model = model_of(base_url)
        with pytest.raises(Failed, match=said) as failure:
            await model.ask(ask())
        await model.close()
        assert failure.value.kind is OVERLOAD


async def test_a_server_without_tls_is_an_overload() -> None:
    async with FakeLLM() as llm:
        model = model_of(llm.base_url.replace("http:", "https:"))
        with pytest.raises(Failed, match=r"TLS with 127\.0\.0\.1:\d+ failed|lost|no connection") as failure:
            await model.ask(ask())
        await model.close()
    assert failure.value.kind is OVERLOAD


async def test_a_cancelled_call_lets_go_of_its_connection() -> None:
    arrived = asyncio.Event()

    def script(request: Request) -> Do:
        arrived.set()
        return Do(hang=True) if request.number == 1 else answer()

    async with talking(script) as (model, _):
        call = asyncio.ensure_future(model.ask(ask()))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await model.ask(ask())).text == "Paris."


async def test_the_key_is_in_no_message_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """A server that repeats the key, wherever it does, does not get it into an error, its causes or a log."""
    echoes: list[Callable[[Request], Do]] = [
        lambda r: status(500, {"message": "x" * 280 + r.headers["authorization"]}),
        lambda r: status(400, r.headers["authorization"]),
        lambda r: status(418, {"detail": [r.headers["authorization"]]}),
        lambda r: Do(raw=r.headers["authorization"].encode() + b"\r\n\r\n"),
        lambda r: Do(body=r.headers["authorization"].encode()),
        lambda r: answer(None, refusal=r.headers["authorization"]),
        lambda r: answer("Error: upstream unavailable " + r.headers["authorization"]),
    ]
    with caplog.at_level(logging.DEBUG):
        for echo in echoes:
            failure: BaseException | None = await failure_of(echo)
            while failure is not None:
                assert KEY[:12] not in f"{failure} {failure!r}"
                failure = failure.__cause__
    assert KEY not in caplog.text


async def test_text_that_is_no_unicode_is_invalid() -> None:
    async with talking() as (model, llm):
        with pytest.raises(Failed) as failure:
            await model.ask(ask("\ud800"))
        assert failure.value.kind is INVALID
        assert llm.requests == []


@pytest.mark.parametrize(
    ("base_url", "key"),
    [("ftp://x/v1", None), ("nonsense", None), ("http://", None), ("http://u:p@x/v1", None), ("http://x", "a\nb")],
)
def test_what_no_request_can_carry_is_wrong_usage(base_url: str, key: str | None) -> None:
    with pytest.raises(UsageError) as error:
        model_of(base_url, api_key=key)
    assert "u:p" not in str(error.value)
    assert "a\nb" not in str(error.value)


async def test_without_a_key_none_is_sent() -> None:
    async with talking(api_key=None) as (model, llm):
        await model.ask(ask())
    assert "authorization" not in llm.requests[0].headers
