import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from chatting import HELLO, KEY, chatting, client_of, gate, until_known_down
from fake_llm import Do, FakeLLM, Request, answer, completion, status
from http_service import ANA, KEYS, OPERATOR, service

_TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
_CALLS: Any = [
    {"id": f"call_{n}", "type": "function", "function": {"name": "weather", "arguments": json.dumps({"city": "P" * n})}}
    for n in (1, 3000)
]


async def test_an_answer_is_a_completion(tmp_path: Path) -> None:
    async with chatting(tmp_path) as (client, llm, _):
        raw = await client.chat.completions.with_raw_response.create(model="fake-1", messages=HELLO, seed=7)
        done = raw.parse()
    assert done.choices[0].message.content == "Paris."
    assert done.choices[0].finish_reason == "stop"
    assert (done.object, done.model) == ("chat.completion", "fake-1")
    assert done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (7, 3, 10)
    told = {name: value for name, value in raw.headers.items() if name.startswith("x-tamiz-")}
    message_id = told.pop("x-tamiz-message-id")
    assert done.id == f"chatcmpl-{message_id}"
    assert told == {
        "x-tamiz-outcome": "accepted",
        "x-tamiz-source": "model",
        "x-tamiz-attempts": "1",
        "x-tamiz-reason": "no_reference",
    }
    assert llm.bodies == [{"model": "fake-1", "messages": HELLO, "seed": 7}]


async def test_the_synchronous_client_works_too(tmp_path: Path) -> None:
    def ask(url: str) -> tuple[str | None, list[str | None]]:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
            done = client.chat.completions.create(model="tamiz", messages=HELLO)
            with client.chat.completions.create(model="tamiz", messages=HELLO, stream=True) as stream:
                parts = [chunk.choices[0].delta.content for chunk in stream]
            return done.choices[0].message.content, parts

    async with chatting(tmp_path) as (_, _, running):
        whole, parts = await asyncio.to_thread(ask, running.url)
    assert whole == "Paris."
    assert "".join(part or "" for part in parts) == "Paris."


async def test_a_good_answer_is_asked_for_once(tmp_path: Path) -> None:
    """An answer that fell short is asked for again, and the usage is that of all attempts; a reused one costs nothing.

    The model's server never sees the reference.
    """
    script = [answer("I do not know."), answer("Paris"), answer("Lyon")]
    async with chatting(tmp_path, script) as (client, llm, _):
        ask = client.chat.completions.with_raw_response.create
        first, again = [await ask(model="tamiz", messages=HELLO, extra_body=gate(reference="Paris")) for _ in range(2)]
    assert [raw.parse().choices[0].message.content for raw in (first, again)] == ["Paris", "Paris"]
    names = ("x-tamiz-source", "x-tamiz-attempts", "x-tamiz-score")
    assert [first.headers[name] for name in names] == ["model", "2", "1.0"]
    assert [again.headers[name] for name in names] == ["cache", "0", "1.0"]
    used = [raw.parse().usage for raw in (first, again)]
    assert [(each.prompt_tokens, each.completion_tokens) for each in used if each] == [(14, 6), (0, 0)]
    assert len(llm.requests) == 2
    assert all("tamiz" not in body and "reference" not in body for body in llm.bodies)


@pytest.mark.parametrize("uncounted", [0, 1])
async def test_unknown_usage_is_not_zero(tmp_path: Path, uncounted: int) -> None:
    """Nor is it what the attempts that were counted took."""
    bodies = [completion("I do not know."), completion("Paris")]
    del bodies[uncounted]["usage"]
    script = [Do(body=json.dumps(body).encode()) for body in bodies]
    async with chatting(tmp_path, script) as (client, llm, _):
        done = await client.chat.completions.create(model="tamiz", messages=HELLO, extra_body=gate(reference="Paris"))
    assert done.choices[0].message.content == "Paris"
    assert done.usage is None
    assert len(llm.requests) == 2


