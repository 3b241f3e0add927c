"""The storage service, over a real socket."""

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet
import pytest

from http_service import ANA, BEN, KEYS, OPERATOR, Running, service
from tamiz.http import looks
from tamiz.store.lives import ResultRow
from waiting import PATIENCE, until

CSV = "id,question,reference\n" + "".join(f"{n},What is {n}?,It is {n}\n" for n in range(20))
FAILING = "simulated:?invalid=1"


async def load(client: httpx.AsyncClient, body: str | bytes, kind: str = "text/csv", **params: str) -> list[Any]:
    """Hand a data set in, and give what is told of it."""
    answer = await client.post("/datasets", content=body, params=params, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def all_ended(client: httpx.AsyncClient, count: int) -> None:
    """Wait until so many questions have an outcome."""
    for _ in range(2000):
        found = (await client.get("/answers", params={"limit": 1000})).json()["answers"]
        if len(found) >= count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not {count} questions have ended")


async def paged(client: httpx.AsyncClient, path: str, name: str) -> list[Any]:
    """Give all rows of all pages."""
    rows: list[Any] = []
    at: str | None = path
    while at is not None:
        page = (await client.get(at)).json()
        rows += page[name]
        at = page["next"]
    return rows


async def test_a_data_set_is_taken_in_and_answered(tmp_path: Path) -> None:
    async with service(tmp_path) as running, running.client() as client:
        *rows, ended = await load(client, CSV)
        assert [(row["line"], row["id"], row["known"]) for row in rows] == [(n + 2, str(n), False) for n in range(20)]
        assert ended == {
            "dataset": ended["dataset"],
            "rows": 20,
            "questions": 20,
            "known": 0,
            "bad": 0,
            "problem": None,
        }
        await all_ended(client, 20)
        found = await paged(client, f"/answers?limit=7&dataset={ended['dataset']}", "answers")
        assert [row["message_id"] for row in found] == [row["message_id"] for row in rows]
        assert [row["question"] for row in found] == [f"What is {n}?" for n in range(20)]
        assert (await client.get("/answers", params={"dataset": "0" * 16})).json() == {"answers": [], "next": None}


async def test_a_data_set_that_comes_again_is_known(tmp_path: Path) -> None:
    """Nobody is asked twice, whether or not the questions have an outcome by then."""
    async with service(tmp_path, model="simulated:?latency=1s") as running, running.client() as client:
        first = await load(client, CSV)
        again = await load(client, CSV)
        assert [row["message_id"] for row in again[:-1]] == [row["message_id"] for row in first[:-1]]
        assert all(row["known"] for row in again[:-1])
        assert (again[-1]["dataset"], again[-1]["known"], again[-1]["questions"]) == (first[-1]["dataset"], 20, 0)
        assert (await client.get("/stats")).json()["questions"] == 20
        other = await load(client, CSV.replace("It is 19", "It is XIX"))
        assert (other[-1]["known"], other[-1]["questions"]) == (0, 20)


async def test_bad_rows_are_told_with_their_lines(tmp_path: Path) -> None:
    lines = [
        '{"question": "fine", "id": "a"}',
        "",
        '{"question": ""}',
        "{broken",
        '{"question": "x", "reference": {"a": 1}}',
        json.dumps({"question": "y" * 200_001}),
        '{"question": "also fine"}',
    ]
    async with service(tmp_path) as running, running.client() as client:
        *rows, ended = await load(client, "\n".join(lines), "application/x-ndjson; charset=utf-8")
        assert [(row["line"], "problem" in row) for row in rows] == [
            (1, False),
            (3, True),
            (4, True),
            (5, True),
            (6, True),
            (7, False),
        ]
        assert "is empty" in rows[1]["problem"]
        assert rows[4]["problem"] == "the question has more than 200,000 characters"
        assert (ended["rows"], ended["questions"], ended["bad"]) == (6, 2, 4)


@pytest.mark.parametrize(
    ("body", "kind", "columns", "status", "told"),
    [
        ("a,b\n1,2\n", "text/csv", "", 400, "the body has no question column; its columns are 'a', 'b'"),
        ("a,b\n1,2\n", "text/csv", "question=c", 400, "the body has no column 'c' for question"),
        ("a,b\n1,2\n", "text/csv", "colour=a", 400, "?columns: 'colour'"),
        ("", "text/csv", "", 400, "the body is empty"),
        ('[{"question": "x"}]', "application/jsonl", "", 400, "the body is a JSON list"),
        ("question\nx\n", "application/json", "", 415, "application/json"),
        ("question\nx\n", "", "", 415, "text/csv"),
    ],
)
async def test_what_is_no_data_set_is_refused(
    tmp_path: Path,
    *,
    body: str,
    kind: str,
    columns: str,
    status: int,
    told: str,
) -> None:
    async with service(tmp_path) as running, running.client() as client:
        answer = await client.post(
            "/datasets", content=body, params={"columns": columns}, headers={"content-type": kind}
        )
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert told in answer.json()["detail"]
        assert "tamiz-" not in answer.text


async def test_more_rows_than_the_queue_holds_wait_for_room(tmp_path: Path) -> None:
    """Nothing is refused or lost, and questions that come alone still find a place."""
    async with service(tmp_path, queue=10) as running, running.client() as client:
        body = "question\n" + "".join(f"What is {n}?\n" for n in range(400))
        loading = asyncio.create_task(load(client, body))
        alone: list[int] = []
        while not loading.done():
            alone.append((await client.post("/questions", json={"title": f"alone {len(alone)}"})).status_code)
            assert len(running.embedded.queue) <= 10
            await asyncio.sleep(0.005)
        rows = await loading
        assert (rows[-1]["questions"], rows[-1]["problem"]) == (400, None)
        assert set(alone) <= {200, 202}
        assert running.embedded.queue.refused == 0
        await all_ended(client, 400 + len(alone))


async def test_a_body_of_any_size_is_streamed(tmp_path: Path) -> None:
    async with service(tmp_path, queue=1000) as running, running.client() as client:

        async def body() -> Any:
            yield b"question,content\n"
            for n in range(40):
                yield b"question %d,%s\n" % (n, b"x" * 100_000)

        answer = await client.post("/datasets", content=body(), headers={"content-type": "text/csv"})
        assert json.loads(answer.text.splitlines()[-1])["questions"] == 40


async def test_what_was_taken_in_is_told_when_the_service_stops(tmp_path: Path) -> None:
    body = "question\n" + "".join(f"What is {n}?\n" for n in range(300))
    async with service(tmp_path, model="simulated:?latency=10s", queue=200) as running, running.client() as client:
        loading = asyncio.create_task(load(client, body))
        await until(lambda: len(running.embedded.queue) >= 50, "50 questions")
        running.embedded.stop(grace=False)
        async with asyncio.timeout(PATIENCE):
            *rows, ended = await loading
        assert "stopping" in ended["problem"]
        assert 0 < ended["questions"] <= len(rows) < 300
    async with service(tmp_path, model="simulated:?latency=10s", queue=2000) as running, running.client() as client:
        again = await load(client, body)
        assert again[-1]["rows"] == 300
        assert again[-1]["known"] >= len(rows)


async def test_answers_are_filtered(tmp_path: Path) -> None:
    async with (
        service(tmp_path, threshold=0.5, model="simulated:?quality=0.5&seed=3") as running,
        running.client() as c,
    ):
        await load(c, CSV)
        await all_ended(c, 20)
        everything = (await c.get("/answers")).json()["answers"]
        assert {row["outcome"] for row in everything} == {"accepted", "exhausted"}
        for outcome in ("accepted", "exhausted"):
            found = (await c.get("/answers", params={"outcome": outcome})).json()["answers"]
            assert found == [row for row in everything if row["outcome"] == outcome]
        both = (await c.get("/answers?outcome=accepted&outcome=exhausted")).json()["answers"]
        assert both == everything
        best = (await c.get("/answers", params={"min_score": 0.6})).json()["answers"]
        assert best == [row for row in everything if (row["score"] or 0) >= 0.6]
        assert 0 < len(best) < 20
        for wrong in ("outcome=great", "min_score=2", "min_score=x", "limit=0", "limit=1001", "dataset=x"):
            refused = await c.get(f"/answers?{wrong}")
            assert (refused.status_code, refused.json()["field"]) == (400, wrong.partition("=")[0])


async def test_one_answer_is_told_with_its_life(tmp_path: Path) -> None:
    async with service(tmp_path) as running, running.client() as client:
        asked = await client.post("/questions?wait=20", json={"title": "x", "reference": "y"})
        told = (await client.get(f"/answers/{asked.json()['message_id']}")).json()
        assert {name: told[name] for name in asked.json()} == asked.json()
        assert told["life"]["reference"] == "y"
        missing = await client.get("/answers/nothing")
        assert (missing.status_code, missing.json()["field"]) == (404, "message_id")


async def test_a_reference_of_several_forms_is_told_as_it_was_given(tmp_path: Path) -> None:
    async with service(tmp_path, model="simulated:?quality=1") as running, running.client() as client:
        given = {"title": "Which country is meant?", "reference": ["The United States of America", "USA"]}
        asked = (await client.post("/questions?wait=20", json=given)).json()
        assert asked["outcome"] == "accepted"
        assert (await client.get(f"/questions/{asked['message_id']}")).json()["life"]["reference"] == given["reference"]
        (listed,) = (await client.get("/answers")).json()["answers"]
        assert listed["reference"] == given["reference"]
        assert (await client.post("/questions?wait=20", json=given)).json()["source"] in {"cache", "store"}
        other = {**given, "reference": given["reference"][::-1]}
        assert (await client.post("/questions?wait=20", json=other)).json()["source"] == "model"


async def test_figures_are_those_of_the_metrics_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "_FRESH", 3600.0)
    async with service(tmp_path, model="simulated:?quality=1") as running, running.client() as client:
        await load(client, CSV)
        await all_ended(client, 20)
        running.context.figures._kept.clear()
        told = (await client.get("/stats")).json()
        assert (told["questions"], told["open"], told["accepted"], told["failed"]) == (20, 0, 20, 0)
        assert set(told) == {
            "questions",
            "open",
            "accepted",
            "exhausted",
            "failed",
            "sources",
            "dead_letters",
            "attempts",
            "model_calls",
            "unscored",
            "score",
            "latency_ms",
            "updated_at",
        }
        assert (await client.get("/stats")).json() == told, "they are kept for a moment"


