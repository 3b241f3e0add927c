"""The senders of traffic against a real HTTP server, and a bus and a store that note what they get."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tamiz.clock import SystemClock
from tamiz.errors import UsageError
from tamiz.hosts.publish import BusSender
from tamiz.hosts.senders import to_service
from tamiz.messages import Event, QuestionAsked
from tamiz.traffic.question import Emission, Question

ASKED = Emission(0, 0.0, 3, Question("17", "Why?", "In detail.", "Because."))


class Naps(SystemClock):
    """Notes how long it was to sleep, and does not."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Note it."""
        self.slept.append(seconds)


class Service:
    """Answers `POST /questions` as told, and keeps what it was sent."""

    def __init__(self, *answers: tuple[int, dict[str, str]]) -> None:
        self.got: list[Any] = []
        self.keys: list[str | None] = []
        self._answers = list(answers)

    async def handle(self, request: web.Request) -> web.Response:
        """Give the next answer, the last one for ever."""
        self.got.append(await request.json())
        self.keys.append(request.headers.get("Authorization"))
        status, headers = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return web.json_response({}, status=status, headers=headers)


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/questions", service.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def ask(service: Service) -> tuple[str, Naps, dict[int, int]]:
    clock, put_off = Naps(), dict[int, int]()
    async with serving(service) as url, to_service(url, clock, put_off) as sender:
        return await sender.send(ASKED), clock, put_off


@pytest.mark.parametrize(("status", "outcome"), [(202, "submitted"), (200, "answered"), (422, "http_422")])
async def test_the_status_is_the_outcome(status: int, outcome: str) -> None:
    service = Service((status, {}))
    said, clock, put_off = await ask(service)
    assert (said, clock.slept, put_off) == (outcome, [], {})
    assert service.got == [{"id": "17", "title": "Why?", "content": "In detail.", "reference": "Because."}]


async def test_what_is_not_there_is_not_sent() -> None:
    service = Service((202, {}))
    async with serving(service) as url, to_service(url, Naps(), {}) as sender:
        await sender.send(Emission(0, None, 0, Question(None, "Why?")))
    assert service.got == [{"title": "Why?", "content": ""}]


@pytest.mark.parametrize(("key", "sent"), [(None, None), ("tz-key", "Bearer tz-key")])
async def test_the_key_goes_along_where_there_is_one(key: str | None, sent: str | None) -> None:
    service = Service((202, {}))
    async with serving(service) as url, to_service(url, Naps(), {}, key) as sender:
        await sender.send(ASKED)
    assert service.keys == [sent]


@pytest.mark.parametrize(
    ("url", "key", "why"),
    [
        ("http://localhost:1", "two words", "TAMIZ_TRAFFIC_KEY"),
        ("http://localhost:1", "a\nb", "TAMIZ_TRAFFIC_KEY"),
        ("http://localhost:1", "ñ", "TAMIZ_TRAFFIC_KEY"),
        ("http://ana:secret@localhost:1", "tz-key", "leave one out"),
    ],
)
async def test_what_can_be_no_key_is_refused_and_not_shown(url: str, key: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as refused:
        await to_service(url, Naps(), {}, key).__aenter__()
    assert key not in str(refused.value)


async def test_a_service_that_says_when_is_asked_again_then() -> None:
    """And each time is counted by its status."""
    service = Service((429, {"Retry-After": "7"}), (503, {"Retry-After": "2"}), (503, {}), (202, {}))
    outcome, clock, put_off = await ask(service)
    assert outcome == "submitted"
    assert put_off == {429: 1, 503: 2}
    assert len(service.got) == 4
    first, second, third = clock.slept
    assert 6.5 <= first <= 7.5
    assert 1.5 <= second <= 2.5
    assert 2 <= third <= 4


async def test_a_service_that_goes_on_refusing_is_given_up() -> None:
    service = Service((429, {"Retry-After": "1"}))
    outcome, clock, put_off = await ask(service)
    assert outcome == "refused"
    assert put_off == {429: 8}
    assert len(clock.slept) == 7


async def test_nobody_there_is_an_outcome() -> None:
    async with to_service("http://127.0.0.1:1", Naps(), {}) as sender:
        assert await sender.send(ASKED) == "unreachable"


async def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(UsageError, match="'localhost:8000' is no address of a service"):
        async with to_service("localhost:8000", Naps(), {}):
            pass


class Notes:
    """A bus and a store in one, which note what reaches them in its order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Event]] = []

    async def publish(self, events: Sequence[Event]) -> None:
        """Note it."""
        self.events += [("published", event) for event in events]

    async def record(self, event: Event) -> None:
        """Note it."""
        self.events.append(("recorded", event))


async def test_a_cluster_gets_the_question_and_then_its_store_knows_it() -> None:
    notes = Notes()
    sender = BusSender(notes, notes, "asked how", "run", SystemClock())
    assert await sender.send(ASKED) == "published"
    (first, event), (second, again) = notes.events
    assert (first, second) == ("published", "recorded")
    assert event == again
    assert isinstance(event, QuestionAsked)
    assert (event.question_id, event.title, event.content, event.best_answer) == (
        "17",
        "Why?",
        "In detail.",
        "Because.",
    )


async def test_the_same_question_again_is_another_submission_of_it() -> None:
    """In the same run and in another one; but its answer may be reused."""
    notes = Notes()
    for run, n in (("a", 0), ("a", 1), ("b", 0)):
        await BusSender(notes, notes, "asked how", run, SystemClock()).send(Emission(n, 0.0, 3, ASKED.question))
    events = [event for how, event in notes.events if how == "published"]
    assert len({event.message_id for event in events}) == 3
    assert len({event.cache_key for event in events}) == 1
