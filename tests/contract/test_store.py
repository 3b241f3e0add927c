"""What every store keeps to: claims, deferrals, endpoints; its answers are in test_answers.py."""

from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from stores import Harness, Maker, Mongo, SqliteForgetful, SqliteInMemory, SqliteOnFile, maker
from strategies import asked, requested, validated
from tamiz.effects import Deferred, EndpointState
from tamiz.errors import FailureKind
from tamiz.messages import Event, QuestionAsked, Source, Terminal

FOREVER: Final = 10**9


@pytest.fixture(params=[SqliteInMemory, SqliteOnFile, SqliteForgetful, Mongo], ids=lambda harness: harness.__name__)
def make(request: pytest.FixtureRequest) -> Maker:
    return maker(request)


@pytest.fixture
def on(make: Maker) -> Iterator[Harness]:
    harness = make()
    yield harness
    harness.close()


class _Machine(RuleBasedStateMachine):
    """A store beside plain dicts and lists that it has to agree with."""

    make: Maker

    def __init__(self) -> None:
        super().__init__()
        self.on = self.make()
        self.now: dict[str, Any] = {
            "claims": {},
            "parked": defaultdict(list),
            "released": [],
            "ended": set(),
            "deferred": {},
        }
        self.durable = deepcopy(self.now)

    def teardown(self) -> None:
        try:
            self.finish()
        finally:
            self.on.close()

    def finish(self) -> None:
        """Take out what is left."""

    @rule()
    def commit(self) -> None:
        self.on.commit()
        self.durable = deepcopy(self.now)

    @rule()
    def crash(self) -> None:
        if self.on.durable:
            self.on.crash()
            self.now = deepcopy(self.durable) if self.on.transactional else self.now


KEYS = st.sampled_from(["a", "b"])
LIMITS = st.integers(1, 3)


