"""The live page, in a real browser."""

import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from calling import free_port
from fake_llm import Do, Request, answer, status
from page_parts import assert_fits, live, row, sign_in, tile
from serve_command import call, served
from serving import asked, model_url, serving

SAID: Final = {"What is the capital of Peru?": "Lima is the capital of Peru.", "What is H2O?": "Nobody knows."}
EVIL: Final = "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script></td></table>"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    """Give the address of a service."""
    with served(tmp_path, model="simulated:?latency=5ms") as (_, url):
        yield url


def says(request: Request) -> Do:
    """Answer by the first line of what is asked, in which the question is."""
    return answer(SAID.get(asked(request).partition("\n")[0], "Mostly water."))


def submit(url: str, title: str, **more: Any) -> str:
    """Ask a question, wait for its outcome and give its id."""
    status, told = call(f"{url}/questions?wait=30", {"title": title, **more})
    assert status == 200, told
    return str(told["message_id"])


def test_answers_appear_as_they_come(page: Page, tmp_path: Path) -> None:
    """Nobody reloads: a row, the numbers and the score's bar are there once the question has its outcome."""
    with (
        serving(says) as llm,
        served(tmp_path, model=model_url(llm)) as (_, url),
    ):
        live(page, url)
        expect(page.locator("#none")).to_be_visible()
        message_id = submit(url, "What is the capital of Peru?", reference="Lima is the capital.")
        found = row(page, "capital of Peru")
        for text in ("Lima is the capital.", "Lima is the capital of Peru.", "accepted", "model"):
            expect(found).to_contain_text(text)
        expect(tile(page, "Accepted")).to_have_text("100 %")
        expect(page.locator("#scores rect.accepted")).to_have_count(1)
        submit(url, "What is H2O?", reference="water")
        expect(row(page, "H2O")).to_contain_text("exhausted")
        expect(page.locator("#failed li", has_text="fell short")).to_contain_text("2")
        page.get_by_label("not accepted").check()
        expect(page.locator("#rows tr")).to_have_count(1)
        page.get_by_label("all", exact=True).check()
        found.get_by_role("link").click()
        expect(page).to_have_url(f"{url}/life/{message_id}")
        expect(page.locator("#status")).to_have_text("accepted")


def test_a_life_tells_each_call(page: Page, tmp_path: Path) -> None:
    with serving(says) as llm, served(tmp_path, "--attempts", "2", model=model_url(llm)) as (_, url):
        message_id = submit(url, "What is H2O?", reference="water", content="")
        page.goto(f"{url}/life/{message_id}")
        hops = page.locator("#hops > li")
        expect(hops).to_have_count(4)
        for hop, text in enumerate(("Asked", "Answer 1 fell short", "Answer 2 fell short", "Exhausted")):
            expect(hops.nth(hop)).to_contain_text(text)
        expect(hops.nth(1)).to_contain_text("Nobody knows.")
        expect(page.locator("#reference")).to_have_text("water")
        page.goto(f"{url}/life/{'0' * 32}")
        expect(page.locator("#status")).to_contain_text("there is no question")


def test_an_open_life_goes_on_by_itself(page: Page, tmp_path: Path) -> None:
    """Its page is opened while it is under way, and shows the end when it comes."""
    seen = threading.Event()
    with serving(lambda _: answer("42", after=seen)) as llm, served(tmp_path, model=model_url(llm)) as (_, url):
        _, told = call(f"{url}/questions", {"title": "What is the answer?"})
        page.goto(f"{url}/life/{told['message_id']}")
        expect(page.locator("#status")).to_have_text("open")
        expect(page.locator("#hops")).to_contain_text("Under way")
        seen.set()
        expect(page.locator("#status")).to_have_text("accepted")
        expect(page.locator("#answer")).to_have_text("42")


