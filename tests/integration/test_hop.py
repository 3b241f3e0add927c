"""The hop, stage and endpoint and client together, against a server over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from asking import KEY, model_of
from fake_llm import Do, FakeLLM, Request, answer, completion, status
from strategies import requested
from tamiz.clock import SystemClock
from tamiz.errors import FailureKind
from tamiz.messages import LlmError, LlmResponse
from tamiz.models.endpoint import Endpoint
from tamiz.models.fleet import Fleet
from tamiz.models.openai import Timeouts
from tamiz.stages.generate import Generate


@asynccontextmanager
async def hop(llm: FakeLLM, ceiling: int = 64) -> AsyncIterator[tuple[Generate, Endpoint]]:
    clock = SystemClock()
    endpoint = Endpoint(model_of(llm.base_url, clock=clock), clock, ceiling)
    fleet = Fleet([endpoint], clock=clock)
    try:
        yield Generate(fleet, "{}{}".format, clock, 0), endpoint
    finally:
        await fleet.close()


async def ask(stage: Generate, count: int, workers: int) -> list[LlmResponse | LlmError]:
    """Ask so many questions from many workers; a question that was refused is asked again a little later."""
    ended: list[LlmResponse | LlmError] = []
    todo = [requested(message_id=f"m{n}", title=f"Question {n}", content="") for n in range(count)]

    async def worker() -> None:
        while todo:
            request = todo.pop()
            call = stage.admit(request)
            if not callable(call):
                todo.append(request)
                await asyncio.sleep(0.001)
                continue
            (outcome,) = (await call()).emit
            assert isinstance(outcome, LlmResponse | LlmError)
            ended.append(outcome)
            if isinstance(outcome, LlmError):
                todo.insert(0, request)

    await asyncio.gather(*(worker() for _ in range(workers)))
    return ended


@pytest.mark.parametrize(("capacity", "queue"), [(4, 2), (12, 0)])
async def test_the_capacity_of_a_server_is_found(capacity: int, queue: int) -> None:
    """All of it is used, little more is asked, and every question is answered."""
    async with FakeLLM(answer(delay=0.01), capacity=capacity, queue=queue) as llm, hop(llm) as (stage, endpoint):
        ended = await ask(stage, 600, workers=32)
    assert sum(isinstance(each, LlmResponse) for each in ended) == 600
    assert llm.served_at_once == capacity
    assert llm.refused <= 40
    assert endpoint.limit <= capacity + queue + 1


async def test_a_stated_rate_limit_is_never_run_into() -> None:
    """Of twenty requests a second, as the headers have it, not one too many is made."""
    window: list[int] = [0]
    refused: list[int] = []

    def script(request: Request) -> Do:
        now = asyncio.get_running_loop().time()
        if int(now) != window[0]:
            window[:] = [int(now)]
        window.append(request.number)
        left = 20 - len(window) + 1
        if left < 0:
            refused.append(request.number)
            return status(429, {"message": "Rate limit reached: requests per second"})
        headers = {
            "x-ratelimit-limit-requests": "20",
            "x-ratelimit-remaining-requests": str(left),
            "x-ratelimit-reset-requests": f"{int(now) + 1 - now:.3f}s",
        }
        return answer(headers=headers, delay=0.005)

    async with FakeLLM(script) as llm, hop(llm, ceiling=8) as (stage, _):
        ended = await ask(stage, 50, workers=8)
    assert sum(isinstance(each, LlmResponse) for each in ended) == 50
    assert refused == []


async def test_a_quota_is_asked_for_by_one_call_in_flight_at_most() -> None:
    script = status(429, {"code": "insufficient_quota"}, headers={"retry-after": "30"})
    async with FakeLLM(script) as llm, hop(llm) as (stage, endpoint):
        (error,) = (await stage.handle(requested())).emit
        assert isinstance(error, LlmError)
        assert (error.kind, error.outage) == (FailureKind.QUOTA, True)
        later = await stage.handle(requested(message_id="m2"))
        assert not later.emit
        (deferred,) = later.defer
        assert deferred.due == endpoint.state.opens_at == error.retry_at
        assert stage.room() == 0
    assert len(llm.requests) == 1


async def test_a_server_that_is_gone_is_an_outage_and_comes_back() -> None:
    async with FakeLLM() as llm:
        base_url = llm.base_url
    clock = SystemClock()
    endpoint = Endpoint(model_of(base_url, clock=clock), clock)
    stage = Generate(Fleet([endpoint], clock=clock), "{}{}".format, clock, 0)
    (error,) = (await stage.handle(requested())).emit
    assert isinstance(error, LlmError)
    assert error.outage
    assert "Connection refused" in error.reason
    assert endpoint.blocked
    await endpoint.model.close()


@pytest.mark.parametrize("tokens", [None, 12])
async def test_what_a_failed_call_used_is_told(tokens: int | None) -> None:
    """An answer that was cut off is paid for like any other."""
    body = completion("Par", finish_reason="length")
    body["usage"] = None if tokens is None else {"prompt_tokens": 7, "completion_tokens": tokens - 7}
    async with FakeLLM(Do(body=json.dumps(body).encode())) as llm, hop(llm) as (stage, _):
        (error,) = (await stage.handle(requested())).emit
    assert isinstance(error, LlmError)
    assert (error.kind, error.tokens) == (FailureKind.INVALID, tokens)


@pytest.mark.parametrize(
    ("do", "timeouts", "said"),
    [
        (Do(hang=True), Timeouts(total=60, first_byte=0.2), "no answer from 127.0.0.1:{} in 0.2 s"),
        (answer(stop_after=20, hang=True), Timeouts(total=60, stall=0.2), "stalled: nothing more of it in 0.2 s"),
        (answer(drip=0.02), Timeouts(total=1, stall=0.9), "no answer from 127.0.0.1:{} in 1 s"),
    ],
    ids=["first byte", "stall", "total"],
)
async def test_each_time_out_says_which_it_was(do: Do, timeouts: Timeouts, said: str) -> None:
    async with FakeLLM(do) as llm:
        clock = SystemClock()
        endpoint = Endpoint(model_of(llm.base_url, clock=clock, timeouts=timeouts), clock)
        stage = Generate(Fleet([endpoint], clock=clock), "{}{}".format, clock, 0)
        (error,) = (await stage.handle(requested())).emit
        await endpoint.model.close()
        port = llm.base_url.split(":")[2].removesuffix("/v1")
    assert isinstance(error, LlmError)
    assert (error.kind, error.outage) == (FailureKind.TIMEOUT, False)
    assert said.format(port) in error.reason


async def test_a_key_that_an_answer_repeats_is_taken_out_however_it_is_written() -> None:
    """Escaped as JSON may have it, in the text, in the model's name, in a refusal."""
    escaped = KEY.replace("s", "\\u0073", 1)
    whole = json.dumps({**completion(f"your key {KEY}"), "model": KEY}).replace(KEY, escaped).encode()
    refused = json.dumps(completion(None, refusal=f"not with {KEY}")).replace(KEY, escaped).encode()
    async with FakeLLM([Do(body=whole), Do(body=refused)]) as llm, hop(llm) as (stage, _):
        (response,) = (await stage.handle(requested())).emit
        (error,) = (await stage.handle(requested())).emit
    assert isinstance(response, LlmResponse)
    assert (response.llm_answer, response.model) == ("your key ***", "***")
    assert isinstance(error, LlmError)
    assert error.reason == "the model refused: not with ***"


async def test_the_tokens_of_answers_that_were_cut_off_count_for_those_to_come() -> None:
    body = completion("Par", finish_reason="length")
    body["usage"] = {"prompt_tokens": 10, "completion_tokens": 4000}
    async with FakeLLM([answer("Paris."), Do(body=json.dumps(body).encode())]) as llm, hop(llm) as (stage, _):
        await stage.handle(requested())
        before = stage.tokens_at_most(requested())
        await stage.handle(requested(message_id="m2"))
        after = stage.tokens_at_most(requested())
    assert before is not None
    assert after is not None
    assert before < 100
    assert after >= 4000
