"""The store of a cluster on a real server, which is killed, paused and made to fail."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import pytest
from pymongo import MongoClient

from cluster.mongo import MongoServer
from manual_clock import StillClock
from strategies import asked, dead, failed, requested, scored, validated
from tamiz.clock import Clock, SystemClock
from tamiz.effects import Deferred
from tamiz.errors import StateError, TamizError, UsageError
from tamiz.messages import Event, Source
from tamiz.store.mongo import MongoStore
from tamiz.store.mongo.address import MongoAddress
from tamiz.store.mongo.deferrals import LEASE
from tamiz.store.mongo.reader import MongoReader
from tamiz.store.mongo.stranded import PATIENCE as STRANDED_AFTER
from waiting import PATIENCE, until

Opener = Callable[..., Awaitable[MongoStore]]

NOBODY: Final = "mongodb://ana:s3cret@127.0.0.1:1/t"


@pytest.fixture
async def opened(mongo: MongoServer, database: str) -> AsyncIterator[Opener]:
    """Give what opens a store as another process would, on this test's database."""
    stores = []

    async def open_(
        clock: Clock | None = None, *, patience: float | None = None, say: Callable[[str], None] = print
    ) -> MongoStore:
        store = MongoStore(f"{mongo.url}/{database}", clock or SystemClock(), patience=patience, say=say)
        stores.append(store)
        await store.open()
        return store

    yield open_
    for store in stores:
        await closed(store)


@pytest.fixture
def fails(mongo: MongoServer) -> Iterator[Callable[..., None]]:
    """Give what makes the server fail at its next commands."""
    with MongoClient[dict[str, Any]](mongo.url) as client:

        def fail(times: int, commands: list[str], **how: Any) -> None:
            data = {"failCommands": commands, **how}
            client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)

        yield fail
        client.admin.command("configureFailPoint", "failCommand", mode="off")


async def closed(store: MongoStore) -> None:
    """Close it, at a moment at which it is not about to connect: pymongo would drop that socket open."""
    await asyncio.sleep(0.1)
    await store.close()


async def count(store: MongoStore, collection: str) -> int:
    return await store.connection.run(lambda: store.connection.database[collection].count_documents({}))


async def test_nothing_that_was_acknowledged_is_lost_in_a_crash_of_the_server(
    mongo: MongoServer, opened: Opener
) -> None:
    """Calls are under way when it is killed; they wait until it is back, and all of them come to their end."""
    store = await opened()
    done: set[int] = set()

    async def work(number: int) -> None:
        message_id, key = f"m{number:05}", f"k{number // 2}"
        leads = await store.claims.claim(asked(message_id, key))
        await store.answers.record(validated(message_id, key))
        await store.deferrals.defer(Deferred(requested(message_id=message_id), float(number)))
        if leads:
            done.add(number)

    async def worker(first: int) -> None:
        for number in range(first, 1200, 40):
            await work(number)

    work_all = asyncio.gather(*(worker(first) for first in range(40)))
    for _ in range(2):
        await asyncio.sleep(0.3)
        mongo.kill()
        await asyncio.to_thread(mongo.start)
    await work_all
    assert len(done) == 600, "one leader for each of the keys"
    assert [await count(store, each) for each in ("claims", "parked", "answers", "questions", "deferrals")] == [
        600,
        600,
        1200,
        1200,
        1200,
    ]


async def test_a_store_that_is_down_pauses_calls_and_says_so_once(mongo: MongoServer, opened: Opener) -> None:
    said: list[str] = []
    store = await opened(say=said.append)
    mongo.kill()
    calls = [asyncio.create_task(store.claims.claim(asked(f"m{n}", f"k{n}"))) for n in range(20)]
    calls.append(asyncio.create_task(store.claims.claim(asked("other", "other"))))
    await until(lambda: said, "word that it is away")
    assert not any(call.done() for call in calls)
    await asyncio.to_thread(mongo.start)
    assert await asyncio.gather(*calls) == [True] * 21
    await store.answers.record(asked())
    assert len(said) == 2
    assert said[0].startswith(f"the store {store.name} does not answer (")
    assert said[0].endswith("; work waits")
    assert said[1] == f"the store {store.name} answers again"