async def test_dead_letters_are_listed_and_put_back(tmp_path: Path) -> None:
    async with service(tmp_path, model=FAILING) as running, running.client() as client:
        await load(client, CSV)
        await all_ended(client, 20)
        listed = await paged(client, "/dead-letters?limit=6", "dead_letters")
        assert len(listed) == 20
        kind = listed[0]["kind"]
        page = (await client.get("/dead-letters", params={"kind": kind, "limit": 1})).json()
        assert page["kinds"] == {kind: 20}
        assert page["dead_letters"] == listed[:1]
        assert (await client.get("/dead-letters", params={"kind": "none"})).json()["dead_letters"] == []
        named = [row["message_id"] for row in listed[:3]]
        back = await client.post("/dead-letters/replay", json={"message_ids": [*named, "nobody"]})
        assert back.json() == {"questions": 3, "no_questions": 0, "of_other_settings": 0}
        await all_ended(client, 20)
        again = await client.post("/dead-letters/replay", json={"kind": kind})
        assert again.json()["questions"] == 20
        await all_ended(client, 20)
        for wrong in ({}, {"kind": kind, "message_ids": []}, {"colour": "red"}, {"message_ids": [5]}):
            assert (await client.post("/dead-letters/replay", json=wrong)).status_code == 400


async def test_a_replayed_question_waits_for_no_one(tmp_path: Path) -> None:
    """It ends again, under the id that it had."""
    async with service(tmp_path, model=FAILING) as running, running.client() as client:
        asked = (await client.post("/questions?wait=20", json={"title": "x"})).json()
        first = (await client.get(f"/answers/{asked['message_id']}")).json()
        await client.post("/dead-letters/replay", json={"message_ids": [asked["message_id"]]})
        for _ in range(500):
            told = (await client.get(f"/answers/{asked['message_id']}")).json()
            if told["outcome"] and told["life"]["outcome"]["finished_at"] > first["life"]["outcome"]["finished_at"]:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it has no other outcome")


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
async def test_an_export_is_the_file_that_the_command_writes(tmp_path: Path, kind: str) -> None:
    async with service(tmp_path, threshold=0.0) as running, running.client() as client:
        await load(client, "question,reference\n" + "".join(f'"{n}, ñ ""½""",{n}\n' for n in range(1300)))
        await until(lambda: not len(running.embedded.queue), "all to end")
        answer = await client.get("/export", params={"format": kind})
        assert answer.status_code == 200
        rows = _rows(kind, answer.content)
        expected = await paged(client, "/answers?limit=1000", "answers")
        assert len(rows) == len(expected) == 1300
        assert [row["message_id"] for row in rows] == [row["message_id"] for row in expected]
        assert [row["question"] for row in rows] == [row["question"] for row in expected]
        assert list(rows[0]) == list(ResultRow.__struct_fields__)
        empty = await client.get("/export", params={"format": kind, "outcome": "failed"})
        assert _rows(kind, empty.content) == []