async def test_a_stream_is_released_once_the_answer_has_passed(tmp_path: Path) -> None:
    long = "Paris, the city of light. " * 400
    async with chatting(tmp_path, [answer("No."), answer(long)]) as (client, _, _):
        stream = await client.chat.completions.create(
            model="tamiz",
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=gate(reference="Paris is the city of light", threshold=0.2),
        )
        chunks = [chunk async for chunk in stream]
    *parts, last = chunks
    assert parts[0].choices[0].delta.role == "assistant"
    assert "".join(part.choices[0].delta.content or "" for part in parts) == long
    assert len(parts) > 4, "a long answer comes in pieces"
    assert [part.choices[0].finish_reason for part in parts] == [None] * (len(parts) - 1) + ["stop"]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 20
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


async def test_tools_pass_through(tmp_path: Path) -> None:
    script = answer(None, finish_reason="tool_calls", tool_calls=_CALLS)
    async with chatting(tmp_path, script) as (client, llm, _):
        done = await client.chat.completions.create(
            model="tamiz", messages=HELLO, tools=[_TOOL], tool_choice="auto", parallel_tool_calls=True
        )
    assert llm.bodies[0]["tools"] == [_TOOL]
    assert llm.bodies[0]["tool_choice"] == "auto"
    assert llm.bodies[0]["parallel_tool_calls"] is True
    assert done.choices[0].finish_reason == "tool_calls"
    assert [call.to_dict() for call in done.choices[0].message.tool_calls or ()] == _CALLS


async def test_tool_calls_are_streamed_as_the_client_expects_them(tmp_path: Path) -> None:
    """The client's own helper puts them together again."""
    script = answer(None, finish_reason="tool_calls", tool_calls=_CALLS)
    async with (
        chatting(tmp_path, script) as (client, _, _),
        client.chat.completions.stream(model="tamiz", messages=HELLO, tools=[_TOOL]) as stream,
    ):
        done = await stream.get_final_completion()
    calls = done.choices[0].message.tool_calls or []
    assert [call.function.arguments for call in calls] == [call["function"]["arguments"] for call in _CALLS]
    assert [call.id for call in calls] == [call["id"] for call in _CALLS]


async def test_results_of_tools_go_to_the_model(tmp_path: Path) -> None:
    messages: list[Any] = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": _CALLS[:1]},
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"},
    ]
    async with chatting(tmp_path) as (client, llm, _):
        await client.chat.completions.create(model="tamiz", messages=messages, tools=[_TOOL])
    assert llm.bodies[0]["messages"] == messages


async def test_several_choices_and_other_parameters_pass_through(tmp_path: Path) -> None:
    body = completion('{"city": "Paris"}')
    body["choices"].append({"index": 1, "message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"})
    script = Do(body=json.dumps(body).encode())
    given: Any = {
        "n": 2,
        "response_format": {"type": "json_object"},
        "temperature": 0.25,
        "top_p": 0.5,
        "stop": ["\n\n"],
        "logit_bias": {"50256": -100},
        "max_completion_tokens": 99,
    }
    async with chatting(tmp_path, script) as (client, llm, _):
        done = await client.chat.completions.create(
            model="tamiz", messages=HELLO, **given, extra_body={"top_k": 40, "guided": {"regex": "a+"}}
        )
        stream = await client.chat.completions.create(
            model="tamiz", messages=HELLO, stream=True, **given, extra_body={"top_k": 40, "guided": {"regex": "a+"}}
        )
        chunks = [chunk.choices[0] async for chunk in stream]
    assert [choice.message.content for choice in done.choices] == ['{"city": "Paris"}', "{}"]
    texts = ["".join(c.delta.content or "" for c in chunks if c.index == index) for index in (0, 1)]
    assert texts == ['{"city": "Paris"}', "{}"]
    assert llm.bodies == [
        {"model": "fake-1", "messages": HELLO, **given, "top_k": 40, "guided": {"regex": "a+"}},
    ]


async def test_a_parameter_that_the_models_server_refuses_is_named(tmp_path: Path) -> None:
    said = {"message": "Unknown parameter: 'top_k'.", "type": "invalid_request_error", "param": "top_k"}
    async with chatting(tmp_path, status(400, said)) as (client, llm, _):
        with pytest.raises(openai.BadRequestError, match="Unknown parameter: 'top_k'") as refused:
            await client.chat.completions.create(model="tamiz", messages=HELLO, extra_body={"top_k": 40})
    assert refused.value.code == "invalid"
    assert refused.value.response.headers["x-tamiz-outcome"] == "failed"
    assert len(llm.requests) == 1


