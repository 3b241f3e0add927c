"""What becomes of clients that wait, and of questions whose clients do not."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from chatting import HELLO, chatting, client_of, gate, until_known_down
from fake_llm import Do, FakeLLM, answer, status
from http_service import ANA, BEN, KEYS, Running, service
from manual_clock import at_once
from tamiz.http.openai import front
from waiting import until


@pytest.fixture
def alive_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "_KEEP_ALIVE", 0.05)


async def lines_of(running: Running, body: dict[str, Any]) -> AsyncIterator[str]:
    """Give the lines of a stream as they come, without blank ones."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{running.url}/v1/chat/completions", json={"stream": True, **body}) as response,
    ):
        assert response.status == 200
        async for line in response.content:
            if text := line.decode().strip():
                yield text


async def read_all(client: openai.AsyncOpenAI, *, stream: bool, wait: float) -> None:
    """Ask, and read the answer to its end."""
    told: Any = await client.chat.completions.create(
        model="tamiz", messages=HELLO, stream=stream, extra_body=gate(wait=wait)
    )
    async for _ in told:
        pass


async def ended(running: Running, message_id: str) -> Any:
    """Wait for a question's outcome and give what is told of it."""
    for _ in range(1500):
        told = await running.get(f"/questions/{message_id}")
        if told["outcome"] is not None:
            return told
        await asyncio.sleep(0.02)
    raise TimeoutError(message_id)


async def until_parked(running: Running, count: int) -> None:
    """Wait until so many questions wait for the answer to an identical one."""
    await until(lambda: at_once(running.embedded.waiting())["parked"] == count, f"{count} to wait for another one")