class _ClaimsMachine(_Machine):
    """Questions of two keys, their leaders' outcomes, and the outcomes of the copies that those released."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    @rule(key=KEYS)
    def claim(self, key: str) -> None:
        self.number += 1
        question = asked(f"{key}{self.number}", key, title=f"question {key}")
        leader = self.now["claims"].setdefault(key, question.message_id)
        assert self.on.run(self.on.claims.claim(question)) is (leader == question.message_id)
        if leader != question.message_id:
            self.now["parked"][key].append(question)

    @rule(key=KEYS, which=st.integers(0, 9))
    def claim_again(self, key: str, which: int) -> None:
        """Be delivered again, as one that waits: it still does, once."""
        if waiting := self.now["parked"][key]:
            assert not self.on.run(self.on.claims.claim(waiting[which % len(waiting)]))

    @rule(key=KEYS)
    def lead_again(self, key: str) -> None:
        """Be delivered again, as the leader: it still leads."""
        if (leader := self.now["claims"].get(key)) is not None:
            assert self.on.run(self.on.claims.claim(asked(leader, key, title=f"question {key}")))

    @rule(key=KEYS, limit=LIMITS)
    def the_leader_ends(self, key: str, limit: int) -> None:
        leader = self.now["claims"].get(key)
        if leader is not None and leader not in self.now["ended"]:
            self.now["ended"].add(leader)
            self.released(validated(leader, key), limit)

    @rule(which=st.integers(0, 9))
    def a_released_one_comes_by(self, which: int) -> None:
        if self.now["released"]:
            leader, question = self.now["released"].pop(which % len(self.now["released"]))
            copied = validated(question.message_id, question.cache_key, source=Source.COALESCED, leader=leader)
            self.released(copied, 1)

    @rule(key=KEYS, limit=LIMITS)
    def a_stranger_ends(self, key: str, limit: int) -> None:
        assert self.on.run(self.on.claims.release(validated("stranger", key), limit)) == []

    def released(self, outcome: Terminal, limit: int) -> None:
        key, expected = outcome.cache_key, []
        if self.now["claims"].get(key) == outcome.leader:
            waiting = self.now["parked"][key]
            expected, self.now["parked"][key] = waiting[:limit], waiting[limit:]
            self.now["released"] += [(outcome.leader, question) for question in expected]
            if not expected:
                del self.now["claims"][key]
        assert self.on.run(self.on.claims.release(outcome, limit)) == expected

    def finish(self) -> None:
        for key in list(self.now["claims"]):
            self.the_leader_ends(key, 2)
        while self.now["released"]:
            self.a_released_one_comes_by(0)
        self.on.commit()
        assert not self.now["claims"]
        assert (self.on.count("claims"), self.on.count("parked")) == (0, 0)


class _DeferralsMachine(_Machine):
    """Random deferrals of three submissions, taken as the time goes on."""

    @rule(
        message=st.sampled_from(["m1", "m2", "m3"]),
        attempt=st.integers(1, 2),
        retry=st.integers(0, 2),
        due=st.integers(0, 20),
    )
    def defer(self, message: str, attempt: int, retry: int, due: float) -> None:
        request = requested(message_id=message, attempt=attempt, retry=retry, title=f"due {due}")
        self.on.run(self.on.deferrals.defer(Deferred(request, due)))
        self.now["deferred"][message, attempt, retry] = (due, request)

    @rule(now=st.integers(0, 20), limit=st.integers(1, 4))
    def take(self, now: float, limit: int) -> None:
        taken = self.on.run(self.on.deferrals.due(now, limit))
        dues = []
        for each in taken:
            due, request = self.now["deferred"].pop(each.identity)
            assert each == Deferred(request, due), "the last of two deferrals counts"
            dues.append(due)
        self.on.run(self.on.deferrals.sent(taken))
        left = sorted(due for due, _ in self.now["deferred"].values() if due <= now)
        assert dues == sorted(dues)
        assert len(dues) == limit or not left
        assert not dues or not left or dues[-1] <= left[0]

    @invariant()
    def next_due_is_right(self) -> None:
        dues = [due for due, _ in self.now["deferred"].values()]
        assert self.on.run(self.on.deferrals.next_due()) == min(dues, default=None)

    def finish(self) -> None:
        self.take(FOREVER, FOREVER)
        assert not self.now["deferred"]
        self.on.commit()
        assert self.on.count("deferrals") == 0


@pytest.mark.parametrize("machine", [_ClaimsMachine, _DeferralsMachine], ids=["claims", "deferrals"])
def test_any_sequence_of_steps(machine: type[_Machine], make: Maker) -> None:
    """One leader a key, each parked question released once, claims end; each deferral comes once, the earliest first.

    Whatever the order of steps, commits and crashes, and a crash takes back exactly what was not committed.
    """
    run_state_machine_as_test(
        type("_TheMachine", (machine,), {"make": staticmethod(make)}),
        settings=settings(max_examples=make.examples, stateful_step_count=25 if make.examples < 30 else 40),
    )


def claim(on: Harness, message_id: str, key: str = "k1") -> bool:
    return on.run(on.claims.claim(asked(message_id, key)))


def release(on: Harness, leader: str, limit: int = FOREVER, key: str = "k1") -> list[str]:
    return _ids(on.run(on.claims.release(validated(leader, key), limit)))


def comes_by(on: Harness, message_id: str, leader: str, key: str = "k1") -> list[str]:
    """Have the outcome of a copy that was released come by, which releases one more."""
    copied = validated(message_id, key, source=Source.COALESCED, leader=leader)
    return _ids(on.run(on.claims.release(copied, 1)))


def _ids(questions: list[QuestionAsked]) -> list[str]:
    return [question.message_id for question in questions]


def test_the_first_leads_and_the_others_wait(on: Harness) -> None:
    assert [claim(on, f"m{n}") for n in range(4)] == [True, False, False, False]
    assert claim(on, "x", "k2"), "another question is another claim"
    assert claim(on, "m0"), "the leader leads when it comes again"
    assert not claim(on, "m1"), "and one that waits waits when it comes again, once"
    assert release(on, "m1") == []
    assert release(on, "m0", limit=2) == ["m1", "m2"]
    assert comes_by(on, "m1", "m0") == ["m3"]
    assert not claim(on, "late"), "the claim ends only when nobody waits any more"
    assert comes_by(on, "m2", "m0") == ["late"]
    assert comes_by(on, "m3", "m0") == []
    assert claim(on, "next")
    assert comes_by(on, "late", "m0") == []
    assert not claim(on, "after"), "another one's outcome does not end the claim"
    assert release(on, "next") == ["after"]
    assert comes_by(on, "after", "next") == []
    on.commit()
    assert (on.count("claims"), on.count("parked")) == (1, 0)


def test_a_parked_question_is_kept_whole(on: Harness) -> None:
    question = asked("m2", title="ñ ½ \U0001f600", content="c\n", best_answer=None, question_id=None)
    claim(on, "m1")
    on.run(on.claims.claim(question))
    on.commit()
    assert on.run(on.claims.release(validated("m1", "k1"), 1)) == [question]


@pytest.mark.parametrize("kind", [SqliteInMemory, SqliteOnFile, SqliteForgetful])
def test_a_claim_within_one_commit_never_touches_the_file(kind: type[SqliteInMemory]) -> None:
    on = kind()
    before = on.state.execute("SELECT total_changes()").fetchone()[0]
    for n in range(10):
        assert claim(on, f"m{n}")
        assert release(on, f"m{n}") == []
    on.commit()
    assert on.state.execute("SELECT total_changes()").fetchone()[0] == before
    on.close()


def test_thousands_wait_and_come_back_in_order(on: Harness) -> None:
    """Any number of copies waits, none is lost or twice, and the first chunk releases all the others."""
    claim(on, "m0")
    on.each(on.claims.claim(asked(f"m{n}")) for n in range(1, on.many))
    on.commit()
    wave = release(on, "m0", limit=70)
    released = []
    while wave:
        released += wave
        copies = [validated(each, source=Source.COALESCED, leader="m0") for each in wave]
        wave = [
            question.message_id
            for questions in on.each(on.claims.release(copy, 1) for copy in copies)
            for question in questions
        ]
    assert released == [f"m{n}" for n in range(1, on.many)]
    on.commit()
    assert (on.count("claims"), on.count("parked")) == (0, 0)


def due(on: Harness, now: float, limit: int = FOREVER) -> list[Event]:
    taken = on.run(on.deferrals.due(now, limit))
    on.run(on.deferrals.sent(taken))
    return [each.event for each in taken]


def test_an_event_comes_when_it_is_due_and_whole(on: Harness) -> None:
    request, question = requested(title="ñ", attempt=2, retry=3, deferrals=1), asked("m2")
    for event, at in ((request, 5.25), (question, 5.5)):
        on.run(on.deferrals.defer(Deferred(event, at)))
    assert on.run(on.deferrals.next_due()) == 5.25
    assert due(on, 5.0) == []
    assert due(on, 5.25) == [request]
    assert due(on, 6) == [question]
    assert due(on, 6) == []
    assert on.run(on.deferrals.next_due()) is None


def states(on: Harness) -> list[EndpointState]:
    return on.run(on.endpoints.states())


def test_an_endpoint_is_known_as_long_as_it_is_down(on: Harness) -> None:
    """The last state counts, and survives a crash once it was committed; one that is up needs no memory."""
    spent = EndpointState("openai:m", 5.5, 3600.0, FailureKind.QUOTA, "no credit ñ", 0, "a1")
    down = EndpointState("ollama:x", 7.0, 8.0, FailureKind.OVERLOAD, "refused", 3)
    for state in (spent, down):
        on.run(on.endpoints.save(state))
    on.commit()
    later = EndpointState("openai:m", 5.5, 7200.0, FailureKind.QUOTA, "still none", 1)
    on.run(on.endpoints.save(later))
    assert states(on) == [down, later]
    if on.durable:
        on.crash()
        assert states(on) == [down, spent if on.transactional else later]
    on.run(on.endpoints.save(EndpointState("openai:m")))
    on.run(on.endpoints.save(EndpointState("never seen")))
    assert states(on) == [down]