async def test_what_a_model_without_a_server_cannot_do_is_named_and_not_kept(tmp_path: Path) -> None:
    async with service(tmp_path, model="simulated:") as running, client_of(running) as client:
        with pytest.raises(openai.BadRequestError, match="does not take tools, top_k") as refused:
            await client.chat.completions.create(model="tamiz", messages=HELLO, tools=[_TOOL], extra_body={"top_k": 40})
        assert (refused.value.param, refused.value.code) == ("tools", "invalid_request")
        assert (await running.get("/dead-letters"))["kinds"] == {}
        done = await client.chat.completions.create(model="simulated", messages=HELLO)
    assert done.choices[0].message.content


async def test_a_model_without_a_server_takes_what_asks_for_nothing_more(tmp_path: Path) -> None:
    said: Any = [*HELLO, {"role": "assistant", "content": None}, *HELLO]
    nothing: Any = {
        "n": 1,
        "stop": None,
        "tools": [],
        "logit_bias": {},
        "presence_penalty": 0,
        "response_format": {"type": "text"},
        "service_tier": "auto",
    }
    async with service(tmp_path, model="simulated:") as running, client_of(running) as client:
        done = await client.chat.completions.create(model="tamiz", messages=said, **nothing)
    assert done.choices[0].message.content


async def test_the_well_known_parameters_are_checked_whoever_the_server_is(tmp_path: Path) -> None:
    async with chatting(tmp_path) as (client, llm, _):
        for name, value in {"temperature": "hot", "seed": "x", "user": 5, "max_tokens": 1.5}.items():
            with pytest.raises(openai.BadRequestError, match=f"{name} is ") as refused:
                await client.chat.completions.create(model="tamiz", messages=HELLO, extra_body={name: value})
            assert refused.value.param == name
    assert llm.requests == []


async def test_what_the_models_server_refuses_of_one_chat_is_no_others_trouble(tmp_path: Path) -> None:
    """A missing file, a tier that is not allowed: such a refusal would stop a run, and does not stop the service."""

    def script(request: Request) -> Do:
        return status(404, {"message": "No such File object: file-1"}) if "file" in request.body else answer()

    async with chatting(tmp_path, script) as (client, _, _):
        with pytest.raises(openai.InternalServerError, match="No such File object") as refused:
            await client.chat.completions.create(model="tamiz", messages=HELLO, extra_body={"file": "file-1"})
        assert refused.value.status_code == 502
        assert refused.value.response.headers["x-should-retry"] == "false"
        assert (await client.chat.completions.create(model="tamiz", messages=HELLO)).choices


async def test_a_cut_answer_is_passed_on_as_one(tmp_path: Path) -> None:
    async with chatting(tmp_path, answer("Once upon a", finish_reason="length")) as (client, _, _):
        done = await client.chat.completions.create(model="tamiz", messages=HELLO, max_tokens=3)
    assert done.choices[0].finish_reason == "length"
    assert done.choices[0].message.content == "Once upon a"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (answer("", refusal="I cannot help with that."), "the model refused: I cannot help with that"),
        (answer("", finish_reason="content_filter"), "withheld by a content filter"),
    ],
)
async def test_a_refusal_of_the_model_is_an_error_that_says_so(tmp_path: Path, script: Any, says: str) -> None:
    async with chatting(tmp_path, script) as (client, llm, _):
        with pytest.raises(openai.BadRequestError, match=says):
            await client.chat.completions.create(model="tamiz", messages=HELLO)
    assert len(llm.requests) == 1, "asking again would change nothing"


async def test_no_answer_below_the_threshold_is_released(tmp_path: Path) -> None:
    async with chatting(tmp_path, answer("Lyon it is, perhaps"), attempts=2) as (client, _, running):
        with pytest.raises(
            openai.UnprocessableEntityError, match=r"the best of 2 has the score 0, and 0\.3"
        ) as refused:
            await client.chat.completions.create(model="tamiz", messages=HELLO, extra_body=gate(reference="Paris"))
        error: Any = refused.value.body
        assert (error["code"], error["score"], error["attempts"]) == ("below_threshold", 0.0, 2)
        assert refused.value.response.headers["x-tamiz-outcome"] == "exhausted"
        kept = await running.get(f"/questions/{error['message_id']}")
    assert (kept["outcome"], kept["answer"]) == ("exhausted", "Lyon it is, perhaps")