async def test_identical_requests_share_one_call(tmp_path: Path) -> None:
    """Streamed or not, and whoever their users are; only the one that was asked has used tokens."""
    answers = threading.Event()
    async with chatting(tmp_path, answer(after=answers)) as (client, llm, running):
        ask = client.chat.completions.with_raw_response.create
        asking = asyncio.gather(*(ask(model="tamiz", messages=HELLO, user=f"u{n}") for n in range(20)))
        await until_parked(running, 19)
        answers.set()
        raws = await asking
        stream = await client.chat.completions.create(model="tamiz", messages=HELLO, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Paris."
    assert len(llm.requests) == 1
    assert Counter(raw.headers["x-tamiz-source"] for raw in raws) == {"model": 1, "coalesced": 19}
    used = [raw.parse().usage for raw in raws]
    assert sum(each.total_tokens for each in used if each) == 10
    assert len({raw.headers["x-tamiz-message-id"] for raw in raws}) == 20


async def test_other_settings_or_tenants_make_another_request(tmp_path: Path) -> None:
    async with (
        chatting(tmp_path, keys=KEYS) as (_, llm, running),
        client_of(running, key=ANA) as client,
        client_of(running, key=BEN) as other,
    ):
        for who, options in ((client, {}), (client, {"temperature": 0.5}), (client, {"seed": 1}), (other, {})):
            for source in ("model", "cache"):
                given: Any = options
                raw = await who.chat.completions.with_raw_response.create(model="tamiz", messages=HELLO, **given)
                assert raw.headers["x-tamiz-source"] == source
    assert len(llm.requests) == 4


async def test_an_unknown_key_is_refused_in_the_clients_own_words(tmp_path: Path) -> None:
    async with (
        chatting(tmp_path, keys=KEYS) as (_, llm, running),
        client_of(running, key=f"{ANA}-of-nobody") as stranger,
    ):
        with pytest.raises(openai.AuthenticationError, match="this API key is not known") as refused:
            await stranger.chat.completions.create(model="tamiz", messages=HELLO)
        assert refused.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            await stranger.models.list()
    assert not llm.requests


async def test_a_client_that_goes_away_cancels_nothing(tmp_path: Path) -> None:
    """Who still waits, and who asks again, gets the answer, and it is asked for once."""
    answers = threading.Event()
    async with chatting(tmp_path, answer(after=answers)) as (client, llm, running):
        patient = asyncio.create_task(client.chat.completions.create(model="tamiz", messages=HELLO))
        with pytest.raises(openai.APITimeoutError):
            await client.with_options(timeout=0.3).chat.completions.create(model="tamiz", messages=HELLO)
        again = asyncio.create_task(client.chat.completions.create(model="tamiz", messages=HELLO))
        await until_parked(running, 2)
        answers.set()
        assert [(await each).choices[0].message.content for each in (patient, again)] == ["Paris.", "Paris."]
    assert len(llm.requests) == 1


async def test_nobody_is_waited_for_who_has_gone(tmp_path: Path) -> None:
    """The handler ends with its client; the question stays."""
    async with chatting(tmp_path, Do(hang=True)) as (client, llm, running):
        asking = asyncio.create_task(client.chat.completions.create(model="tamiz", messages=HELLO))
        queue = running.embedded.queue
        await until(lambda: llm.requests and queue.waited_for(), "the question to be asked")
        asking.cancel()
        await until(lambda: not queue.waited_for(), "its handler to end")
        assert len(queue) == 1


@pytest.mark.usefixtures("alive_often")
async def test_nobody_is_waited_for_who_has_stopped_reading(tmp_path: Path) -> None:
    async with chatting(tmp_path, Do(hang=True)) as (_, _, running):
        async for line in lines_of(running, {"model": "tamiz", "messages": HELLO}):
            assert line == ": keep-alive"
            break
        await until(lambda: not running.embedded.queue.waited_for(), "its handler to end")
        assert len(running.embedded.queue) == 1


async def test_patience_has_an_end_and_the_question_goes_on(tmp_path: Path) -> None:
    answers = threading.Event()
    async with chatting(tmp_path, answer(after=answers)) as (client, llm, running):
        with pytest.raises(openai.InternalServerError, match=r"no answer within 0\.2 s") as late:
            await client.chat.completions.create(model="tamiz", messages=HELLO, extra_body=gate(wait=0.2))
        error: Any = late.value.body
        assert (late.value.status_code, error["code"]) == (504, "still_open")
        assert late.value.response.headers["retry-after"]
        ask = client.chat.completions.with_raw_response.create
        again = asyncio.ensure_future(ask(model="tamiz", messages=HELLO))
        await until_parked(running, 1)
        answers.set()
        assert (await again).headers["x-tamiz-source"] == "coalesced"
        assert (await ended(running, error["message_id"]))["answer"] == "Paris."
    assert len(llm.requests) == 1


@pytest.mark.usefixtures("alive_often")
async def test_a_stream_is_kept_alive_and_says_how_it_ended(tmp_path: Path) -> None:
    answers, lines = threading.Event(), list[str]()
    async with chatting(tmp_path, answer(after=answers)) as (_, _, running):
        async for line in lines_of(running, {"model": "tamiz", "messages": HELLO}):
            lines.append(line)
            if len(lines) == 3:
                answers.set()
    *_, last, done = lines
    assert lines[:3] == [": keep-alive"] * 3
    assert '"outcome":"accepted"' in last
    assert '"source":"model"' in last
    assert done == "data: [DONE]"


@pytest.mark.usefixtures("alive_often")
async def test_the_client_reads_a_stream_that_is_kept_alive(tmp_path: Path) -> None:
    async with chatting(tmp_path, answer(delay=0.5)) as (client, _, _):
        stream = await client.chat.completions.create(model="tamiz", messages=HELLO, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Paris."


@pytest.mark.usefixtures("alive_often")
async def test_an_error_after_the_stream_has_begun_is_an_event(tmp_path: Path) -> None:
    async with chatting(tmp_path, status(400, {"message": "the prompt is too long"}, delay=0.5)) as (client, _, _):
        with pytest.raises(openai.APIError, match="the prompt is too long") as failed:
            await read_all(client, stream=True, wait=30)
    assert not isinstance(failed.value, openai.APIStatusError), "the status was 200"
    assert failed.value.code == "invalid"


async def test_an_error_before_that_is_one_of_http(tmp_path: Path) -> None:
    async with chatting(tmp_path, status(400, {"message": "the prompt is too long"})) as (client, _, _):
        with pytest.raises(openai.BadRequestError, match="the prompt is too long"):
            await client.chat.completions.create(model="tamiz", messages=HELLO, stream=True)


@pytest.mark.usefixtures("alive_often")
@pytest.mark.parametrize("stream", [False, True])
async def test_an_outage_is_told_in_time_and_the_question_kept(tmp_path: Path, *, stream: bool) -> None:
    """Nobody is there: the endpoint is paused, and when it is back the question is answered."""
    async with FakeLLM() as gone:
        url = gone.base_url
    async with service(tmp_path, model=f"openai+{url}#fake-1") as running, client_of(running) as client:
        with pytest.raises(openai.APIError, match=r"no answer within 0\.5 s; the question is kept") as late:
            await read_all(client, stream=stream, wait=0.5)
        error: Any = late.value.body
        await until_known_down(running)
        now = (await running.get("/models"))["models"][0]
        assert (now["kind"], now["errors"]) == ("overload", {"overload": now["errors"]["overload"]})
        assert "no connection" in now["why"]
        assert now["paused_until"] > now["down_since"]
        async with FakeLLM(port=int(url.rpartition(":")[2].partition("/")[0])) as back:
            outcome = await ended(running, error["message_id"])
            assert len(back.requests) == 1
    assert (outcome["outcome"], outcome["answer"]) == ("accepted", "Paris.")


async def test_a_server_that_keeps_failing_is_a_503(tmp_path: Path) -> None:
    async with chatting(tmp_path, status(500, {"message": "boom"}), retries=1) as (client, llm, _):
        with pytest.raises(openai.InternalServerError, match=r"2 failed calls, the last: .* 500: boom") as failed:
            await client.chat.completions.create(model="tamiz", messages=HELLO)
    assert failed.value.status_code == 503
    assert int(failed.value.response.headers["retry-after"]) >= 1
    assert failed.value.code == "overload"
    assert len(llm.requests) == 2


async def test_a_full_queue_is_a_429(tmp_path: Path) -> None:
    answers = threading.Event()
    async with chatting(tmp_path, answer(after=answers), queue=1) as (client, llm, running):
        first = asyncio.create_task(client.chat.completions.create(model="tamiz", messages=HELLO))
        await until(lambda: llm.requests, "the first to be asked")
        with pytest.raises(openai.RateLimitError, match="1 questions are open") as refused:
            await client.chat.completions.create(model="tamiz", messages=[*HELLO, *HELLO])
        assert int(refused.value.response.headers["retry-after"]) >= 1
        answers.set()
        assert (await first).choices
        assert running.embedded.queue.refused == 1


async def test_who_waits_when_the_service_stops_is_told(tmp_path: Path) -> None:
    """The question is kept, and the next process answers it."""
    async with FakeLLM(answer(delay=30)) as llm:
        url = f"openai+{llm.base_url}#fake-1"
        async with service(tmp_path, model=url) as running, client_of(running) as client:
            waiting = asyncio.create_task(client.chat.completions.create(model="tamiz", messages=HELLO))
            await until(lambda: llm.requests, "the question to be asked")
            running.embedded.stop(grace=False)
            with pytest.raises(openai.InternalServerError, match="the service is stopping; the question is") as told:
                await waiting
            assert told.value.status_code == 503
            with pytest.raises(openai.InternalServerError, match="stopping"):
                await client.chat.completions.create(model="tamiz", messages=[*HELLO, *HELLO])
        llm.script = answer()
        async with service(tmp_path, model=url) as running:
            outcome = await ended(running, told.value.response.headers["x-tamiz-message-id"])
    assert outcome["answer"] == "Paris."
