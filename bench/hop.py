"""Our hop to a model beside what else one would call it with: `hop.py CLIENT PORT COUNT CONCURRENCY` prints JSON.

`tamiz` is the generate stage with its endpoint (limit, circuit, rate limits) and the client; `bare` and `openai` are
those of `peers.py`. Each asks COUNT questions, so many at once, of one server that takes 50 ms.
"""

import asyncio
import json
import sys
import time

import uvloop

from peers import CLIENTS
from tamiz.clock import SystemClock
from tamiz.messages import LlmRequest, LlmResponse
from tamiz.models.endpoint import Endpoint
from tamiz.models.fleet import Fleet
from tamiz.models.openai import OpenAIModel, Timeouts
from tamiz.stages.generate import Generate


async def ours(port: int, count: int, concurrency: int) -> None:
    clock = SystemClock()
    model = OpenAIModel(
        name="bench",
        base_url=f"http://127.0.0.1:{port}/v1",
        model="bench",
        api_key=None,
        timeouts=Timeouts(),
        clock=clock,
    )
    stage = Generate(Fleet([Endpoint(model, clock, concurrency)], clock=clock), "{}{}".format, clock, 0)
    todo = iter(range(count))

    async def worker() -> None:
        for number in todo:
            request = LlmRequest(
                message_id=str(number),
                trace_id=str(number),
                question_id=None,
                title=f"Question {number}",
                cache_key=str(number),
                created_at=0.0,
            )
            while (call := stage.admit(request)) is None:  # noqa: ASYNC110 - until slow start has got there
                await asyncio.sleep(0.001)
            assert callable(call)
            (response,) = (await call()).emit
            assert isinstance(response, LlmResponse)

    await asyncio.gather(*(worker() for _ in range(concurrency)))
    await model.close()


async def theirs(client: str, port: int, count: int, concurrency: int) -> None:
    todo = iter(range(count))

    async def everybody(ask: object) -> None:
        async def worker() -> None:
            for number in todo:
                assert await ask(f"Question {number}")  # type: ignore[operator]  # each client's own

        await asyncio.gather(*(worker() for _ in range(concurrency)))

    await CLIENTS[client](port, everybody)


async def main(client: str, port: int, count: int, concurrency: int) -> None:
    began, spent = time.monotonic(), time.process_time()
    await (ours(port, count, concurrency) if client == "tamiz" else theirs(client, port, count, concurrency))
    seconds, cpu = time.monotonic() - began, time.process_time() - spent
    print(json.dumps({"rate": count / seconds, "cpu_us": cpu / count * 1e6}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