def test_dead_letters_are_asked_again(page: Page, tmp_path: Path) -> None:
    """Who is asked whether they are sure, and says no, puts nothing back; what is put back gets another outcome."""
    broken = [True]

    def script(_: Request) -> Do:
        return (
            status(400, {"error": {"message": "maximum context length is 9", "code": "context_length_exceeded"}})
            if broken[0]
            else answer("Fine.")
        )

    with serving(script) as llm, served(tmp_path, model=model_url(llm)) as (_, url):
        submit(url, "Is all well?")
        live(page, url)
        expect(tile(page, "Dead letters")).to_have_text("1")
        broken[0] = False
        page.get_by_role("button", name="Replay invalid").click()
        expect(page.get_by_role("dialog")).to_contain_text("Ask 1 question again that failed with invalid?")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(tile(page, "Dead letters")).to_have_text("1")
        page.get_by_role("button", name="Replay invalid").click()
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#said")).to_have_text("1 question put back")
        expect(tile(page, "Dead letters")).to_have_text("0")
        page.get_by_role("heading", name="Queues").hover()  # off the list, which stands still under a pointer
        expect(page.locator("#rows tr").first).to_contain_text("accepted")
        expect(tile(page, "Accepted")).to_have_text("100 %")


def test_a_model_that_is_paused_says_until_when_and_why(page: Page, tmp_path: Path) -> None:
    spent = {"message": "You exceeded your current quota", "code": "insufficient_quota"}
    with serving(lambda _: status(429, spent, headers={"retry-after": "600"})) as llm:  # noqa: SIM117 - too long a line
        with served(tmp_path, model=model_url(llm)) as (_, url):
            call(f"{url}/questions", {"title": "Is anybody there?"})
            live(page, url)
            model = page.locator("#models li")
            expect(model.locator(".state")).to_have_text(re.compile(r"paused until \d\d:\d\d:\d\d, in (9|10) min"))
            expect(model).to_contain_text("quota:")
            expect(page.locator("#queues")).to_contain_text("1, first in")
            expect(page.locator("#failed li", has_text="quota")).to_contain_text("1")
            expect(tile(page, "Open questions")).to_have_text("1")


def test_traffic_is_started_and_stopped(page: Page, service: str) -> None:
    live(page, service)
    form = page.locator("#traffic")
    form.get_by_label("A second").fill("30")
    form.get_by_label("Seconds").fill("600")
    form.get_by_role("button", name="Start").click()
    expect(page.locator("#said")).to_contain_text("is started")
    run = page.locator("#runs li")
    expect(run).to_contain_text("running")
    expect(page.locator("#rows tr").first).to_be_visible()
    expect(tile(page, "Asked a second")).to_have_text(re.compile(r"[1-9]"))
    run.get_by_role("button", name="Stop").click()
    expect(run).to_contain_text("stopped")
    _, told = call(f"{service}/traffic")
    assert told[0]["report"]["state"] == "stopped"
    assert told[0]["report"]["sent"] > 0


def test_a_run_that_cannot_be_is_told(page: Page, service: str) -> None:
    live(page, service)
    page.locator("#traffic").get_by_label("Questions").select_option("stored")
    page.locator("#traffic").get_by_role("button", name="Start").click()
    expect(page.locator("#said")).to_contain_text("no question has been answered yet")


def test_a_threshold_is_tried_and_then_set(page: Page, tmp_path: Path) -> None:
    """What it would do is told before it is set; it holds for answers after that, and is drawn meanwhile."""
    with serving(says) as llm, served(tmp_path, "--attempts", "1", model=model_url(llm)) as (_, url):
        submit(url, "What is the capital of Peru?", reference="Lima is the capital of Peru.")
        submit(url, "What is rain?", reference="It is mostly water.")
        submit(url, "What is H2O?", reference="water")
        live(page, url)
        slider = page.get_by_role("slider", name="Threshold")
        expect(page.locator("#whatif")).to_contain_text("the last 3 scored answers")
        slider.fill("0.9")
        expect(page.locator("#whatif")).to_contain_text("1 accepted would be refused, 0 refused would be accepted")
        slider.fill("0")
        expect(page.locator("#whatif")).to_contain_text("0 accepted would be refused, 1 refused would be accepted")
        slider.fill("0.9")
        expect(page.locator("#scores .wanted")).to_have_count(1)
        page.get_by_role("button", name="Set", exact=True).first.click()
        expect(page.locator("#said")).to_contain_text("the threshold is 0.90")
        expect(page.locator("#scores .wanted")).to_have_count(0)
        assert call(f"{url}/policy")[1]["threshold"] == 0.9
        submit(url, "What is snow?", reference="It is mostly water.")
        expect(row(page, "snow")).to_contain_text("exhausted")


