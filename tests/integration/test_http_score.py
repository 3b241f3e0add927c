"""The score service, over a real socket."""

from pathlib import Path

import pytest

from http_service import service
from tamiz.scoring import TfidfScorer


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
