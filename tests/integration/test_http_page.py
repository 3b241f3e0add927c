"""What the live page asks the service for, over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_service import ANA, BEN, KEYS, OPERATOR, Running, service
from tamiz.http.board import Snapshot
from tamiz.http.keys import LOCAL, Caller
from waiting import until


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """Give a service that asks for keys; what it writes is in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    async with service(tmp_path, keys=KEYS, model="simulated:?latency=1ms&quality=0") as made:
        yield made


async def ask(client: httpx.AsyncClient, title: str) -> str:
    answer = await client.post("/questions?wait=30", json={"title": title})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["message_id"])


async def snapshots(client: httpx.AsyncClient, count: int) -> list[Any]:
    """Give the first of the stream."""
    found = []
    async with client.stream("GET", "/events") as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
            if len(found) == count:
                break
    return found


async def test_the_page_needs_no_key_and_holds_nothing(running: Running) -> None:
    """Its files come from the service alone; a script that is not among them is not run."""
    async with running.client() as client:
        for path in ("/", "/life/anything"):
            page = await client.get(path)
            policy = page.headers["content-security-policy"]
            assert page.status_code == 200
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "<style" not in page.text
            assert " style=" not in page.text
            assert "<script>" not in page.text
            assert "http" not in page.text.replace("http-equiv", "")
        for name in ("page.js", "page.css", "life.js", "charts.js", "icon.svg"):
            assert (await client.get(f"/assets/{name}")).status_code == 200
        for path in ("/assets/__init__.py", "/assets/none.js", "/assets/%2e%2e%2fkeys.py", "/assets/"):
            assert (await client.get(path)).status_code == 404, path
        for path in ("/snapshot", "/events", "/policy", "/traffic", "/cache/preview?policy=lru&size=1"):
            assert (await client.get(path)).status_code == 401


async def test_each_sees_what_is_theirs(running: Running) -> None:
    async with running.client(ANA) as ana, running.client(BEN) as ben, running.client(OPERATOR) as operator:
        assert [each["beat"]["recent"] for each in await snapshots(ben, 1)] == [[]]
        await ask(ana, "Of Ana?")
        await ask(ben, "Of Ben?")
        (seen,) = await snapshots(ana, 1)
        assert [row["question"] for row in seen["beat"]["recent"]] == ["Of Ana?"]
        assert (seen["gauges"], seen["runs"], seen["can"], seen["tenant"]) == (None, [], [], "ana")
        seen = (await ben.get("/snapshot")).json()
        assert [row["question"] for row in seen["beat"]["recent"]] == ["Of Ben?"]
        assert seen["beat"]["totals"]["questions"] == 1
        (seen,) = await snapshots(operator, 1)
        assert {row["question"] for row in seen["beat"]["recent"]} == {"Of Ana?", "Of Ben?"}
        assert seen["can"] == ["policy", "cache", "traffic", "replay"]
        assert [each["name"] for each in seen["gauges"]["endpoints"]] == ["simulated:?latency=1ms&quality=0"]


async def test_who_is_no_operator_changes_nothing(running: Running) -> None:
    async with running.client(ANA) as ana:
        for method, path, body in (
            ("PUT", "/policy", {"threshold": 0.9}),
            ("POST", "/traffic", {"total": 1}),
            ("GET", "/traffic", None),
            ("GET", "/traffic/x", None),
            ("DELETE", "/traffic/x", None),
            ("GET", "/cache/preview?policy=lru&size=1", None),
        ):
            answer = await ana.request(method, path, json=body)
            assert answer.status_code == 403, (path, answer.text)
        assert (await ana.get("/policy")).json() == {"threshold": 0.3, "attempts": 3, "unscored": "accept"}


async def test_the_bar_is_changed_for_answers_from_now_on(running: Running) -> None:
    async with running.client(OPERATOR) as client:
        for wrong in ({"threshold": 1.5}, {"threshold": "high"}, {"attempts": 0}, {"unscored": "maybe"}, {"limit": 1}):
            assert (await client.put("/policy", json=wrong)).status_code == 400, wrong
        changed = (await client.put("/policy", json={"threshold": 0, "attempts": 2})).json()
        assert changed == {"threshold": 0.0, "attempts": 2, "unscored": "accept"}
        for threshold, outcome in ((0, ("accepted", 1)), (0.9, ("exhausted", 2))):
            await client.put("/policy", json={"threshold": threshold})
            question = {"title": f"At {threshold}?", "reference": "Lima is the capital"}
            told = (await client.post("/questions?wait=30", json=question)).json()
            assert (told["outcome"], told["attempts"]) == outcome


