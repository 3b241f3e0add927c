"""What a service that stops tells those who still talk to it."""

import asyncio
from pathlib import Path

import httpx
import pytest

from http_service import Running, service
from tamiz.errors import BudgetSpent
from waiting import until

CHAT = {"model": "tamiz", "messages": [{"role": "user", "content": "Why?"}]}


async def stopped(running: Running) -> None:
    await until(lambda: running.embedded.queue.gave_up, "the flow to end")


async def not_ready(client: httpx.AsyncClient, why: str) -> None:
    """See that nothing is taken in any more, and that it is said why."""
    ready = await client.get("/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert why in ready.json()["dependencies"]["service"]
    for path, body in (("/questions", {"title": "New?"}), ("/v1/chat/completions", CHAT)):
        refused = await client.post(path, json=body)
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        assert why in refused.text


async def test_who_asks_a_service_that_stops_is_told_to_come_back(tmp_path: Path) -> None:
    async with service(tmp_path) as running, running.client() as client:
        assert (await client.get("/ready")).json()["dependencies"].keys() == {"state", "simulated:?latency=0ms"}
        running.embedded.stop(grace=True)
        await stopped(running)
        await not_ready(client, "the service is stopping")


async def spent(folder: Path) -> None:
    """Spend the budget of a service, and ask on."""
    async with service(folder, max_calls=1) as running, running.client() as client:
        assert (await client.post("/questions?wait=20", json={"title": "One?"})).status_code == 200
        waits = await client.post("/v1/chat/completions", json=CHAT)
        assert (waits.status_code, waits.json()["error"]["code"]) == (503, "still_open")
        assert "the budget is spent (--max-calls 1)" in waits.json()["error"]["message"]
        await stopped(running)
        await not_ready(client, "the budget is spent (--max-calls 1)")


async def test_who_asks_a_service_whose_budget_is_spent_is_told_so(tmp_path: Path) -> None:
    """As is who waits."""
    with pytest.raises(BudgetSpent, match="--max-calls 1"):
        await spent(tmp_path)


async def test_a_budget_that_is_spent_when_a_signal_came_is_no_failure(tmp_path: Path) -> None:
    """Whoever stops a service is told no more than that it stopped."""
    async with service(tmp_path, model="simulated:?latency=2s", max_calls=1) as running, running.client() as client:
        asked = [asyncio.create_task(client.post("/questions?wait=20", json={"title": title})) for title in "ab"]
        await until(lambda: running.embedded.host.budget_spent, "the budget to be spent")
        running.embedded.stop(grace=True)
        assert sorted([(await each).status_code for each in asked]) == [200, 202]