def test_another_cache_is_tried(page: Page, service: str) -> None:
    for _ in range(3):
        submit(service, "What is the capital of Peru?", reference="Lima")
    live(page, service)
    cache = page.locator("#cache")
    cache.get_by_label("Policy").select_option("fifo")
    cache.get_by_label("Answers").fill("5")
    expect(page.locator("#cache-whatif")).to_contain_text("Of the last 3 accepted answers")
    expect(page.locator("#cache-whatif")).to_contain_text("would have had 2")
    cache.get_by_role("button", name="Set").click()
    expect(page.locator("#cache-now")).to_contain_text("fifo: 1 of 5 answers kept")


def test_the_theme_is_switched_and_kept(page: Page, service: str) -> None:
    page.emulate_media(color_scheme="light")
    live(page, service)

    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = background()
    page.get_by_label("Theme").select_option("dark")
    dark = background()
    assert dark != light
    page.reload()
    assert background() == dark
    page.get_by_label("Theme").select_option("")
    assert background() == light
    page.emulate_media(color_scheme="dark")
    assert background() == dark


def test_the_keyboard_is_enough(page: Page, service: str) -> None:
    """Everything that can be done is reached by Tab, in the order of the page, and done by keys; nothing traps it."""
    submit(service, "What is the capital of Peru?", reference="Lima")
    live(page, service)
    expect(page.locator("#rows tr")).to_have_count(1)
    name = """() => { const e = document.activeElement;
        return e === document.body ? '' : e.id || e.name || e.className || e.textContent.trim() }"""
    reached: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        if not (at := page.evaluate(name)) or at in reached[:1]:
            break
        reached.append(at)
    wanted = ["skip", "theme", "API", "span", "threshold", "which", "hold", "scroll", "What is the capital of Peru?"]
    wanted += [
        "dataset",
        "arrivals",
        "rate",
        "duration",
        "popularity",
        "alpha",
        "seed",
        "Start",
        "policy",
        "size",
        "ttl",
    ]
    assert [each for each in reached if each in wanted] == wanted
    page.get_by_role("slider", name="Threshold").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("the threshold is 0.01")
    page.locator("#traffic [name=duration]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#runs li")).to_contain_text("running")
    page.locator("#runs button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#runs li")).to_contain_text("stopped")


def test_the_list_stands_still_for_a_reader(page: Page, service: str) -> None:
    submit(service, "First?")
    live(page, service)
    expect(row(page, "First?")).to_be_visible()
    page.get_by_role("button", name="Hold").click()
    submit(service, "Second?")
    expect(page.locator("#held")).to_contain_text("there are newer ones")
    expect(row(page, "Second?")).to_have_count(0)
    page.get_by_role("button", name="Hold").click()
    page.get_by_role("heading", name="Queues").hover()
    expect(row(page, "Second?")).to_be_visible()


def test_what_anybody_says_is_text(page: Page, tmp_path: Path) -> None:
    """Markup and scripts in a question, its reference, its id and a model's answer are shown as they are written."""
    with serving(lambda _: answer(EVIL)) as llm, served(tmp_path, model=model_url(llm)) as (_, url):
        message_id = submit(url, f"Is {EVIL} safe?", reference=EVIL, id=EVIL, content=EVIL)
        live(page, url)
        expect(page.locator("#rows td").nth(2)).to_contain_text(EVIL)
        expect(page.locator("#rows td").nth(0)).to_contain_text(EVIL)
        page.goto(f"{url}/life/{message_id}")
        expect(page.locator("#answer")).to_have_text(EVIL)
        expect(page.locator("#content")).to_have_text(EVIL)
        page.goto(f"{url}/life/{EVIL.replace('/', '')}")
        expect(page.locator("#status")).to_contain_text("there is no question")
        assert page.evaluate("window.pwned") is None


