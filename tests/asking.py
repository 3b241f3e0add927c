"""Asks a scripted server by `OpenAIModel`, and gives the failure where that is what a test is about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fake_llm import FakeLLM
from tamiz.clock import SystemClock
from tamiz.errors import Failed, ModelRefused
from tamiz.models.base import Prompt
from tamiz.models.openai import OpenAIModel, Timeouts

__all__ = ["KEY", "NOW", "ask", "failure_of", "model_of", "refusal_of", "talking"]

KEY = "sk-very-secret-0123456789"
NOW = 1_800_000_000.0


class _Clock(SystemClock):
    """The real one, at a fixed date."""

    @staticmethod
    def time() -> float:
        """2027-01-15 08:00."""
        return NOW


def ask(text: str = "Capital of France?", attempt: int = 1, seed: int = 7) -> Prompt:
    return Prompt(text=text, attempt=attempt, seed=seed)


def model_of(base_url: str, **options: Any) -> OpenAIModel:
    told = {
        "name": "openai:m",
        "model": "m",
        "api_key": KEY,
        "timeouts": Timeouts(total=60.0),
        "clock": _Clock(),
        **options,
    }
    return OpenAIModel(base_url=base_url, **told)


@asynccontextmanager
async def talking(script: Any = None, **options: Any) -> AsyncIterator[tuple[OpenAIModel, FakeLLM]]:
    async with FakeLLM(script) as llm:
        model = model_of(llm.base_url, **options)
        try:
            yield model, llm
        finally:
            await model.close()


async def failure_of(script: Any, **options: Any) -> Failed:
    async with talking(script, **options) as (model, _):
        with pytest.raises(Failed) as failure:
            await model.ask(ask())
    assert KEY not in str(failure.value)
    return failure.value


async def refusal_of(script: Any) -> str:
    async with talking(script) as (model, _):
        with pytest.raises(ModelRefused) as refusal:
            await model.ask(ask())
    assert KEY not in str(refusal.value)
    return str(refusal.value)
