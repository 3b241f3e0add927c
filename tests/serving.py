"""The scripted server in a thread of its own, for tests whose client is another process."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from fake_llm import Do, FakeLLM, Request, Script, answer
from waiting import PATIENCE, wait_until

__all__ = ["MODEL", "answers", "asked", "model_url", "serving", "told", "url_at"]

MODEL: Final = "fake-1"


@contextlib.contextmanager
def serving(script: Script | None = None, **options: int | None) -> Iterator[FakeLLM]:
    """Run the server for as long as the block; its `requests` may be read from here at any time."""
    llm = FakeLLM(script, **options)  # type: ignore[arg-type]  # as they are named there
    loop = asyncio.new_event_loop()
    listening, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with llm:
            listening.set()
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="fake-llm")
    thread.start()
    try:
        wait_until(lambda: listening.is_set() or not thread.is_alive(), "the server to listen")
        assert listening.is_set(), "it could not"
        yield llm
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)


def model_url(llm: FakeLLM) -> str:
    """Give the server as `--model` takes it."""
    return f"openai+{llm.base_url}#{MODEL}"


def url_at(port: int) -> str:
    """Give the server that is on a port of this machine, or will be, as `--model` takes it."""
    return f"openai+http://127.0.0.1:{port}/v1#{MODEL}"


def asked(request: Request) -> str:
    """Give what the user's message of a request says."""
    text: str = request.body["messages"][-1]["content"]
    return text


def answers(texts: Mapping[str, str], *, delay: float = 0.0, otherwise: str = "Paris.") -> Callable[[Request], Do]:
    """Make a script that answers each question with its text."""
    return lambda request: answer(texts.get(asked(request), otherwise), delay=delay)


def told(llm: FakeLLM) -> str:
    """Give all that the server was ever told, headers and bodies, as one text."""
    return "\n".join(json.dumps([dict(request.headers), request.body]) for request in llm.requests)