async def test_a_run_asks_and_is_told(running: Running, tmp_path: Path) -> None:
    given = [{"title": "One?", "reference": "1"}, {"title": "Two?"}]
    async with running.client(OPERATOR) as client:
        wanted = {"questions": given, "arrivals": "max", "total": 50, "popularity": "uniform"}
        answer = await client.post("/traffic", json=wanted)
        assert answer.status_code == 201, answer.text
        run = answer.json()
        assert (run["dataset"], run["questions"], run["plan"]["total"]) == ("given", 2, 50)
        runs = running.context.runs
        assert runs is not None
        await until(lambda: runs.told()[0].report.state == "done", "the run to end")
        run = (await client.get(f"/traffic/{run['id']}")).json()
        assert sum(run["report"]["outcomes"].values()) == 50
        lines = (tmp_path / "data_collected" / run["id"] / "events.jsonl").read_text().splitlines()
        assert {json.loads(line)["question"] for line in lines} == {"One?", "Two?"}
        stored = await client.post("/traffic", json={"dataset": "stored", "total": 1})
        assert stored.json()["questions"] == 2
        assert (await client.get("/traffic/none")).status_code == 404
        assert (await client.delete("/traffic/none")).status_code == 404


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"arrivals": "trace:/etc/passwd"}, "trace"),
        ({"arrivals": "sometimes"}, "sometimes"),
        ({"popularity": "fame"}, "fame"),
        ({"rate": 0}, "rate"),
        ({"rate": 1e9}, "rate"),
        ({"total": 0}, "total"),
        ({"dataset": "/etc/passwd"}, "dataset"),
        ({"dataset": "given"}, "questions"),
        ({"dataset": "sample", "questions": [{"title": "Q?"}]}, "questions"),
        ({"dataset": "stored"}, "answered yet"),
        ({"to": "http://elsewhere"}, "to"),
    ],
)
async def test_a_run_that_cannot_be_is_refused(running: Running, wanted: dict[str, Any], named: str) -> None:
    async with running.client(OPERATOR) as client:
        answer = await client.post("/traffic", json=wanted)
        assert answer.status_code == 400, answer.text
        assert named in answer.json()["detail"]
        assert (await client.get("/traffic")).json() == []


async def test_so_many_runs_go_on_and_no_more(running: Running) -> None:
    async with running.client(OPERATOR) as client:
        runs = [(await client.post("/traffic", json={"rate": 1, "duration": 60})).json()["id"] for _ in range(4)]
        refused = await client.post("/traffic", json={"rate": 1, "duration": 60})
        assert (refused.status_code, refused.json()["code"]) == (429, "busy")
        assert int(refused.headers["retry-after"]) > 0
        assert "stop one" in refused.json()["detail"]
        stopped = await client.delete(f"/traffic/{runs[0]}")
        assert stopped.json()["report"]["state"] in {"stopping", "stopped"}
        await until(lambda: [*running.context.runs.told()][-1].report.state == "stopped", "the run to stop")  # type: ignore[union-attr]
        assert (await client.post("/traffic", json={"rate": 1, "duration": 60})).status_code == 201


async def test_a_session_stands_for_a_key(running: Running) -> None:
    async with running.client() as client:
        wrong = await client.post("/session", json={"key": "nobody-knows-this-key-at-all"})
        assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
        signed = await client.post("/session", json={"key": ANA})
        assert signed.json() == {"tenant": "ana", "operator": False}
        cookie = signed.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert ANA not in cookie
        assert (await client.get("/snapshot")).json()["tenant"] == "ana"
        elsewhere = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
        assert (await client.post("/questions", json={"title": "Q?"}, headers=elsewhere)).status_code == 403
        kept = client.cookies["tamiz"]
        assert (await client.delete("/session")).status_code == 204
        assert (await client.get("/snapshot", headers={"cookie": f"tamiz={kept}"})).status_code == 401


async def test_listeners_are_bounded_and_leave_nothing(running: Running) -> None:
    """Each gets the stream while there is room; the next one is told when to come back; who goes makes room."""
    board = running.context.board
    assert board is not None
    request = f"GET /events HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {OPERATOR}\r\n\r\n".encode()
    writers = []
    for _ in range(100):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request)
        writers.append(writer)
        assert b"200" in await reader.readline()
    async with running.client(OPERATOR) as client:
        refused = await client.get("/events")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        for writer in writers:
            writer.close()
        await until(lambda: board.listeners == 0, "the listeners to be gone")
        assert len(await snapshots(client, 1)) == 1
    await until(lambda: board.listeners == 0, "the last one to be gone")


async def test_who_reads_slowly_gets_the_latest(running: Running) -> None:
    """What was missed is kept for nobody: of three snapshots that were made meanwhile, the last is sent."""
    board = running.context.board
    assert board is not None
    reads, sent = asyncio.Event(), list[dict[str, Any]]()
    made: list[float] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if len(sent) == 3:
            await reads.wait()

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def snapshot(caller: Caller) -> Snapshot:
        found = await take(caller)
        made.append(found.at)
        return found

    take, board.snapshot = board.snapshot, snapshot  # type: ignore[method-assign] # it is watched
    stream = asyncio.ensure_future(board.listen(LOCAL)({}, receive, send))
    await until(lambda: len(made) >= 4, "snapshots to be made")
    assert [message.get("body", b"")[:5] for message in sent] == [b"", b"retry", b"data:"]
    reads.set()
    await until(lambda: len(sent) == 4, "the next one to be sent")
    first, then = (json.loads(message["body"].removeprefix(b"data: ")) for message in sent[2:])
    assert first["at"] == made[0]
    assert then["at"] in made[3:]
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)
    assert board.listeners == 0


async def test_another_cache_is_tried(running: Running) -> None:
    async with running.client(OPERATOR) as client:
        for _ in range(3):
            await ask(client, "The same?")
        tried = await client.get("/cache/preview", params={"policy": "lfu", "size": 5, "ttl": 60})
        assert tried.json() == {"answers": 3, "hits": 2}
        assert (await client.get("/cache/preview?policy=none&size=5")).status_code == 400
        assert (await client.get("/cache/preview?policy=lru&size=-1")).status_code == 400