async def test_the_best_answer_is_given_where_that_is_wanted(tmp_path: Path) -> None:
    async with chatting(tmp_path, answer("Lyon"), attempts=1) as (client, _, _):
        raw = await client.chat.completions.with_raw_response.create(
            model="tamiz", messages=HELLO, extra_body=gate(reference="Paris", on_exhausted="return")
        )
    assert raw.parse().choices[0].message.content == "Lyon"
    assert (raw.headers["x-tamiz-outcome"], raw.headers["x-tamiz-score"]) == ("exhausted", "0.0")


async def test_models_are_listed_by_name(tmp_path: Path) -> None:
    async with chatting(tmp_path) as (client, llm, running):
        assert [model.id async for model in client.models.list()] == ["tamiz", "fake-1"]
        assert (await client.models.retrieve("fake-1")).id == "fake-1"
        with pytest.raises(openai.NotFoundError, match="there is tamiz, fake-1"):
            await client.models.retrieve("gpt-9/turbo")
        with pytest.raises(openai.NotFoundError, match="there is tamiz, fake-1") as refused:
            await client.chat.completions.create(model="gpt-9", messages=HELLO)
        assert refused.value.code == "model_not_found"
        url = f"openai+{llm.base_url}#fake-1"
        assert (await client.chat.completions.create(model=url, messages=HELLO)).choices
        now = (await running.get("/models"))["models"]
    assert [(each["model"], each["answered"], each["errors"]) for each in now] == [(url, 1, {})]


async def test_where_models_are_is_for_operators(tmp_path: Path) -> None:
    """A tenant is told the name and the state of a model: neither where its server is, nor what its failure says."""
    async with FakeLLM() as gone:
        url = gone.base_url
    async with service(tmp_path, model=f"openai+{url}#fake-1", keys=KEYS) as running:
        async with client_of(running, key=ANA) as client:
            with pytest.raises(openai.APIError, match=r"no answer within 0\.5 s"):
                await client.chat.completions.create(model="tamiz", messages=HELLO, extra_body=gate(wait=0.5))
        await until_known_down(running)
        tenant, operator = [await running.get("/models", key) for key in (ANA, OPERATOR)]
    (told,), (whole,) = tenant["models"], operator["models"]
    assert (told["model"], told["why"]) == ("fake-1", None)
    assert url.partition("://")[2].partition("/")[0] not in json.dumps(tenant)
    assert whole["model"] == f"openai+{url}#fake-1"
    assert "no connection" in whole["why"]
    assert (told["kind"], told["down_since"]) == (whole["kind"], whole["down_since"]) != (None, None)


async def test_a_name_restricts_to_its_model(tmp_path: Path) -> None:
    async with FakeLLM(answer("one")) as one, FakeLLM(answer("two")) as two:
        urls = (f"openai+{one.base_url}#m-1", f"openai+{two.base_url}#m-2")
        async with service(tmp_path, model=urls) as running, client_of(running) as client:
            told = [
                (await client.chat.completions.create(model=model, messages=HELLO)).choices[0].message.content
                for model in ("tamiz", "m-1", "m-2")
            ]
        assert told == ["one", "one", "two"]
        assert [body["model"] for body in (*one.bodies, *two.bodies)] == ["m-1", "m-1", "m-2"]


async def test_the_document_has_the_call_and_other_methods_are_refused(tmp_path: Path) -> None:
    async with service(tmp_path, model="simulated:") as running, client_of(running) as client:
        assert "post" in (await running.get("/openapi.json"))["paths"]["/v1/chat/completions"]
        allowed = []
        for call, path in ((client.get, "/chat/completions"), (client.delete, "/models"), (client.delete, "/models/x")):
            with pytest.raises(openai.APIStatusError) as refused:
                await call(path, cast_to=object)
            assert refused.value.status_code == 405
            allowed.append(refused.value.response.headers["allow"])
    assert allowed[0] == "OPTIONS, POST"
    assert all("GET" in each for each in allowed[1:])
