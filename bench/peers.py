"""What others do with the same questions: `peers.py CLIENT PORT COUNT CONCURRENCY` prints their answers as JSON.

Each is written as its documentation shows: `openai`, the SDK with its defaults (2 retries); `tenacity`, aiohttp with 3
retries at random exponential delays; `litellm`, its Router with num_retries 3.
"""

import asyncio
import importlib
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import openai
import tenacity
import uvloop

Ask = Callable[[str], Awaitable[str | None]]


async def with_openai(port: int, work: Callable[[Ask], Awaitable[Any]]) -> None:
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:

        async def ask(question: str) -> str | None:
            completion = await client.chat.completions.create(
                model="bench", messages=[{"role": "user", "content": question}]
            )
            return completion.choices[0].message.content

        await work(ask)


async def with_tenacity(port: int, work: Callable[[Ask], Awaitable[Any]]) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        @tenacity.retry(stop=tenacity.stop_after_attempt(4), wait=tenacity.wait_random_exponential(0.5, max=60))
        async def ask(question: str) -> str | None:
            body = {"model": "bench", "messages": [{"role": "user", "content": question}]}
            async with session.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body) as response:
                response.raise_for_status()
                answer: str | None = (await response.json())["choices"][0]["message"]["content"]
                return answer

        await work(ask)


async def bare(port: int, work: Callable[[Ask], Awaitable[Any]]) -> None:
    """No more than a client has to do."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(question: str) -> str | None:
            body = json.dumps({"model": "bench", "messages": [{"role": "user", "content": question}]}).encode()
            async with session.post(url, data=body) as response:
                answer: str | None = json.loads(await response.read())["choices"][0]["message"]["content"]
                return answer

        await work(ask)


async def with_litellm(port: int, work: Callable[[Ask], Awaitable[Any]]) -> None:
    litellm: Any = importlib.import_module("litellm")  # in an environment of its own
    litellm.suppress_debug_info = True
    logging.disable(logging.CRITICAL)
    parameters = {"model": "openai/bench", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "none"}
    router = litellm.Router(model_list=[{"model_name": "bench", "litellm_params": parameters}], num_retries=3)

    async def ask(question: str) -> str | None:
        completion = await router.acompletion(model="bench", messages=[{"role": "user", "content": question}])
        answer: str | None = completion.choices[0].message.content
        return answer

    await work(ask)


CLIENTS = {"openai": with_openai, "tenacity": with_tenacity, "litellm": with_litellm, "bare": bare}


async def main(client: str, port: int, numbers: list[int], concurrency: int) -> None:
    answers: list[str | None] = [None] * len(numbers)
    todo = iter(enumerate(numbers))
    began = time.monotonic()
    spent = time.process_time()

    async def everybody(ask: Ask) -> None:
        async def worker() -> None:
            for position, number in todo:
                try:
                    answers[position] = await ask(f"Question {number}")
                except Exception:  # noqa: BLE001 - whatever it was, this question is given up
                    answers[position] = None

        await asyncio.gather(*(worker() for _ in range(concurrency)))

    await CLIENTS[client](port, everybody)
    print(json.dumps({"answers": answers, "seconds": time.monotonic() - began, "cpu": time.process_time() - spent}))


if __name__ == "__main__":
    count = int(sys.argv[3])
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), list(range(count)), int(sys.argv[4])))
