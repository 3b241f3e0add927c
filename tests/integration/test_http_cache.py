"""The cache service, over a real socket."""

from pathlib import Path

from http_service import ANA, BEN, KEYS, OPERATOR, service

ASKED = {"title": "What is the capital of France?", "reference": "Paris is the capital of France."}


async def test_what_was_accepted_is_found(tmp_path: Path) -> None:
    async with service(tmp_path, threshold=0.0) as running, running.client() as client:
        before = (await client.post("/cache/lookup", json=ASKED)).json()
        assert before == {
            "hit": False,
            "key": before["key"],
            **dict.fromkeys(("answer", "score", "reason", "model")),
            "reasons": [],
        }
        answered = (await client.post("/questions?wait=20", json=ASKED)).json()
        found = (await client.post("/cache/lookup", json=ASKED)).json()
        assert found["hit"] is True
        assert found["key"] == before["key"]
        assert (found["answer"], found["score"], found["model"]) == (
            answered["answer"],
            answered["score"],
            answered["model"],
        )
        stats = (await client.get("/cache/stats")).json()
        assert (stats["policy"], stats["size"], stats["limit"], stats["hits"]) == ("lru", 1, 10_000, 1)
        assert stats["ratio"] == 1 / (1 + stats["misses"])


async def test_what_falls_short_today_is_no_hit(tmp_path: Path) -> None:
    """An answer that was accepted under a lower threshold would be asked for anew."""
    async with service(tmp_path, threshold=0.2) as running, running.client() as client:
        put = await client.put("/cache", json={**ASKED, "answer": "yes", "score": 0.3})
        assert put.status_code == 200, put.text
        assert (await client.post("/cache/lookup", json=ASKED)).json()["hit"] is True
        policy = running.embedded.policy
        running.embedded.policy = type(policy)(threshold=0.31)
        assert (await client.post("/cache/lookup", json=ASKED)).json()["hit"] is False


async def test_an_answer_put_by_hand_answers_the_question(tmp_path: Path) -> None:
    async with service(tmp_path, model="simulated:?quality=0") as running, running.client() as client:
        kept = await client.put("/cache", json={**ASKED, "answer": "It is Paris, the capital of France."})
        assert kept.status_code == 200
        assert kept.json()["score"] > 0.3
        answered = (await client.post("/questions?wait=20", json=ASKED)).json()
        assert (answered["source"], answered["model"], answered["outcome"]) == ("cache", "by hand", "accepted")
        assert answered["score"] == kept.json()["score"]


async def test_an_answer_that_falls_short_is_not_kept(tmp_path: Path) -> None:
    async with service(tmp_path) as running, running.client() as client:
        for more in ({"answer": "bananas"}, {"answer": "Paris", "score": 0.29}):
            refused = await client.put("/cache", json={**ASKED, **more})
            assert refused.status_code == 422
            assert refused.json()["field"] == "answer"
            assert "below 0.3" in refused.json()["detail"]
        assert running.embedded.flow.cache is not None
        assert running.embedded.flow.cache.stats().size == 0


async def test_nothing_is_kept_where_nothing_can_be(tmp_path: Path) -> None:
    async with service(tmp_path, cache_size=0) as running, running.client() as client:
        refused = await client.put("/cache", json={**ASKED, "answer": "Paris", "score": 1})
        assert (refused.status_code, "PUT /cache/policy" in refused.json()["detail"]) == (409, True)
        long = await client.put("/cache", json={**ASKED, "answer": "x" * 65_537, "score": 1})
        assert (long.status_code, long.json()["field"]) == (400, "answer")


async def test_the_policy_changes_while_it_runs(tmp_path: Path) -> None:
    async with service(tmp_path, threshold=0.0) as running, running.client() as client:
        for n in range(5):
            await client.put("/cache", json={"title": f"question {n}", "answer": f"answer {n}", "score": 1})
        told = await client.put("/cache/policy", json={"policy": "fifo", "size": 2, "ttl": 60})
        assert told.status_code == 200
        assert (told.json()["policy"], told.json()["size"], told.json()["limit"], told.json()["ttl"]) == (
            "fifo",
            2,
            2,
            60,
        )
        hits = [(await client.post("/cache/lookup", json={"title": f"question {n}"})).json()["hit"] for n in range(5)]
        assert hits == [False, False, False, True, True]
        for wrong in (
            {"policy": "mru", "size": 1},
            {"policy": "lru", "size": -1},
            {"policy": "lru"},
            {"policy": "lru", "size": 1, "ttl": 0},
            {"policy": "lru", "size": 1, "colour": "red"},
        ):
            assert (await client.put("/cache/policy", json=wrong)).status_code == 400


async def test_what_is_forgotten_is_gone(tmp_path: Path) -> None:
    async with service(tmp_path) as running, running.client() as client:
        keys = [
            (await client.put("/cache", json={"title": f"q{n}", "answer": "yes", "score": 1})).json()["key"]
            for n in range(3)
        ]
        for _ in range(2):
            assert (await client.delete(f"/cache/{keys[0]}")).status_code == 204
        assert (await client.post("/cache/lookup", json={"title": "q0"})).json()["hit"] is False
        assert (await client.delete("/cache")).json() == {"answers": 2}
        assert (await client.get("/cache/stats")).json()["size"] == 0


async def test_a_tenant_finds_its_own_alone(tmp_path: Path) -> None:
    async with service(tmp_path, keys=KEYS) as running, running.client(ANA) as ana, running.client(BEN) as ben:
        assert (await ana.put("/cache", json={**ASKED, "answer": "Paris", "score": 1})).status_code == 200
        assert (await ana.post("/cache/lookup", json=ASKED)).json()["hit"] is True
        assert (await ben.post("/cache/lookup", json=ASKED)).json()["hit"] is False


async def test_only_operators_change_and_forget(tmp_path: Path) -> None:
    async with service(tmp_path, keys=KEYS) as running, running.client(ANA) as ana, running.client(OPERATOR) as ops:
        for method, path, body in (
            ("PUT", "/cache/policy", {"policy": "lru", "size": 5}),
            ("DELETE", "/cache", None),
            ("DELETE", "/cache/abc", None),
        ):
            refused = await ana.request(method, path, json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "not_operator")
            assert (await ops.request(method, path, json=body)).status_code in {200, 204}


async def test_a_wrong_look_up_names_its_field(tmp_path: Path) -> None:
    async with service(tmp_path) as running, running.client() as client:
        for body, field in (
            ({"title": ""}, "title"),
            ({"title": 5}, "title"),
            ({"title": "x", "threshold": 2}, "threshold"),
            ({}, "title"),
            ({"title": "x", "colour": "red"}, "colour"),
            ([], "body"),
        ):
            refused = await client.post("/cache/lookup", json=body)
            assert refused.status_code == 400
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json().get("field") == field
        assert (await client.post("/cache/lookup", content=b"{")).status_code == 400
