"""What a hostile client may try, over a real socket: it is refused, by name where that helps, and others go on."""

import asyncio
import contextlib
import hmac
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from http_service import ANA, BEN, KEYS, OPERATOR, Running, service
from tamiz.errors import UsageError
from tamiz.http import guard, server
from tamiz.http.guard import BODY_CAP
from tamiz.http.keys import Keys, make_key
from waiting import until

HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """Give a service; whatever was done to it, it answers in the end, and none of its tasks died of it."""
    async with service(tmp_path) as made:
        yield made
        alive = await made.raw(b"GET /health HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert alive.endswith(b'{"status":"ok"}')


def request(line: bytes, body: bytes = b"", headers: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return line + b" HTTP/1.1\r\n" + HOST + headers + length + b"Connection: close\r\n\r\n" + body


def answer(data: bytes) -> tuple[int, dict[str, str], Any]:
    """Take an answer apart: status, headers, body."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, json.loads(body) if body else None


async def refused(running: Running, data: bytes, *status: int) -> Any:
    """Send what has to be refused; give the problem."""
    code, headers, problem = answer(await running.raw(data))
    assert code in status
    assert headers["content-type"] == "application/problem+json"
    assert (problem["status"], bool(problem["detail"])) == (code, True)
    return problem


DEEP = b"[" * 200_000 + b"]" * 200_000
BODIES = {
    "deep": b'{"title": ' + DEEP + b"}",
    "deep in a field nobody knows": b'{"title": "x", "y": ' + DEEP + b"}",
    "deep in objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "cut": b'{"title": "x"',
    "no JSON": b"title=x",
    "a list": b"[1]",
    "a number": b"1",
    "null": b"null",
    "NaN": b'{"title": "x", "threshold": NaN}',
    "infinite": b'{"title": "x", "threshold": 1e999}',
    "a number of 5,000 digits": b'{"title": "x", "threshold": ' + b"9" * 5_000 + b"}",
    "half a surrogate pair": b'{"title": "\\ud800"}',
    "not UTF-8": b'{"title": "\xff\xfe"}',
    "an operator for a text": b'{"title": {"$gt": ""}}',
    "an operator for a number": b'{"title": "x", "threshold": {"$gt": 0}}',
    "a list for a text": b'{"title": ["x"]}',
    "null for a text": b'{"title": null}',
    "a field nobody knows": b'{"title": "x", "$where": "sleep(9)"}',
    "an empty title": b'{"title": ""}',
    "a title without end": b'{"title": "' + b"x" * 200_001 + b'"}',
}


@pytest.mark.parametrize("path", [b"/questions", b"/cache/lookup"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_wrong_bodies_are_refused(running: Running, path: bytes, body: bytes) -> None:
    await refused(running, request(b"POST " + path, body, JSON), 400)


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: %d\r\n" % (BODY_CAP + 1),
        b"Content-Length: %d\r\nExpect: 100-continue\r\n" % (BODY_CAP + 1),
        b"Transfer-Encoding: chunked\r\n",
    ],
)
@pytest.mark.parametrize("path", [b"/questions", b"/cache/lookup", b"/score/batch", b"/dead-letters/replay"])
async def test_giant_bodies_are_refused(running: Running, path: bytes, headers: bytes) -> None:
    """Whether they say so or not; what was declared too large is not waited for."""
    data = b"POST " + path + b" HTTP/1.1\r\n" + HOST + JSON + headers + b"\r\n"
    if b"chunked" in headers:
        part = b'{"title": "' + b"x" * 65_536
        data += (b"%x\r\n" % len(part) + part + b"\r\n") * 17
    problem = await refused(running, data, 413)
    assert problem["code"] == "size"


async def test_a_body_that_nobody_reads_ends_the_connection(tmp_path: Path) -> None:
    """Who is refused at the door is not listened to for ever."""
    async with service(tmp_path, keys=KEYS) as running:
        for path in (b"/questions", b"/datasets", b"/nothing"):
            data = b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
            code, headers, _ = answer(await running.raw(data, 5))
            assert (code, headers["connection"]) == (401, "close")


async def test_a_bomb_is_not_unpacked(running: Running) -> None:
    for coding in (b"gzip", b"br", b"deflate, gzip", b"GZIP"):
        data = request(b"POST /questions", b"\x1f\x8b" + b"\0" * 50, JSON + b"Content-Encoding: " + coding + b"\r\n")
        problem = await refused(running, data, 415)
        assert (problem["field"], problem["code"]) == ("content-encoding", "encoding")
    fine = request(b"POST /questions", b'{"title": "x"}', JSON + b"Content-Encoding: identity\r\n")
    assert answer(await running.raw(fine))[0] == 202


SMUGGLED = b"GET /stats HTTP/1.1\r\n" + HOST + b"\r\n"
HEADERS = {
    "both lengths": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "both lengths, the other way": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a list of lengths": b"Content-Length: 1, 1\r\n\r\nab",
    "a signed length": b"Content-Length: +1\r\n\r\na",
    "a negative length": b"Content-Length: -1\r\n\r\na",
    "a hexadecimal length": b"Content-Length: 0x1\r\n\r\na",
    "a length beyond all numbers": b"Content-Length: 99999999999999999999999\r\n\r\na",
    "two codings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a bad size of a chunk": b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than it says": b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
    "bare line feeds in chunks": b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n" + SMUGGLED,
    "a blank before the colon": b"Content-Length : 5\r\n\r\nabcde",
    "a folded header": b"X: a\r\n Content-Length: 5\r\n\r\n",
    "a zero byte in a header": b"X: a\0b\r\n\r\n",
    "two hosts": b"Host: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
async def test_what_can_be_read_in_two_ways_is_refused(running: Running, headers: bytes) -> None:
    """No second request is found in it."""
    got = await running.raw(b"POST /questions HTTP/1.1\r\n" + HOST + JSON + headers, 5)
    assert got.startswith(b"HTTP/1.1 400")
    assert got.count(b"HTTP/1.1") == 1
    assert len(running.embedded.queue) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 1_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"BREW /coffee HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
    ],
    ids=["zeros", "TLS", "HTTP/2", "unknown method", "unknown version", "no host"],
)
async def test_what_is_no_request_is_refused(running: Running, data: bytes) -> None:
    assert (await running.raw(data, 3)).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "start",
    [
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 2_000_000,
        b"GET /health HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 300_000,
        b"GET /health?" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
    ids=["one without end", "many", "a path without end", "a long query"],
)
async def test_headers_without_end_are_refused(running: Running, start: bytes) -> None:
    got = await running.raw(start)
    assert not got or got.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400")), "it may hang up before it is heard"


@pytest.mark.parametrize(
    "path",
    [
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"/../etc/passwd",
        b"/questions/..%2f..%2fstats",
        b"/cache/%2e%2e%2fstats",
        b"/answers/%00",
        b"/answers/%ff",
        b"/answers/%",
        b"/answers/$ne",
        b"/answers/%7B%22$gt%22%3A%22%22%7D",
        b"/questions/%7B%22$ne%22%3Anull%7D",
        b"/health%00",
        b"/health;x=/../stats",
        b"/openapi/../../tamiz.db",
        b"*",
    ],
)
async def test_paths_lead_nowhere_else(running: Running, path: bytes) -> None:
    await refused(running, request(b"GET " + path), 404)


async def test_a_path_in_disguise_needs_a_key_too(tmp_path: Path) -> None:
    """Whatever a path looks like: what is served without a key is served under its own name alone."""
    async with service(tmp_path, keys=KEYS) as running:
        assert answer(await running.raw(request(b"GET /health")))[0] == 200
        for path in (b"//health", b"/health/", b"/%68ealth/", b"//stats", b"/stats/", b"/STATS", b"/health/../stats"):
            code, _, _ = answer(await running.raw(request(b"GET " + path)))
            assert code == 401
        for path in (b"//cache/lookup", b"/cache/lookup/", b"//datasets", b"/datasets/"):
            assert answer(await running.raw(request(b"POST " + path, b'{"title": "x"}', JSON)))[0] == 401


@pytest.mark.parametrize(
    "query",
    [
        "outcome[$ne]=accepted",
        "after[$gt]=",
        "min_score[$gt]=0",
        'after={"$gt": ""}',
        "after=%00",
        "after=%ff%fe",
        "after=' OR 1=1 --",
        "dataset=0000000000000000&dataset[$regex]=.*",
    ],
)
async def test_operators_and_quotes_are_values(tmp_path: Path, query: str) -> None:
    """What means something to a database means nothing here: another tenant's answers stay its own."""
    async with service(tmp_path, keys=KEYS) as running, running.client(ANA) as ana, running.client(BEN) as ben:
        assert (await ana.post("/questions?wait=20", json={"title": "ana's"})).status_code == 200
        for path in ("/answers", "/dead-letters", "/export"):
            found = await ben.get(f"{path}?{query}")
            assert found.status_code in {200, 400}
            assert "ana's" not in found.text
            if found.status_code == 200 and path == "/answers":
                assert found.json() == {"answers": [], "next": None}


async def test_another_tenants_ids_are_nobodys(tmp_path: Path) -> None:
    async with (
        service(tmp_path, keys=KEYS) as running,
        running.client(ANA) as ana,
        running.client(BEN) as ben,
        running.client(OPERATOR) as ops,
    ):
        told = (await ana.post("/questions?wait=20", json={"title": "ana's"})).json()
        for path in ("/questions/", "/answers/"):
            there = await ben.get(path + told["message_id"])
            nowhere = await ben.get(path + "0" * 32)
            assert there.status_code == nowhere.status_code == 404
            assert there.text.replace(told["message_id"], "0" * 32) == nowhere.text, "it does not say that it is there"
            assert (await ops.get(path + told["message_id"])).status_code == 200
        assert (await ben.post("/dead-letters/replay", json={"message_ids": [told["message_id"]]})).status_code == 403
        again = (await ben.post("/questions?wait=20", json={"title": "ana's"})).json()
        assert again["source"] == "model", "nor is her answer reused"


async def test_a_script_in_an_answer_stays_data(running: Running) -> None:
    script = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    async with running.client() as client:
        asked = {"title": script, "content": script}
        await client.put("/cache", json={**asked, "answer": script, "score": 1})
        told = await client.post("/questions?wait=20", json={**asked, "id": script})
        id_ = told.json()["message_id"]
        assert told.json()["answer"] == script
        for path in ("/answers", f"/answers/{id_}", f"/questions/{id_}", "/export", "/export?format=csv", f"/{script}"):
            got = await client.get(path)
            assert got.headers["x-content-type-options"] == "nosniff"
            assert "html" not in got.headers["content-type"]
            assert "default-src 'none'" in got.headers["content-security-policy"]
            assert "csv" not in path or "attachment" in got.headers["content-disposition"]


@pytest.mark.parametrize(
    "headers",
    [
        b"Origin: https://evil.example\r\n",
        b"Origin: null\r\n",
        b"Origin: http://localhost.evil.example\r\n",
        b"Origin: http://localhost:1\r\n",
        b"Sec-Fetch-Site: cross-site\r\n",
        b"Sec-Fetch-Site: same-site\r\n",
    ],
)
async def test_a_page_of_elsewhere_changes_nothing(running: Running, headers: bytes) -> None:
    for line, body in (
        (b"POST /questions", b'{"title": "x"}'),
        (b"POST /cache/lookup", b'{"title": "x"}'),
        (b"DELETE /cache", b""),
        (b"PUT /cache/policy", b'{"policy": "lru", "size": 1}'),
        (b"POST /datasets", b"question\nx\n"),
        (b"POST /dead-letters/replay", b'{"kind": "fatal"}'),
    ):
        for kind in (JSON, b"Content-Type: text/plain\r\n", b""):
            problem = await refused(running, request(line, body, kind + headers), 403)
            assert problem["code"] == "cross_site"


@pytest.mark.parametrize(
    "host", [b"evil.example", b"localhost.evil.example", b"127.0.0.1.evil.example", b"[::2]", b"a@b"]
)
async def test_a_name_that_is_rebound_is_refused(running: Running, host: bytes) -> None:
    """A page whose own name leads here may not even read."""
    for line in (b"GET /answers", b"GET /export", b"POST /questions"):
        data = line + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
        problem = await refused(running, data, 403)
        assert problem["code"] == "host"


async def _all_of(reader: asyncio.StreamReader) -> bytes:
    """Read to the end, which is a reset where something was sent after the service had hung up."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while part := await reader.read(65_536):
            got += part
    return got


async def _closed(running: Running, start: bytes, trickle: bytes = b"", within: float = 20.0) -> bytes:
    """Send a beginning and then a byte at a time; give what comes until the service hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        writer.write(start)
        async with asyncio.timeout(within):
            reading = asyncio.create_task(_all_of(reader))
            for each in trickle:
                writer.write(bytes([each]))
                await asyncio.wait([reading], timeout=0.05)
                if reading.done():
                    break
            return await reading
    finally:
        writer.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the service wait for nobody longer than half a second."""
    monkeypatch.setattr(server, "_FIRST_WITHIN", 0.5)
    monkeypatch.setattr(server, "_LOOK_EVERY", 0.5)
    monkeypatch.setattr(guard, "_BODY_WITHIN", 0.5)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("start", [b"", b"GET /heal", b"GET /health HTTP/1.1\r\nX: "])
async def test_who_says_nothing_is_hung_up_on(running: Running, start: bytes) -> None:
    """Nor does a byte now and then help."""
    assert await _closed(running, start, b"x" * 200 if start else b"") == b""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("path", [b"/questions", b"/cache/lookup", b"/datasets"])
async def test_a_body_that_trickles_is_given_up(running: Running, path: bytes) -> None:
    kind = b"Content-Type: text/csv\r\n" if path == b"/datasets" else JSON
    start = b"POST " + path + b" HTTP/1.1\r\n" + HOST + kind + b"Content-Length: 5000\r\n\r\n"
    got = await _closed(running, start, b'{"title": "' + b"x" * 300)
    assert got.startswith(b"HTTP/1.1 408")
    assert answer(got)[2]["code"] == "slow"
    assert running.context.extra.get("uploads", set()) == set()


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_never_reads_is_cut_off(tmp_path: Path) -> None:
    """What it was to be sent is freed, and the flow went on meanwhile."""
    async with service(tmp_path, threshold=0.0) as running, running.client() as client:
        long = "long " * 30_000
        for n in range(60):
            await client.put("/cache", json={"title": f"{n}", "content": long, "answer": "yes " * 12_000, "score": 1})
            await client.post("/questions?wait=20", json={"title": f"{n}", "content": long})
        _, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport that reads
        for path in (b"/export", b"/answers?limit=1000"):
            writer.write(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        connections = running.connections
        await until(lambda: len(connections()) >= 2, "the connection")
        asked = await client.post("/questions?wait=20", json={"title": "meanwhile"})
        assert asked.status_code == 200
        await until(lambda: len(connections()) <= 1, "the service to cut it off", within=20)
        writer.transport.abort()


async def test_more_connections_than_there_are_files_for_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are there are served, and new ones are once there is room."""
    monkeypatch.setattr(server._Protocol, "most", 5)
    async with service(tmp_path) as running:
        idle = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(5)]
        await until(lambda: len(running.connections()) == 5, "five connections")
        assert await running.raw(request(b"GET /health")) == b""
        reader, writer = idle[0]
        writer.write(request(b"GET /health"))
        assert (await reader.read()).endswith(b'{"status":"ok"}')
        await until(lambda: len(running.connections()) == 4, "one to be gone")
        assert (await running.raw(request(b"GET /health"))).endswith(b'{"status":"ok"}')
        for _, each in idle:
            each.close()


@pytest.mark.parametrize("key", ["short", "a" * 40, "abcabcabcabcabcabcabcabcabc"])
def test_weak_keys_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match="the key of ana is weak") as raised:
        Keys.read(str(tmp_path / "none"), f"ana:{key}")
    assert key not in str(raised.value)


