"""The score service, over a real socket."""

import asyncio
import threading
from pathlib import Path

import pytest

from http_service import ANA, KEYS, OPERATOR, service
from tamiz.http.context import Context
from tamiz.scoring import Score, TfidfScorer
from waiting import until


async def test_an_answer_is_scored(tmp_path: Path) -> None:
    async with service(tmp_path) as running, running.client() as client:
        told = await client.post("/score", json={"answer": "the cat sat", "reference": "the cat sat down"})
        assert told.status_code == 200
        expected = TfidfScorer().score("the cat sat", "the cat sat down").value
        assert told.json() == {"score": expected, "scorer": "tfidf", "reason": None, "reasons": []}


async def test_the_best_form_counts(tmp_path: Path) -> None:
    async with service(tmp_path) as running, running.client() as client:
        forms = ["USA", "United States of America", "8"]
        told = await client.post("/score", json={"answer": "united states of america", "reference": forms})
        assert told.json()["score"] == pytest.approx(1.0)
        told = await client.post("/score", json={"answer": "nothing alike", "reference": ["8", "United States"]})
        assert told.json()["score"] == 0.0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"answer": "x"}, "no_reference"),
        ({"answer": "x", "reference": None}, "no_reference"),
        ({"answer": "x", "reference": []}, "no_reference"),
        ({"answer": "x", "reference": " "}, "no_reference"),
        ({"answer": "", "reference": "8"}, "nothing_to_score"),
    ],
)
async def test_where_there_is_no_score_there_is_a_reason(tmp_path: Path, body: dict[str, object], reason: str) -> None:
    async with service(tmp_path) as running, running.client() as client:
        told = await client.post("/score", json=body)
        assert (told.json()["score"], told.json()["reason"]) == (None, reason)


async def test_a_batch_keeps_its_order(tmp_path: Path) -> None:
    async with service(tmp_path) as running, running.client() as client:
        pairs = [{"answer": "word " * n, "reference": "word other"} for n in range(1, 300)]
        told = await client.post("/score/batch", json={"pairs": pairs, "scorer": "tfidf"})
        assert told.status_code == 200
        scorer = TfidfScorer()
        assert [each["score"] for each in told.json()["scores"]] == [
            scorer.score(pair["answer"], pair["reference"]).value for pair in pairs
        ]
        assert (await client.post("/score/batch", json={"pairs": []})).json() == {"scores": []}


async def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    async with service(tmp_path) as running, running.client() as client:
        for path, body, told in (
            ("/score", {"reference": "x"}, "answer"),
            ("/score", {"answer": "x", "reference": [1]}, "reference"),
            ("/score", {"answer": "x", "scorer": "vibes"}, "vibes"),
            ("/score/batch", {"pairs": [{"answer": "x"}, {}]}, "pairs"),
            ("/score/batch", {"pairs": [{"answer": "x"}] * 10_001}, "10,000"),
        ):
            refused = await client.post(path, json=body)
            assert refused.status_code == 400
            assert told in refused.text


async def test_long_scoring_keeps_nobody_from_the_store(tmp_path: Path) -> None:
    """However many answers a tenant has scored at once, and however long that takes."""
    begun, go_on = threading.Semaphore(0), threading.Event()

    class Slow:
        name = "slow"

        def score(self, answer: str, reference: str | None, question: str = "") -> Score:  # noqa: ARG002
            begun.release()
            go_on.wait(30)
            return Score(1.0)

    def change(context: Context) -> None:
        context.scorer = lambda _: Slow()

    async with service(tmp_path, keys=KEYS, change=change) as running, running.client(ANA) as client:
        pair = {"answer": "x" * 2_000, "reference": ["y", "z"]}
        asking = [
            asyncio.create_task(client.request(method, path, json=body))
            for method, path, body in (
                ("POST", "/score", pair),
                ("PUT", "/cache", {"title": "x", **pair}),
                *[("POST", "/score/batch", {"pairs": [pair]})] * 4,
            )
        ]
        try:
            await until(lambda: running.context.scoring._waiting == len(asking), "all to be under way")
            await until(lambda: begun.acquire(blocking=False), "the scoring to begin")
            assert (await running.get("/answers", OPERATOR))["answers"] == []
        finally:
            go_on.set()
        assert {(await each).status_code for each in asking} == {200}
