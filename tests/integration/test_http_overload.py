"""More questions than the service can answer: each is refused with a time to come back, or ends in one outcome."""

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import pytest

from http_service import service
from waiting import until


@pytest.mark.parametrize(
    "model", ["simulated:?latency=300ms", "simulated:?latency=200ms&overload=0.3&invalid=0.05&seed=3"]
)
async def test_what_was_accepted_ends_in_one_outcome(tmp_path: Path, model: str) -> None:
    """None is lost, none ends twice, and a refused one was never asked."""
    async with service(tmp_path, model=model, concurrency=4, queue=20, threshold=0.0) as running:
        accepted: dict[str, str] = {}
        refused: list[httpx.Response] = []

        async def ask(client: httpx.AsyncClient, number: int) -> None:
            title = f"question {number}"
            got = await client.post("/questions", json={"title": title})
            if got.status_code in {200, 202}:  # it may have ended already
                accepted[got.json()["message_id"]] = title
            else:
                refused.append(got)

        async with running.client(limits=httpx.Limits(max_connections=40)) as client:
            await asyncio.gather(*(ask(client, number) for number in range(200)))
            assert accepted
            assert refused
            assert {each.status_code for each in refused} == {429}
            for each in refused:
                assert int(each.headers["retry-after"]) >= 1
                assert each.headers["content-type"] == "application/problem+json"
                assert each.json()["code"] == "busy"
            await until(lambda: not len(running.embedded.queue), "all to end", within=60)
            found: list[tuple[str, str]] = []
            at: str | None = "/answers?limit=100"
            while at is not None:
                page = (await client.get(at)).json()
                found += [(row["message_id"], row["question"]) for row in page["answers"]]
                at = page["next"]
            assert Counter(found) == Counter(accepted.items())
            running.context.figures._kept.clear()
            told = (await client.get("/stats")).json()
            assert (told["questions"], told["open"]) == (len(accepted), 0)
            assert running.embedded.queue.refused == len(refused)


async def test_who_comes_back_when_told_gets_in(tmp_path: Path) -> None:
    async with service(tmp_path, model="simulated:?latency=5ms", concurrency=2, queue=5) as running:

        async def ask(client: httpx.AsyncClient, number: int) -> None:
            for _ in range(1_000):
                got = await client.post("/questions", json={"title": f"{number}"})
                if got.status_code != 429:
                    assert got.status_code in {200, 202}
                    return
                await asyncio.sleep(min(int(got.headers["retry-after"]), 2) / 10)
            raise AssertionError("there was never room")

        async with running.client() as client:
            await asyncio.gather(*(ask(client, number) for number in range(60)))
            await until(lambda: not len(running.embedded.queue), "all to end", within=60)
            running.context.figures._kept.clear()
            assert (await client.get("/stats")).json()["questions"] == 60


async def test_looks_beyond_what_the_store_bears_are_refused(tmp_path: Path) -> None:
    """They take nothing from the questions."""
    async with service(tmp_path) as running, running.client(limits=httpx.Limits(max_connections=400)) as client:
        running.context.looks._waiting = 256
        for path in ("/answers", "/answers/x", "/dead-letters"):
            refused = await client.get(path)
            assert (refused.status_code, refused.headers["retry-after"], refused.json()["code"]) == (503, "1", "busy")
        assert (await client.post("/questions?wait=20", json={"title": "x"})).status_code == 200
        running.context.looks._waiting = 0
        assert (await client.get("/answers")).status_code == 200
