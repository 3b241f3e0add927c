"""The live page of a cluster, in a real browser: nothing of what it shows happens in the process that serves it."""

import threading
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from cluster.mongo import MongoServer
from fake_llm import Do, Request, answer, status
from on_cluster import OnCluster
from page_parts import assert_fits, live, row, sign_in, tile
from serve_command import call, served
from serving import asked, model_url, serving
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("cluster")

KEYS: Final = {tenant: f"{tenant}-0123456789-abcdefghijkl" for tenant in ("ann", "bob", "operator")}


def ask(url: str, title: str, *, wait: float = 30, key: str = "", **more: Any) -> str:
    """Ask a question, again until workers are there, and give its id."""

    def taken() -> str | None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        code, told = call(f"{url}/questions?wait={wait}", {"title": title, **more}, headers=headers)
        assert code in {200, 202, 503}, told
        return None if code == 503 else str(told["message_id"])

    return str(wait_until(taken, "a worker to be there"))


def test_it_shows_what_workers_elsewhere_do(page: Page, on: OnCluster, mongo: MongoServer) -> None:
    """Calls under way, answers, models; a dead letter is asked again; a store that is away is told, and comes back."""
    broken = [True]
    seen = threading.Event()  # the slow one, under way

    def script(request: Request) -> Do:
        if "well" in asked(request) and broken[0]:
            return status(400, {"error": {"message": "maximum context length is 9", "code": "context_length_exceeded"}})
        return answer("Lima is the capital.", after=seen if "slow" in asked(request) else None)

    with (
        serving(script) as llm,
        on.worker(model=model_url(llm)),
        served(on.folder, model=None, env=on.environment) as (_, url),
    ):
        live(page, url)
        message_id = ask(url, "What is the capital of Peru?", reference="Lima is the capital.", id="17")
        for text in ("Lima is the capital.", "accepted", "model"):
            expect(row(page, "capital of Peru")).to_contain_text(text)
        expect(tile(page, "Accepted")).to_have_text("100 %")
        expect(page.locator("#models li")).to_contain_text(f"{model_url(llm)}not paused")

        queue = page.locator("#queues > div")
        ask(url, "Is this slow?", wait=0)
        expect(queue.filter(has_text="generate lag").locator("dd")).to_have_text("1")
        expect(tile(page, "Calls under way")).to_have_text("1")
        expect(tile(page, "Open questions")).to_have_text("1")
        seen.set()
        expect(row(page, "slow")).to_be_visible()
        for stage in ("intake", "generate", "retry", "judge", "persist"):
            expect(queue.filter(has_text=f"{stage} lag").locator("dd")).to_have_text("0")

        ask(url, "Is all well?")
        expect(tile(page, "Dead letters")).to_have_text("1")
        page.get_by_label("not accepted").check()
        expect(row(page, "well")).to_contain_text("invalid: ")
        for width in (390, 1200):
            page.set_viewport_size({"width": width, "height": 900})
            assert_fits(page)
        broken[0] = False
        page.get_by_label("all", exact=True).check()
        page.get_by_role("button", name="Replay invalid").click()
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#said")).to_have_text("1 question put back")
        expect(tile(page, "Dead letters")).to_have_text("0")
        page.get_by_role("heading", name="Queues").hover()  # off the list, which stands still under a pointer
        # five seconds after it was put back it is asked
        expect(page.locator("#rows tr", has_text="well").first).to_contain_text("accepted")

        mongo.pause()
        try:
            expect(page.locator("#trouble")).to_contain_text("does not answer")
            expect(page.locator("#status")).to_have_text("live")
            expect(queue.filter(has_text="persist lag")).to_be_visible()
        finally:
            mongo.resume()
        expect(page.locator("#trouble")).to_be_hidden()

        row(page, "capital of Peru").get_by_role("link").click()
        expect(page).to_have_url(f"{url}/life/{message_id}")
        expect(page.locator("#status")).to_have_text("accepted")
        expect(page.locator("#hops > li")).to_have_count(2)
        assert_fits(page)


def test_a_tenant_s_page_goes_on_by_itself(page: Page, on: OnCluster) -> None:
    """It has what is the tenant's own, though nobody else looks at the cluster."""
    env = {**on.environment, "TAMIZ_API_KEYS": " ".join(f"{tenant}:{key}" for tenant, key in KEYS.items())}
    with on.worker(model="simulated:?latency=5ms"), served(on.folder, model=None, env=env) as (_, url):
        page.goto(url)
        sign_in(page, KEYS["ann"])
        expect(page.locator("#status")).to_have_text("live")
        expect(page.locator("#none")).to_be_visible()
        for tenant in ("ann", "bob"):
            ask(url, f"Of {tenant}?", key=KEYS[tenant])
        expect(row(page, "Of ann?")).to_be_visible()
        expect(tile(page, "Accepted")).to_have_text("100 %")
        expect(page.locator(".tiles > div", has_text="Accepted")).to_contain_text("1 of 1")
        expect(row(page, "Of bob?")).to_have_count(0)