async def test_a_server_that_hangs_pauses_calls_too(mongo: MongoServer, opened: Opener) -> None:
    said: list[str] = []
    store = await opened(say=said.append)
    mongo.pause()
    call = asyncio.create_task(store.claims.claim(asked()))
    await until(lambda: said, "word that it is away")
    assert not call.done()
    mongo.resume()
    assert await call
    assert len(said) == 2


async def test_patience_has_an_end(opened: Opener) -> None:
    del opened
    store = MongoStore(NOBODY, SystemClock(), patience=0.2, say=print)
    with pytest.raises(
        StateError, match=r"the store mongodb://127.0.0.1:1/t does not answer \(.*\): start it"
    ) as error:
        await store.open()
    assert "ana" not in str(error.value)
    assert "s3cret" not in str(error.value)
    await closed(store)


PASSING: Final[list[dict[str, Any]]] = [
    {"closeConnection": True},
    {"errorCode": 10107, "errorLabels": ["RetryableWriteError"]},
    {"errorCode": 112},
    {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
    {"writeConcernError": {"code": 91, "errmsg": "shutting down"}},
]


@pytest.mark.parametrize("how", PASSING, ids=str)
async def test_what_passes_by_itself_is_tried_again(
    how: dict[str, Any], opened: Opener, fails: Callable[..., None]
) -> None:
    """Whatever the command, and whether the server did it before it failed or not."""
    store = await opened()
    commands = ["insert", "update", "delete", *(["find", "aggregate"] if "writeConcernError" not in how else [])]

    def fail() -> None:
        fails(2, commands, **how)

    fail()
    assert [await store.claims.claim(asked(f"m{n}", "k1")) for n in range(3)] == [True, False, False]
    fail()
    await store.answers.record(validated("m0", "k1", accepted=False, refused=scored(0.1)))
    fail()
    released = await store.claims.release(validated("m0", "k1"), 1)
    assert [each.message_id for each in released] == ["m1"]
    fail()
    copied = validated("m1", "k1", source=Source.COALESCED, leader="m0")
    assert [each.message_id for each in await store.claims.release(copied, 1)] == ["m2"]
    fail()
    for number in range(3):
        await store.deferrals.defer(Deferred(requested(message_id=f"d{number}"), 1.0))
    fail()
    due = await store.deferrals.due(2.0, 5)
    assert len(due) == 3
    fail()
    await store.deferrals.sent(due)
    assert await store.deferrals.next_due() is None
    fail()
    await store.refresh_metrics(1.0)
    assert [await count(store, each) for each in ("answers", "attempts", "deferrals")] == [1, 1, 0]


async def test_what_does_not_pass_is_told_at_once(opened: Opener, fails: Callable[..., None]) -> None:
    store = await opened()
    for code, remedy in ((18, "set its user and password"), (13, "give the user the role"), (14031, "free space")):
        fails(1, ["insert"], errorCode=code)
        with pytest.raises(StateError, match=remedy):
            await store.claims.claim(asked())
    assert await store.claims.claim(asked())


async def test_of_two_processes_that_claim_one_leads(opened: Opener) -> None:
    stores = [await opened(), await opened()]

    async def claim(store: MongoStore, name: str, number: int) -> bool:
        return await store.claims.claim(asked(f"{name}{number}", f"k{number}"))

    calls = [claim(store, name, number) for number in range(300) for store, name in zip(stores, "ab", strict=True)]
    led = await asyncio.gather(*calls)
    assert [led[2 * number] + led[2 * number + 1] for number in range(300)] == [1] * 300
    assert [await count(stores[0], each) for each in ("claims", "parked")] == [300, 300]


async def test_two_processes_release_each_copy_once(opened: Opener) -> None:
    """Each handles every other outcome of the same key, all of them at once."""
    stores = [await opened(), await opened()]
    for number in range(200):
        await stores[0].claims.claim(asked(f"m{number}", "k1"))
    wave = [validated("m0", "k1")]
    released: list[str] = []
    while wave:
        limits = [256 if each.source is Source.MODEL else 1 for each in wave]
        limits[0] = min(limits[0], 20)
        calls = [
            stores[number % 2].claims.release(each, limit)
            for number, (each, limit) in enumerate(zip(wave, limits, strict=True))
        ]
        found = [question.message_id for questions in await asyncio.gather(*calls) for question in questions]
        released += found
        wave = [validated(each, "k1", source=Source.COALESCED, leader="m0") for each in found]
    assert sorted(released) == sorted(f"m{number}" for number in range(1, 200))
    assert [await count(stores[0], each) for each in ("claims", "parked")] == [0, 0]


async def test_of_two_processes_that_ask_for_due_events_one_gets_each(opened: Opener) -> None:
    stores = [await opened(), await opened()]
    for number in range(200):
        await stores[0].deferrals.defer(Deferred(requested(message_id=f"m{number}"), 1.0))
    taken = [
        each.event.message_id
        for _ in range(4)
        for due in await asyncio.gather(*(store.deferrals.due(2.0, 40) for store in stores))
        for each in due
    ]
    left = await stores[0].deferrals.due(2.0, 1000)
    assert len(taken) == len(set(taken))
    assert sorted([*taken, *(each.event.message_id for each in left)]) == sorted(f"m{n}" for n in range(200))


async def test_an_event_that_was_taken_and_never_sent_comes_again(opened: Opener) -> None:
    one, other = await opened(), await opened()
    await one.deferrals.defer(Deferred(requested(), 1.0))
    taken = await one.deferrals.due(2.0, 1)
    assert await other.deferrals.due(2.0 + LEASE - 1, 1) == []
    assert await other.deferrals.next_due() == 2.0 + LEASE
    assert await other.deferrals.due(2.0 + LEASE, 1) == taken
    await one.deferrals.sent(taken)
    assert await count(one, "deferrals") == 1, "it is the other one's by now"
    await other.deferrals.sent(taken)
    assert await count(one, "deferrals") == 0


async def test_what_is_deferred_anew_before_it_was_sent_stays(opened: Opener) -> None:
    store = await opened()
    await store.deferrals.defer(Deferred(requested(title="old"), 1.0))
    taken = await store.deferrals.due(2.0, 1)
    anew = Deferred(requested(title="new"), 1.0)
    await store.deferrals.defer(anew)
    await store.deferrals.sent(taken)
    assert await store.deferrals.due(2.0, 1) == [anew]


async def test_questions_that_were_left_behind_are_asked_again(opened: Opener) -> None:
    """Their leader's outcome is old, or was given them by a process that nobody heard of again."""
    clock = StillClock()
    store = await opened(clock)
    for key in ("a", "b"):
        for number in range(2):
            await store.claims.claim(asked(f"{key}{number}", key))
    await store.claims.claim(asked("c0", "c"))
    await store.claims.claim(asked("c1", "c"))
    await store.answers.record(validated("a0", "a"))  # and its claim was never released
    await store.claims.release(validated("b0", "b"), 1)  # and nothing came of it
    assert await store.deferrals.due(clock.time(), 10) == []
    clock.move(STRANDED_AFTER + 1)
    due = await store.deferrals.due(clock.time(), 10)
    assert sorted(each.event.message_id for each in due) == ["a1", "b1"]
    rows = await store.connection.database.parked.find().to_list()
    assert [row["_id"] for row in rows] == ["c1"], "c0 may still be answered"
    assert await store.claims.claim(asked("a1", "a"))


async def test_metrics_are_a_recount_however_often_events_were_recorded(opened: Opener) -> None:
    store = await opened()
    events: list[Event] = [
        *(asked(f"m{n}", f"k{n}") for n in range(12)),
        *(failed(message_id=f"m{n}", retry=n % 2) for n in range(6)),
        *(validated(f"m{n}", f"k{n}", answer=scored(n / 10, latency_ms=100.0 * n + 1)) for n in range(5)),
        validated("m5", "k5", accepted=False, refused=scored(0.1, 2)),
        validated("m6", "k6", answer=scored(None)),
        validated("m7", "k6", source=Source.COALESCED, leader="m6", answer=scored(None)),
        dead("m8", "k8"),
        dead("m9", "k9", kind="$odd.\x00", source=None),
    ]
    for _ in range(3):
        await asyncio.gather(*(store.answers.record(event) for event in events))
        assert await store.refresh_metrics(5.0) >= 0
    document = await store.connection.database.metrics.find_one({"_id": "global"})
    assert document == {
        "_id": "global",
        "questions": 12,
        "open": 2,
        "accepted": 7,
        "exhausted": 1,
        "failed": 2,
        "sources": {"model": 7, "coalesced": 1},
        "dead_letters": {"fatal": 1, "_odd__": 1},
        "attempts": {"judged": 7, "refused": 1, "failed_calls": {"overload": 6}},
        "model_calls": 13,
        "unscored": 2,
        "score": {"mean": pytest.approx((0 + 0.1 + 0.2 + 0.3 + 0.4 + 0.5) / 6), "min": 0.0, "max": 0.5},
        "latency_ms": {"p50": pytest.approx(201, abs=101), "p95": pytest.approx(401, abs=101)},
        "updated_at": 5.0,
    }


async def test_the_question_of_any_event_is_known(opened: Opener) -> None:
    """Questions may come in from elsewhere, with nobody who records them first."""
    store = await opened()
    await asyncio.gather(
        store.answers.record(failed(message_id="m1")),
        store.answers.record(validated("m2")),
        store.answers.record(dead("m3")),
        store.answers.record(requested(message_id="m4")),
    )
    assert await store.answers.unknown(["m1", "m2", "m3", "m4"]) == {"m4"}


WRONG: Final = {
    "postgres://ana:s3cret@host/db": "has 'postgres': write it as mongodb://HOST/DATABASE",
    "ana:s3cret": "has no scheme",
    "mongodb://ana:s3cret@": "names no host",
    "mongodb://ana:s3c@ret@host/db": "have to be written as %40",
    "mongodb://ana:s3c/ret@host/db": "have to be written as %40",
    "mongodb://ana:s3cret@host/a.b": "'a.b', which is no name of one",
    "mongodb://ana:s3cret@host:port/db": "cannot be used",
    "mongodb://ana:s3cret@host/db?w=nonsense&authMechanism=NONSENSE": "cannot be used|does not answer",
}


@pytest.mark.parametrize("url", WRONG)
async def test_no_error_shows_a_password(url: str) -> None:
    async def use() -> None:
        store = MongoStore(url, SystemClock(), patience=0, say=print)
        try:
            await store.open()
        finally:
            await closed(store)

    with pytest.raises(TamizError, match=WRONG[url]) as error:
        await use()
    with pytest.raises(TamizError, match=WRONG[url]) as other, MongoReader(url) as reader:
        reader.status()
    for each in (error.value, other.value):
        assert isinstance(each, UsageError | StateError)
        assert "s3c" not in str(each)
        assert "ana" not in str(each)
        assert each.__cause__ is None


def test_an_address_is_shown_without_its_secrets() -> None:
    url = "mongodb+srv://ana:s3cret@one.example:27017,two.example/?tlsCertificateKeyFilePassword=s3cret"
    address = MongoAddress.parse(url)
    assert address.shown == "mongodb+srv://one.example:27017,two.example/tamiz"
    assert "s3cret" not in repr(address)


async def test_a_refused_password_is_not_shown(mongo: MongoServer) -> None:
    store = MongoStore(mongo.url.replace("://", "://ana:s3cret@") + "/db", SystemClock(), patience=PATIENCE, say=print)
    began = time.monotonic()
    with pytest.raises(StateError, match="set its user and password with --store or MONGO_URI") as error:
        await store.open()
    assert time.monotonic() - began < PATIENCE / 2, "waiting would not help"
    assert "ana" not in str(error.value)
    assert "s3cret" not in str(error.value)
    await closed(store)


async def test_many_processes_may_open_it_at_once(opened: Opener) -> None:
    stores = await asyncio.gather(*(opened() for _ in range(5)))
    assert await stores[0].meta("a") is None
    await asyncio.gather(*(store.set_meta("a", f"{number}") for number, store in enumerate(stores)))
    assert await stores[0].meta("a") in {"0", "1", "2", "3", "4"}
