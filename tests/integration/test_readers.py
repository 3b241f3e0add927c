"""What both readers show of outcomes: pages, the recent ones, figures; everybody's and one tenant's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from cluster.mongo import MongoServer
from manual_clock import EPOCH, ManualClock, StillClock
from strategies import asked, dead, failed, regeneration, scored, validated
from tamiz.errors import NoSuchQuestion
from tamiz.messages import Event, Source, Terms
from tamiz.statefile import StateFile
from tamiz.store.base import Answers, Reader
from tamiz.store.lives import LOOKED_BACK, Answered, Page, Wanted
from tamiz.store.mongo import MongoStore
from tamiz.store.mongo.reader import MongoReader
from tamiz.store.sqlite import SqliteAnswers
from tamiz.store.sqlite.pages import selected
from tamiz.store.sqlite.reader import StateReader

ALL: Final = ("accepted", "exhausted", "failed")
ANA, BEN = Terms(tenant="ana"), Terms(tenant="ben")


class Told(Protocol):
    """A store to record in, and its reader."""

    clock: ManualClock
    answers: Answers

    async def kept(self) -> None:
        """Have readers see all that was recorded."""

    def reader(self) -> AbstractContextManager[Reader]:
        """Open it for reading."""


class _File:
    def __init__(self, path: str) -> None:
        self._path = path
        self.clock = ManualClock()
        self.state = StateFile(path)
        self.answers: Answers = SqliteAnswers(self.state, self.clock)

    async def kept(self) -> None:
        self.state.commit()

    def reader(self) -> StateReader:
        return StateReader(self._path)


class _Mongo:
    def __init__(self, url: str) -> None:
        self._url = url
        self.clock: ManualClock = StillClock()
        self.store = MongoStore(url, self.clock, patience=None, say=print)
        self.answers: Answers = self.store.answers

    async def kept(self) -> None: ...

    def reader(self) -> MongoReader:
        return MongoReader(self._url)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[_File]:
    made = _File(str(tmp_path / "tamiz.db"))
    yield made
    made.state.close()


@pytest.fixture
async def cluster(mongo: MongoServer, database: str) -> AsyncIterator[_Mongo]:
    made = _Mongo(f"{mongo.url}/{database}")
    await made.store.open()
    yield made
    await made.store.close()


@pytest.fixture(params=["file", "cluster"])
def told(request: pytest.FixtureRequest) -> Told:
    made: Told = request.getfixturevalue(request.param)
    return made


async def _record(told: Told, *events: Event) -> None:
    """Record events one second after another."""
    for event in events:
        await told.answers.record(event)
        told.clock.move(1)
    await told.kept()


def _ids(page: Page) -> list[str]:
    return [row.message_id for row in page.rows]


async def test_a_page_goes_on_where_the_last_one_ended(told: Told) -> None:
    await _record(told, *(each for n in range(7) for each in (asked(f"m{n}"), validated(f"m{n}"))))
    with told.reader() as reader:
        wanted = Wanted(outcomes=ALL)
        first = reader.page(wanted, "", 3)
        assert (_ids(first), first.more) == (["m0", "m1", "m2"], True)
        second = reader.page(wanted, "m2", 4)
        assert (_ids(second), second.more) == (["m3", "m4", "m5", "m6"], False)
        assert reader.page(wanted, "m6", 3) == Page([], more=False)


async def test_a_page_holds_what_is_wanted_alone(told: Told) -> None:
    await _record(
        told,
        asked("a1", terms=ANA),
        validated("a1", terms=ANA, answer=scored(0.9)),
        asked("a2", terms=ANA),
        validated("a2", terms=ANA, answer=scored(0.2)),
        asked("a3", terms=ANA),
        validated("a3", terms=ANA, answer=scored(None)),
        asked("b1", terms=BEN),
        validated("b1", terms=BEN, accepted=False, answer=scored(0.95)),
        asked("c1"),
        dead("c1"),
    )
    with told.reader() as reader:

        def found(outcomes: tuple[str, ...] = ALL, **wanted: Any) -> list[str]:
            return _ids(reader.page(Wanted(outcomes=outcomes, **wanted), "", 10))

        assert found() == ["a1", "a2", "a3", "b1", "c1"]
        assert found(tenant="ana") == ["a1", "a2", "a3"]
        assert found(tenant="nobody") == []
        assert found(min_score=0.5) == ["a1", "b1"]
        assert found(("exhausted", "failed")) == ["b1", "c1"]
        assert found(("accepted",), min_score=0.9, tenant="ana") == ["a1"]
        assert found(()) == []
        assert found(tenant="ben") == ["b1"]


async def test_a_row_tells_the_question_and_its_answer(told: Told) -> None:
    answer = scored(0.4, 2, "ñ ½", latency_ms=5.5, reasons=("too short", "no number"))
    await _record(
        told,
        asked("a", terms=ANA),
        validated("a", terms=ANA, answer=answer, attempts=2, retries=3),
        asked("b", question_id=None, best_answer=None),
        dead("b", question_id=None, best_answer=None, kind="quota", reason="spent"),
    )
    expected = Answered(
        message_id="a",
        id="7",
        question="What is the capital of France?",
        reference="Paris",
        answer="ñ ½",
        outcome="accepted",
        score=0.4,
        reason=None,
        reasons=("too short", "no number"),
        kind=None,
        source="model",
        attempts=2,
        retries=3,
        model="m",
        latency_ms=5.5,
        created_at=asked("a").created_at,
        finished_at=EPOCH + 1,
        tenant="ana",
    )
    with told.reader() as reader:
        first, second = reader.page(Wanted(outcomes=ALL), "", 10).rows
    assert first == expected
    assert (second.id, second.reference, second.answer, second.kind, second.reason, second.tenant) == (
        None,
        None,
        None,
        "quota",
        "spent",
        "",
    )


async def test_a_page_of_long_texts_is_short(told: Told) -> None:
    """Whatever is asked for, it fits memory; no row is left out."""
    long = "x" * 1_500_000
    for n in range(7):
        await _record(told, asked(f"m{n}"), validated(f"m{n}", answer=scored(text=long)))
    ids: list[str] = []
    with told.reader() as reader:
        more = True
        while more:
            page = reader.page(Wanted(outcomes=ALL), ids[-1] if ids else "", 1000)
            assert len(page.rows) <= 4
            ids += _ids(page)
            more = page.more
    assert ids == [f"m{n}" for n in range(7)]


async def test_the_recent_ones_come_last_first(told: Told) -> None:
    await _record(
        told,
        *(asked(each, terms=terms) for each, terms in (("m3", ANA), ("m1", BEN), ("m2", ANA), ("m4", None))),
        validated("m3", terms=ANA),
        dead("m1", terms=BEN),
        validated("m2", terms=ANA),
        validated("m4"),
    )
    with told.reader() as reader:
        assert [row.message_id for row in reader.recent(10)] == ["m4", "m2", "m1", "m3"]
        assert [row.message_id for row in reader.recent(2)] == ["m4", "m2"]
        assert [row.message_id for row in reader.recent(10, "ana")] == ["m2", "m3"]
        assert [row.message_id for row in reader.recent(1, "ana")] == ["m2"]
        assert reader.recent(10, "nobody") == []


async def test_how_far_recent_looks_back(told: Told) -> None:
    await _record(told, asked("ana", terms=ANA), validated("ana", terms=ANA))
    others = [f"x{n:05}" for n in range(LOOKED_BACK)]
    await asyncio.gather(*(told.answers.record(asked(each, terms=BEN)) for each in others))
    await asyncio.gather(*(told.answers.record(validated(each, terms=BEN)) for each in others[:-1]))
    await told.kept()
    with told.reader() as reader:
        assert [row.message_id for row in reader.recent(1, "ana")] == ["ana"]
    await _record(told, validated(others[-1], terms=BEN))
    with told.reader() as reader:
        assert reader.recent(1, "ana") == []


async def test_dead_letters_of_a_tenant(told: Told) -> None:
    await _record(
        told,
        *(asked(each, terms=terms) for each, terms in (("a", ANA), ("b", BEN), ("c", ANA), ("d", ANA))),
        dead("a", terms=ANA, kind="quota"),
        dead("b", terms=BEN, kind="quota"),
        dead("c", terms=ANA, kind="fatal"),
        validated("d", terms=ANA),
    )
    with told.reader() as reader:

        def found(*what: Any) -> list[str]:
            return [letter.message_id for page in reader.dead(*what) for letter in page]

        assert found(None) == ["c", "a", "b"]
        assert found(None, None, "ana") == ["c", "a"]
        assert found("quota", None, "ana") == ["a"]
        assert found("quota", 1, "ben") == ["b"]
        assert reader.dead_kinds() == {"fatal": 1, "quota": 2}
        assert reader.dead_kinds("ben") == {"quota": 1}
        assert reader.dead_kinds("nobody") == {}


async def _figures(told: Told) -> None:
    await _record(
        told,
        *(asked(f"a{n}", terms=ANA) for n in range(5)),
        asked("b", terms=BEN),
        failed(message_id="a0", terms=ANA),
        regeneration(message_id="a0", terms=ANA, attempt=2, refused=scored(0.1)),
        validated("a0", terms=ANA, answer=scored(0.75, 2, latency_ms=40.0), attempts=2, retries=1),
        validated("a1", terms=ANA, answer=scored(None, latency_ms=20.0)),
        validated("a2", terms=ANA, answer=scored(0.75), source=Source.CACHE, attempts=0),
        dead("a3", terms=ANA, kind="$odd.kind"),
        validated("b", terms=BEN, accepted=False, answer=scored(0.25), refused=scored(0.125, latency_ms=9.0)),
    )


async def test_the_figures_of_a_tenant(told: Told) -> None:
    await _figures(told)
    with told.reader() as reader:
        assert reader.metrics(5.0, "ana") == {
            "questions": 5,
            "open": 1,
            "accepted": 3,
            "exhausted": 0,
            "failed": 1,
            "sources": {"model": 2, "cache": 1},
            "dead_letters": {"_odd_kind": 1},
            "attempts": {"judged": 3, "refused": 1, "failed_calls": {"overload": 1}},
            "model_calls": 4,
            "unscored": 1,
            "score": {"mean": 0.75, "min": 0.75, "max": 0.75},
            "latency_ms": {"p50": 20.0, "p95": 40.0},
            "updated_at": 5.0,
        }


async def test_the_figures_of_all(told: Told) -> None:
    await _figures(told)
    with told.reader() as reader:
        everything = reader.metrics(5.0)
        nothing = reader.metrics(5.0, "nobody")
    assert (everything["questions"], everything["exhausted"], everything["model_calls"]) == (6, 1, 5)
    assert everything["score"] == {"mean": (0.75 + 0.75 + 0.25) / 3, "min": 0.25, "max": 0.75}
    assert nothing["questions"] == nothing["model_calls"] == 0
    assert nothing["latency_ms"] == {"p50": None, "p95": None}


async def test_a_cluster_keeps_the_same_document(cluster: _Mongo) -> None:
    await _figures(cluster)
    await cluster.store.refresh_metrics(5.0)
    kept = await cluster.store.connection.database.metrics.find_one({"_id": "global"})
    assert kept is not None
    with cluster.reader() as reader:
        assert {**reader.metrics(5.0), "_id": "global"} == kept


async def test_a_tenants_page_is_found_by_its_index(file: _File) -> None:
    """However many questions others have, it costs no look at them."""
    await _record(file, asked("a", terms=ANA), validated("a", terms=ANA))
    tail, values = selected(Wanted(outcomes=ALL, tenant="ana"), "", 10)
    plan = [row[3] for row in file.state.execute(f"EXPLAIN QUERY PLAN SELECT answer {tail}", values)]
    assert "SEARCH questions USING COVERING INDEX of_tenant (tenant=? AND message_id>?)" in plan[0]
    assert not any("TEMP B-TREE" in step for step in plan)


async def test_which_submissions_are_known(told: Told) -> None:
    await _record(told, asked("a"), asked("b"), validated("b"))
    with told.reader() as reader:
        assert reader.asked(["a", "b", "c"]) == {"a", "b"}
        assert reader.asked([]) == set()


async def test_what_is_wanted_may_be_of_a_kind_or_have_a_beginning(told: Told) -> None:
    await _record(
        told,
        *(asked(each) for each in ("a1", "a2", "af", "b1")),
        dead("a1", kind="quota"),
        dead("a2", kind="fatal"),
        validated("af"),
        dead("b1", kind="quota"),
    )
    with told.reader() as reader:

        def found(outcomes: tuple[str, ...], after: str = "", **wanted: Any) -> list[str]:
            return _ids(reader.page(Wanted(outcomes=outcomes, **wanted), after, 10))

        assert found(ALL, prefix="a") == ["a1", "a2", "af"]
        assert found(ALL, "a1", prefix="a") == ["a2", "af"]
        assert found(ALL, prefix="c") == []
        assert found(("failed",)) == ["a1", "a2", "b1"]
        assert found(("failed",), kind="quota") == ["a1", "b1"]
        assert found(("failed",), "a1", kind="quota") == ["b1"]
        assert found(("failed", "accepted"), kind="quota") == ["a1", "b1"]
        assert found(("failed",), tenant="ana") == []


@pytest.mark.parametrize("text", ['{"$gt": ""}', "$ne", "' OR 1=1 --", "\0", "%", ".*"])
async def test_what_means_something_to_a_database_is_a_text(told: Told, text: str) -> None:
    """Whoever hands it on finds nothing by it."""
    await _record(told, asked("a", terms=ANA), dead("a", terms=ANA), asked("b", terms=ANA), validated("b", terms=ANA))
    with told.reader() as reader:
        with pytest.raises(NoSuchQuestion):
            reader.life(text)
        for wanted in (
            Wanted(outcomes=ALL, tenant=text),
            Wanted(outcomes=ALL, kind=text),
            Wanted(outcomes=(text,)),
            Wanted(outcomes=ALL, prefix=text),
        ):
            assert reader.page(wanted, "", 10) == Page([], more=False)
        assert reader.asked([text]) == set()
        assert reader.recent(10, text) == []
        assert reader.dead_kinds(text) == {}
        assert list(reader.dead(text)) == []
        assert reader.metrics(0.0, text)["questions"] == 0
