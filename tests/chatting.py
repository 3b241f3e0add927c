"""The official client of OpenAI's API, talking to a whole service that talks to a scripted model's server."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from openai import AsyncOpenAI

from fake_llm import FakeLLM, Script
from http_service import Running, service
from waiting import until

__all__ = ["HELLO", "KEY", "chatting", "client_of", "gate", "until_known_down"]

KEY: Final = "tz-0123456789abcdefghijklmnop"

HELLO: Final[list[Any]] = [{"role": "user", "content": "What is the capital of France?"}]


def gate(**fields: Any) -> dict[str, Any]:
    """Give what the client takes to send `tamiz` along."""
    return {"tamiz": fields}


@contextlib.asynccontextmanager
async def client_of(running: Running, *, key: str = KEY, **options: Any) -> AsyncIterator[AsyncOpenAI]:
    """Give a client that does not try again by itself."""
    async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key=key, **{"max_retries": 0, **options}) as client:
        yield client


@contextlib.asynccontextmanager
async def chatting(
    folder: Path, script: Script | None = None, **settings: Any
) -> AsyncIterator[tuple[AsyncOpenAI, FakeLLM, Running]]:
    """Give the client, the model's server and the service between them."""
    async with (
        FakeLLM(script) as llm,
        service(folder, model=f"openai+{llm.base_url}#fake-1", **settings) as running,
        client_of(running) as client,
    ):
        yield client, llm, running


async def until_known_down(running: Running) -> None:
    """Wait until the service has found out that its model is away."""
    fleet = running.context.fleet
    assert fleet is not None
    await until(lambda: fleet.endpoints[0].shown, "its model to be known to be away")