def test_the_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    """And they are not in the file: only what they are known by."""
    path = tmp_path / "tamiz.keys"
    key = make_key(str(path), "ana")
    make_key(str(path), "ben")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key not in path.read_text()
    caller = Keys.read(str(path), None).caller(key)
    assert caller is not None
    assert (caller.tenant, caller.operator) == ("ana", False)


def test_a_key_is_compared_with_all_whichever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the time it takes tells nothing."""
    compared: list[bytes] = []

    def compare(ours: bytes, given: bytes) -> bool:
        compared.append(ours)
        return ours == given

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for key in (ANA, BEN, OPERATOR, "unknown", "", "\udcff"):
        compared.clear()
        KEYS.caller(key)
        assert len(compared) == len(KEYS)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic YW5hOmFuYQ==", "Bearer \xff", "Bearer " + "x" * 9_000]
)
async def test_wrong_keys_are_refused(tmp_path: Path, header: str) -> None:
    async with service(tmp_path, keys=KEYS) as running:
        line = f"Authorization: {header}\r\n".encode("latin-1") if header else b""
        code, headers, problem = answer(await running.raw(request(b"GET /answers", b"", line)))
        assert (code, problem["code"], headers["www-authenticate"]) == (401, "invalid_api_key", "Bearer")


async def test_a_message_id_is_a_text_whatever_it_holds(running: Running) -> None:
    """None of a list of ids reaches the store but as a text."""
    for ids in ([{"$gt": ""}], {"$gt": ""}, [None], [["x"]], "x", [1]):
        body = msgspec.json.encode({"message_ids": ids})
        await refused(running, request(b"POST /dead-letters/replay", body, JSON), 400)
    fine = msgspec.json.encode({"message_ids": ['{"$gt": ""}', "' OR 1=1 --", "\0"]})
    code, _, told = answer(await running.raw(request(b"POST /dead-letters/replay", fine, JSON)))
    assert (code, told["questions"]) == (200, 0)
