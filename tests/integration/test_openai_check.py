"""Asking a server which models it has, which costs nothing."""

import json
import time

import pytest

from asking import KEY, talking
from fake_llm import Do, status
from tamiz.errors import Failed, FailureKind, ModelRefused


async def test_a_silent_server_is_given_up_in_time() -> None:
    async with talking(Do(hang=True)) as (model, _):
        began = time.monotonic()
        with pytest.raises(Failed, match=r"no answer from .* in 0\.2 s") as failed:
            await model.check(0.2)
    assert failed.value.kind is FailureKind.TIMEOUT
    assert time.monotonic() - began < 5


async def test_a_tag_of_latest_goes_without_saying() -> None:
    async with talking(Do(body=b'{"data": [{"id": "m:latest"}]}')) as (model, _):
        assert await model.check(5)


async def test_a_server_without_models_says_so() -> None:
    """Ollama, before anything was pulled, has null for a list."""
    async with talking(Do(body=b'{"object": "list", "data": null}')) as (model, _):
        with pytest.raises(ModelRefused, match="it has none"):
            await model.check(5)


async def test_of_many_models_a_few_are_named() -> None:
    names = [{"id": f"model-{n}"} for n in range(10, 40)]
    async with talking(Do(body=json.dumps({"data": names}).encode())) as (model, _):
        with pytest.raises(ModelRefused, match=r"it has model-10, .*model-17, …\)"):
            await model.check(5)


async def test_the_key_is_in_no_message() -> None:
    async with talking(status(401, {"message": f"{KEY} is not known here"})) as (model, _):
        with pytest.raises(ModelRefused, match="the key was refused") as refused:
            await model.check(5)
    assert KEY not in str(refused.value)


async def test_a_redirect_is_not_followed() -> None:
    """It would carry the key to an address that nobody gave."""
    async with talking(Do(status=302, headers={"location": "http://127.0.0.1:9/"})) as (model, llm):
        with pytest.raises(ModelRefused, match="not the server's address"):
            await model.check(5)
    assert len(llm.requests) == 1
