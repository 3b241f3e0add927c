"""What the commands that look see of a cluster's store: the same as of a state file."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from cluster.mongo import MongoServer
from manual_clock import EPOCH, ManualClock, StillClock, at_once
from strategies import asked, dead, failed, regeneration, requested, scored, validated
from tamiz.effects import Deferred, EndpointState
from tamiz.errors import FailureKind, StateError
from tamiz.messages import Event, Record, Source
from tamiz.statefile import StateFile
from tamiz.store.lives import Wanted
from tamiz.store.mongo import MongoStore
from tamiz.store.mongo.reader import MongoReader
from tamiz.store.mongo.replay import replay
from tamiz.store.sqlite import SqliteAnswers, SqliteDeferrals, SqliteEndpoints
from tamiz.store.sqlite.reader import StateReader

IDS: Final = [f"{number:032x}" for number in range(1, 900)]

_TOLD: Final[list[Event]] = [
    *(asked(each) for each in IDS[:20]),
    failed(message_id=IDS[0], retry=0),
    failed(message_id=IDS[0], retry=1, kind=FailureKind.TIMEOUT),
    regeneration(message_id=IDS[0], attempt=2, refused=scored(0.1, text="poor")),
    validated(IDS[0], answer=scored(0.7, 2, "ñ ½", latency_ms=5.5), attempts=2, retries=2),
    validated(IDS[1], accepted=False, answer=scored(0.2), refused=scored(0.1, 2), attempts=2),
    validated(IDS[2], source=Source.COALESCED, leader=IDS[0], attempts=0),
    validated(IDS[3], answer=scored(None)),
    dead(IDS[4], kind="fatal", attempts=1, retries=3),
    dead(IDS[5], kind="bad_row", source=None),
    dead(IDS[6], kind="unreadable", record=Record(topic="questions_in", partition=2, offset=7, size=9, value=b"\xff{")),
    *(dead(each, kind="overload") for each in IDS[7:9]),
]
EVENTS: Final = [
    msgspec.structs.replace(each, question_id=f"q{IDS.index(each.message_id)}", cache_key=f"k{each.message_id}")
    for each in _TOLD
]
DEFERRED: Final = Deferred(requested(message_id=IDS[9], attempt=2, retry=3), EPOCH + 5)
DOWN: Final = EndpointState("openai:m", 5.5, 3600.0, FailureKind.QUOTA, "no credit", 2)


@pytest.fixture
async def store(mongo: MongoServer, database: str) -> AsyncIterator[MongoStore]:
    store = MongoStore(f"{mongo.url}/{database}", StillClock(), patience=None, say=print)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def reader(mongo: MongoServer, database: str) -> Iterator[MongoReader]:
    with MongoReader(f"{mongo.url}/{database}") as reader:
        yield reader


@pytest.fixture
def file(tmp_path: Path) -> Iterator[StateReader]:
    """Give a state file with the same events."""
    path = str(tmp_path / "tamiz.db")
    with StateFile(path) as state:
        answers = SqliteAnswers(state, ManualClock())
        for event in EVENTS:
            at_once(answers.record(event))
        at_once(SqliteDeferrals(state).defer(DEFERRED))
        at_once(SqliteEndpoints(state).save(DOWN))
        state.commit()
    with StateReader(path) as reader:
        yield reader


async def filled(store: MongoStore) -> None:
    for event in EVENTS:
        await store.answers.record(event)
    await store.deferrals.defer(DEFERRED)
    await store.endpoints.save(DOWN)


async def test_it_shows_what_a_state_file_shows(store: MongoStore, reader: MongoReader, file: StateReader) -> None:
    await filled(store)
    for each in [*IDS[:7], IDS[9]]:
        assert reader.life(each) == file.life(each)
    assert reader.dead_kinds() == file.dead_kinds()
    for kind in (None, "overload", "nothing"):
        for limit in (None, 0, 3):
            assert list(reader.dead(kind, limit)) == list(file.dead(kind, limit))
    for outcomes in (("accepted",), ("accepted", "exhausted", "failed"), ()):
        for score in (None, 0.3):
            wanted = Wanted(outcomes=outcomes, min_score=score)
            assert list(reader.finished(wanted)) == list(file.finished(wanted))
    for text in (IDS[0], IDS[0][:31], "q3", "q", "", "0", IDS[12][:30], "none"):
        for limit in (1, 100):
            assert reader.find(text, limit) == file.find(text, limit)


async def test_its_counts_are_those_of_a_state_file(store: MongoStore, reader: MongoReader, file: StateReader) -> None:
    """But for tokens, which nobody counts there; calls are derived from what they led to."""
    await filled(store)
    await store.claims.claim(asked("a", "k"))
    await store.claims.claim(asked("b", "k"))
    there, here = reader.status(), file.status()
    names = ("questions", "open", "outcomes", "sources", "dead_letters", "deferred", "next_due", "endpoints", "log")
    assert {name: getattr(there, name) for name in names} == {name: getattr(here, name) for name in names}
    assert (there.claims, there.parked, there.tokens, there.process) == (1, 1, None, None)
    assert there.model_calls == 6


async def test_where_an_open_question_is(store: MongoStore, reader: MongoReader) -> None:
    await filled(store)
    await store.claims.claim(asked(IDS[10], "k"))
    await store.claims.claim(asked(IDS[11], "k"))
    places = [reader.life(each).place for each in (IDS[9], IDS[10], IDS[11])]
    assert [None if place is None else place.kind for place in places] == ["deferred", "log", "parked"]
    assert places[2] is not None
    assert places[2].leader == IDS[10]
    await store.claims.release(validated(IDS[10], "k"), 5)
    place = reader.life(IDS[11]).place
    assert place is not None
    assert place.kind == "log", "its outcome is on its way"


async def test_pages_follow_one_another(store: MongoStore, reader: MongoReader) -> None:
    """More than a page of each."""
    await asyncio.gather(*(store.answers.record(validated(each)) for each in IDS[:620]))
    await asyncio.gather(
        *(store.answers.record(dead(each, kind=f"kind{n % 3}")) for n, each in enumerate(IDS[200:], 200) if n > 619)
    )
    pages = list(reader.finished(Wanted(outcomes=("accepted",))))
    assert [len(page) for page in pages] == [500, 120]
    assert [row.message_id for page in pages for row in page] == IDS[:620]
    letters = [(letter.kind, letter.message_id) for page in reader.dead(None) for letter in page]
    assert letters == sorted((f"kind{n % 3}", each) for n, each in enumerate(IDS) if n > 619)


async def test_a_run_gets_its_outcomes_and_counts(store: MongoStore, file: StateReader) -> None:
    await filled(store)
    finished = await store.results.finished(IDS[1], IDS[6])
    assert list(finished) == IDS[1:7]
    rows = [row for page in file.finished(Wanted(outcomes=("accepted", "exhausted", "failed"))) for row in page]
    assert list(finished.values()) == rows[1:7]
    assert await store.results.tried(IDS[0], IDS[0]) == {"overload": 1, "timeout": 1, "refused": 1}
    assert await store.results.tried(IDS[1], IDS[8]) == {"refused": 1}
    assert await store.results.finished("x", "z") == {}


async def test_what_is_not_there_is_told(reader: MongoReader) -> None:
    with pytest.raises(StateError, match="no question nobody is in mongodb://"):
        reader.life("nobody")


def test_a_server_that_is_away_is_told_within_seconds() -> None:
    began = time.monotonic()
    with (
        MongoReader("mongodb://ana:s3cret@127.0.0.1:1/t") as reader,
        pytest.raises(StateError, match=r"the store mongodb://127.0.0.1:1/t does not answer \(.*\): start it, or say"),
    ):
        reader.status()
    assert time.monotonic() - began < 8


async def test_replay_puts_dead_letters_back(store: MongoStore, reader: MongoReader) -> None:
    """They wait for a few seconds, and then nothing is left of what became of them."""
    await filled(store)
    before = [reader.life(each) for each in (IDS[4], IDS[6])]
    done = await replay(store, IDS[:12], EPOCH)
    assert (done.questions, done.no_questions, done.of_other_settings) == (4, 1, 0)
    lives = [reader.life(each) for each in (IDS[4], IDS[6])]
    for life, old in zip(lives, before, strict=True):
        assert (life.outcome, life.tried) == (None, [])
        assert (life.id, life.question, life.cache_key) == (old.id, old.question, old.cache_key)
    due = await store.deferrals.due(EPOCH + 20, 100)
    assert {each.event.message_id for each in due} == {IDS[4], IDS[6], IDS[7], IDS[8], IDS[9]}
    assert reader.dead_kinds() == {"bad_row": 1}
    assert reader.life(IDS[0]).tried, "what was no dead letter stays as it was"
    assert (await replay(store, IDS[:12], EPOCH)).questions == 0


async def test_a_replayed_question_gets_another_outcome(store: MongoStore, reader: MongoReader) -> None:
    await filled(store)
    await replay(store, [IDS[4]], EPOCH)
    await store.answers.record(validated(IDS[4]))
    outcome = reader.life(IDS[4]).outcome
    assert outcome is not None
    assert outcome.outcome == "accepted"
