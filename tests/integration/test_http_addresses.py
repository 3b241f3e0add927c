"""Where models, store and brokers are is for operators, over a real socket."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from fake_llm import Do, FakeLLM, Request, answer, status
from http_service import ANA, KEYS, OPERATOR, Running, service
from serving import asked
from tamiz.errors import BusError, StateError
from tamiz.http.context import Context
from waiting import until

_SAYS = {
    "overload": "overload: m-1 is busy or does not answer",
    "fatal": "fatal: m-1 takes no such call",
    "invalid": "m-1 answered 400: the prompt is too long",
}
"""What a tenant is told of a call that failed."""
_LISTS = ("/answers", "/dead-letters", "/export?outcome=failed", "/export?outcome=failed&format=csv", "/snapshot")


def fails(request: Request) -> Do:
    """Fail as the question says."""
    kinds = {
        "overload": status(500, "boom"),
        "fatal": status(404, {"message": "no such file", "code": "model_not_found"}),
        "invalid": status(400, {"message": "the prompt is too long", "code": "context_length_exceeded"}),
    }
    return kinds.get(asked(request), answer("Paris."))


def host_of(llm: FakeLLM) -> str:
    return llm.base_url.partition("://")[2].partition("/")[0]


async def chat(client: httpx.AsyncClient, text: str, **more: Any) -> dict[str, Any]:
    """Give the error that a chat ends with."""
    body = {"model": "tamiz", "messages": [{"role": "user", "content": text}], **more}
    error: dict[str, Any] = (await client.post("/v1/chat/completions", json=body)).json()["error"]
    return error


async def test_models_go_by_their_names_where_nobody_is_asked_for_a_key(tmp_path: Path) -> None:
    """An operator finds which is which."""
    async with FakeLLM() as one, FakeLLM() as two, FakeLLM() as three:
        urls = [f"openai+{llm.base_url}#{name}" for llm, name in ((one, "m"), (two, "m"), (three, "other"))]
        async with service(tmp_path, model=tuple(urls), keys=KEYS) as running:
            async with running.client() as client, running.client(ANA) as tenant:
                assert (await tenant.post("/questions?wait=20", json={"title": "x"})).json()["outcome"] == "accepted"
                ready, metrics = (await client.get("/ready")).json(), (await client.get("/metrics")).text
            models = (await running.get("/models", OPERATOR))["models"]
            names = {each["model"]: each["name"] for each in models}
            assert [*names] == urls
            assert len({*names.values()}) == 3
            assert ready["dependencies"] == dict.fromkeys(("state", *names.values()), "ok")
            assert all(f'tamiz_endpoint_limit{{endpoint="{name}"}}' in metrics for name in names.values())
            told = [await running.get(path, ANA) for path in ("/models", "/v1/models")]
            assert [each["name"] for each in told[0]["models"]] == [*names.values()]
            assert not any(host_of(llm) in json.dumps([ready, metrics, told]) for llm in (one, two, three))
            assert (await running.get("/ready", OPERATOR))["dependencies"].keys() == {"state", *urls}


async def test_what_is_wrong_with_a_model_is_for_operators(tmp_path: Path) -> None:
    async with FakeLLM() as gone:
        url = gone.base_url
    async with service(tmp_path, model=f"openai+{url}#m-1", keys=KEYS) as running:
        (endpoint,) = running.context.fleet.endpoints if running.context.fleet else ()
        async with running.client(ANA) as tenant, running.client(OPERATOR) as operator, running.client() as stranger:
            await tenant.post("/questions", json={"title": "x"})
            await until(lambda: endpoint.shown is not None, "the model to be missed")
            told = [await client.get("/ready") for client in (stranger, tenant, operator)]
    assert [each.status_code for each in told] == [503, 503, 503]
    assert [each.json()["dependencies"] for each in told[:2]] == [{"state": "ok", "m-1": "down"}] * 2
    assert "no connection to" in told[2].json()["dependencies"][f"openai+{url}#m-1"]


@pytest.mark.parametrize("kind", [*_SAYS])
async def test_a_tenant_is_told_the_kind_of_a_failure_and_the_models_name(tmp_path: Path, kind: str) -> None:
    """Wherever it is told; an operator, where the model is."""
    async with FakeLLM(fails) as llm:
        url = f"openai+{llm.base_url}#m-1"
        async with (
            service(tmp_path, model=url, keys=KEYS, retries=0) as running,
            running.client(ANA) as tenant,
            running.client(OPERATOR) as operator,
        ):
            error = await chat(tenant, kind)
            streamed = await _streamed(running)
            asking = {"title": kind, "content": ""}
            # a refusal of every call, such as of an unknown model, ends a chat alone: it stops what is no chat
            told = error if kind == "fatal" else (await tenant.post("/questions?wait=20", json=asking)).json()
            life = await running.get(f"/questions/{error['message_id']}", ANA)
            whole = await running.get(f"/questions/{error['message_id']}", OPERATOR)
            lists = [(await tenant.get(path)).text for path in _LISTS]
            full = [(await operator.get(path)).text for path in _LISTS]
    assert error["message"] == f"the question failed: {_SAYS[kind]}"
    assert told.get("reason", _SAYS[kind]) == life["reason"] == life["life"]["outcome"]["reason"] == _SAYS[kind]
    assert life["model"] == life["life"]["tried"][0]["model"] == "m-1"
    assert life["life"]["tried"][0]["reason"] == _SAYS[kind]
    assert all(_SAYS[kind] in each for each in lists)
    assert not any(host_of(llm) in each for each in (json.dumps([error, told, life]), streamed, *lists))
    assert whole["model"] == whole["life"]["tried"][0]["model"] == url
    assert all(url in each for each in full)
    assert kind == "invalid" or host_of(llm) in whole["reason"]


async def _streamed(running: Running) -> str:
    async with running.client(ANA) as client, client.stream("GET", "/events") as events:
        async for line in events.aiter_lines():
            if line.startswith("data:"):
                return line
    raise AssertionError("the stream has ended")


@pytest.mark.parametrize(("error", "told"), [(StateError, "the store is not ready"), (BusError, "Kafka is not ready")])
async def test_where_the_store_is_is_for_operators(tmp_path: Path, error: type[Exception], told: str) -> None:
    def away() -> Any:
        raise error("mongodb://10.0.0.9:27017 does not answer")

    def change(context: Context) -> None:
        context.reader = context.shape = away

    chatted = {"model": "tamiz", "messages": [{"role": "user", "content": "x"}]}
    async with (
        service(tmp_path, keys=KEYS, change=change) as running,
        running.client(ANA) as tenant,
        running.client(OPERATOR) as operator,
    ):
        for method, path, body in (
            ("GET", "/answers", None),
            ("POST", "/questions", {"title": "x"}),
            ("POST", "/v1/chat/completions", chatted),
        ):
            answers = [await client.request(method, path, json=body) for client in (tenant, operator)]
            assert [each.status_code for each in answers] == [503, 503]
            assert told in answers[0].text
            assert "10.0.0.9" not in answers[0].text
            assert "10.0.0.9" in answers[1].text