def _rows(kind: str, data: bytes) -> list[dict[str, Any]]:
    if kind == "jsonl":
        return [json.loads(line) for line in data.splitlines()]
    if kind == "csv":
        return list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    return rows


async def test_each_tenant_sees_its_own_alone(tmp_path: Path) -> None:
    async with (
        service(tmp_path, keys=KEYS, threshold=0.0) as running,
        running.client(ANA) as ana,
        running.client(BEN) as ben,
        running.client(OPERATOR) as ops,
    ):
        mine = await load(ana, CSV)
        await all_ended(ana, 20)
        await load(ben, CSV)
        await all_ended(ben, 20)
        await _sees(running, ana, 20)
        await _sees(running, ben, 20)
        await _sees(running, ops, 40)
        assert (await ana.get(f"/answers/{mine[0]['message_id']}")).status_code == 200
        assert (await ops.get(f"/answers/{mine[0]['message_id']}")).status_code == 200
        for path in (f"/answers/{mine[0]['message_id']}", f"/questions/{mine[0]['message_id']}"):
            assert (await ben.get(path)).status_code == 404
        assert (await ben.get("/answers", params={"dataset": mine[-1]["dataset"]})).json()["answers"] == []
        refused = await ana.post("/dead-letters/replay", json={"kind": "fatal"})
        assert (refused.status_code, refused.json()["code"]) == (403, "not_operator")


async def _sees(running: Running, client: httpx.AsyncClient, count: int) -> None:
    running.context.figures._kept.clear()
    assert len((await client.get("/answers")).json()["answers"]) == count
    assert (await client.get("/stats")).json()["questions"] == count
    assert len((await client.get("/export")).text.splitlines()) == count