def test_it_comes_back_after_a_restart(page: Page, tmp_path: Path) -> None:
    """A page that is open holds up no stop; it says that the connection is lost, and goes on with the next process."""
    port = free_port()
    with served(tmp_path, port=port) as (process, url):
        submit(url, "Before?")
        live(page, url)
        expect(row(page, "Before?")).to_be_visible()
        process.process.send_signal(signal.SIGTERM)
        assert process.end()[0] == 0
        expect(page.locator("#status")).to_contain_text("connection lost")
    with served(tmp_path, port=port) as (_, url):
        expect(page.locator("#status")).to_have_text("live")
        submit(url, "After?")
        expect(row(page, "After?")).to_be_visible()
        expect(row(page, "Before?")).to_be_visible()
        expect(tile(page, "Accepted")).to_have_text("100 %")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_everybody_can_read_it(page: Page, tmp_path: Path, scheme: Any, width: int) -> None:
    """No accessibility violation that axe knows of, and nothing to scroll sideways, however long the words are."""
    long = "Donaudampfschifffahrtsgesellschaft" * 20

    def script(request: Request) -> Do:
        return answer("Lima") if "Peru" in asked(request) else answer(long)

    with serving(script) as llm, served(tmp_path, model=model_url(llm)) as (_, url):
        submit(url, "What is the capital of Peru?", reference="Lima")
        message_id = submit(url, f"What is {long}?", reference=long[:40], id=long)
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        live(page, url)
        expect(page.locator("#rows tr")).to_have_count(2)
        assert_fits(page)
        page.goto(f"{url}/life/{message_id}")
        expect(page.locator("#hops > li").first).to_be_visible()
        assert_fits(page)


def test_who_signs_in_sees_what_is_theirs(page: Page, tmp_path: Path) -> None:
    """A tenant sees its own answers and nothing to change; an operator sees all; who signs out sees nothing."""
    keys = {tenant: f"{tenant}-0123456789-abcdefghijkl" for tenant in ("ann", "bob", "operator")}
    env = {"TAMIZ_API_KEYS": " ".join(f"{tenant}:{key}" for tenant, key in keys.items())}
    with served(tmp_path, env=env) as (_, url):
        for tenant in ("ann", "bob"):
            told = {"authorization": f"Bearer {keys[tenant]}"}
            assert call(f"{url}/questions?wait=30", {"title": f"Of {tenant}?"}, headers=told)[0] == 200
        page.goto(url)
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert Axe().run(page).response["violations"] == []
        sign_in(page, "no-such-key")
        expect(page.locator("#denied")).to_have_text("this API key is not known")
        sign_in(page, keys["ann"])
        expect(page.locator("#status")).to_have_text("live")
        expect(page.locator("#since")).to_contain_text("ann")
        expect(row(page, "Of ann?")).to_be_visible()
        expect(row(page, "Of bob?")).to_have_count(0)
        for control in ("#bar", "#traffic", "#cache", "#models", "#dead"):
            expect(page.locator(control)).to_be_hidden()
        assert_fits(page)
        assert page.evaluate("document.cookie") == ""
        for path, body in (("policy", {"threshold": 0.1}), ("traffic", {"total": 1})):
            assert (
                page.request.fetch(f"{url}/{path}", method="PUT" if path == "policy" else "POST", data=body).status
                == 403
            )
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert page.request.get(f"{url}/snapshot").status == 401
        sign_in(page, keys["operator"])
        expect(row(page, "Of ann?")).to_be_visible()
        expect(row(page, "Of bob?")).to_be_visible()
        expect(page.locator("#traffic")).to_be_visible()
