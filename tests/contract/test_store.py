"""What every store keeps to: claims, deferrals, endpoints; its answers are in test_answers.py."""

from collections import defaultdict
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from manual_clock import at_once
from strategies import asked, requested
from tamiz.effects import Deferred, EndpointState
from tamiz.errors import FailureKind
from tamiz.messages import Event, LlmRequest, QuestionAsked
from tamiz.statefile import StateFile
from tamiz.store.base import Claims, Deferrals, Endpoints
from tamiz.store.sqlite import SqliteClaims, SqliteDeferrals, SqliteEndpoints

FOREVER: Final = 10**9


class _SqliteInMemory:
    """A store, and what happens to it from outside: commits and, where it is durable, crashes."""

    durable = False
    claims: Claims
    deferrals: Deferrals
    endpoints: Endpoints

    def __init__(self) -> None:
        self._take(StateFile(":memory:"))

    def _take(self, state: StateFile) -> None:
        self.state = state
        self.claims, self.deferrals, self.endpoints = (
            SqliteClaims(state),
            SqliteDeferrals(state),
            SqliteEndpoints(state),
        )

    def commit(self) -> None:
        """Make everything up to here durable."""
        self.state.commit()

    def crash(self) -> None:
        """Lose everything since the last commit."""
        raise NotImplementedError

    def count(self, table: str) -> int:
        """Tell how many rows take up space."""
        found: int = self.state.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - a constant
        return found

    def close(self) -> None:
        self.state.close()


class _SqliteOnFile(_SqliteInMemory):
    durable = True

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self._path = Path(self._folder.name, "tamiz.db")
        self._take(StateFile(self._path))

    def crash(self) -> None:
        self.state.close()
        self._take(StateFile(self._path))

    def close(self) -> None:
        super().close()
        self._folder.cleanup()


class _SqliteForgetful(_SqliteOnFile):
    """Keeps so few claims in memory that most are looked up in the file."""

    def __init__(self) -> None:
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr("tamiz.store.sqlite.claims._REMEMBERED", 1)
        super().__init__()

    def close(self) -> None:
        super().close()
        self._patch.undo()


Harness = type[_SqliteInMemory]
HARNESSES: Final[list[Harness]] = [_SqliteInMemory, _SqliteOnFile, _SqliteForgetful]


class _Machine(RuleBasedStateMachine):
    """A store beside plain dicts and lists that it has to agree with."""

    harness: Harness

    def __init__(self) -> None:
        super().__init__()
        self.on = self.harness()
        self.now: dict[str, Any] = {"claims": {}, "parked": defaultdict(list), "deferred": {}}
        self.durable = deepcopy(self.now)

    def teardown(self) -> None:
        self.finish()
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
            self.now = deepcopy(self.durable)


KEYS = st.sampled_from(["a", "b", "c"])
NUMBERS = st.integers(0, 5)


class _ClaimsMachine(_Machine):
    """Random claims and releases by questions of three keys, again and again."""

    def question(self, key: str, number: int) -> QuestionAsked:
        return asked(f"{key}{number}", key, title=f"question {key}")

    @rule(key=KEYS, number=NUMBERS)
    def claim(self, key: str, number: int) -> None:
        question = self.question(key, number)
        leader = self.now["claims"].setdefault(key, question.message_id)
        assert at_once(self.on.claims.claim(question)) is (leader == question.message_id)
        if leader != question.message_id and question not in self.now["parked"][key]:
            self.now["parked"][key].append(question)

    @rule(key=KEYS, number=NUMBERS, limit=st.integers(1, 3))
    def release(self, key: str, number: int, limit: int) -> None:
        self.released(key, f"{key}{number}", limit)

    @rule(key=KEYS, limit=st.integers(1, 3))
    def release_by_the_leader(self, key: str, limit: int) -> None:
        self.released(key, self.now["claims"].get(key, "nobody"), limit)

    def released(self, key: str, leader: str, limit: int) -> None:
        expected: list[QuestionAsked] = []
        if self.now["claims"].get(key) == leader:
            waiting = self.now["parked"][key]
            expected, self.now["parked"][key] = waiting[:limit], waiting[limit:]
            if not expected:
                del self.now["claims"][key]
        assert at_once(self.on.claims.release(key, leader, limit)) == expected

    def finish(self) -> None:
        for key, leader in list(self.now["claims"].items()):
            while key in self.now["claims"]:
                self.released(key, leader, 2)
        self.on.commit()
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
        at_once(self.on.deferrals.defer(Deferred(request, due)))
        self.now["deferred"].setdefault((message, attempt, retry), (due, request))

    @rule(now=st.integers(0, 20), limit=st.integers(1, 4))
    def take(self, now: float, limit: int) -> None:
        taken = at_once(self.on.deferrals.due(now, limit))
        dues = []
        for event in taken:
            assert isinstance(event, LlmRequest)
            due, request = self.now["deferred"].pop((event.message_id, event.attempt, event.retry))
            assert event == request, "the first of two deferrals stays"
            dues.append(due)
        left = sorted(due for due, _ in self.now["deferred"].values() if due <= now)
        assert dues == sorted(dues)
        assert len(dues) == limit or not left
        assert not dues or not left or dues[-1] <= left[0]

    @invariant()
    def next_due_is_right(self) -> None:
        dues = [due for due, _ in self.now["deferred"].values()]
        assert at_once(self.on.deferrals.next_due()) == min(dues, default=None)

    def finish(self) -> None:
        self.take(FOREVER, FOREVER)
        assert not self.now["deferred"]
        self.on.commit()
        assert self.on.count("deferrals") == 0


@pytest.mark.parametrize("harness", HARNESSES, ids=lambda harness: harness.__name__)
@pytest.mark.parametrize("machine", [_ClaimsMachine, _DeferralsMachine], ids=["claims", "deferrals"])
def test_any_sequence_of_steps(machine: type[_Machine], harness: Harness) -> None:
    """One leader a key, each parked question released once, claims end; each deferral comes once, the earliest first.

    Whatever the order of steps, commits and crashes, and a crash takes back exactly what was not committed.
    """
    run_state_machine_as_test(
        type("_TheMachine", (machine,), {"harness": harness}),
        settings=settings(max_examples=30, stateful_step_count=40),
    )


@pytest.fixture(params=HARNESSES, ids=lambda harness: harness.__name__)
def on(request: pytest.FixtureRequest) -> Any:
    harness = request.param()
    yield harness
    harness.close()


def claim(on: _SqliteInMemory, message_id: str, key: str = "k1") -> bool:
    return at_once(on.claims.claim(asked(message_id, key)))


def release(on: _SqliteInMemory, leader: str, limit: int = FOREVER, key: str = "k1") -> list[str]:
    return [question.message_id for question in at_once(on.claims.release(key, leader, limit))]


def test_the_first_leads_and_the_others_wait(on: _SqliteInMemory) -> None:
    assert [claim(on, f"m{n}") for n in range(4)] == [True, False, False, False]
    assert claim(on, "x", "k2"), "another question is another claim"
    assert claim(on, "m0"), "the leader leads when it comes again"
    assert not claim(on, "m1"), "and one that waits waits when it comes again, once"
    assert release(on, "m1") == []
    assert release(on, "m0", limit=2) == ["m1", "m2"]
    assert release(on, "m0", limit=2) == ["m3"]
    assert not claim(on, "late"), "the claim ends only when nobody waits any more"
    assert release(on, "m0") == ["late"]
    assert release(on, "m0") == []
    assert claim(on, "next")


def test_a_parked_question_is_kept_whole(on: _SqliteInMemory) -> None:
    question = asked("m2", title="ñ ½ \U0001f600", content="c\n", best_answer=None, question_id=None)
    claim(on, "m1")
    at_once(on.claims.claim(question))
    on.commit()
    assert at_once(on.claims.release("k1", "m1", 1)) == [question]


def test_a_claim_within_one_commit_never_touches_the_file(on: _SqliteInMemory) -> None:
    before = on.state.execute("SELECT total_changes()").fetchone()[0]
    for n in range(10):
        assert claim(on, f"m{n}")
        assert release(on, f"m{n}") == []
    on.commit()
    assert on.state.execute("SELECT total_changes()").fetchone()[0] == before


def test_five_thousand_wait_and_come_back_in_order(on: _SqliteInMemory) -> None:
    """Any number of copies waits, none is lost or twice, in chunks of any size."""
    for n in range(5001):
        claim(on, f"m{n}")
    on.commit()
    released: list[str] = []
    while chunk := release(on, "m0", limit=700):
        released += chunk
    assert released == [f"m{n}" for n in range(1, 5001)]


def due(on: _SqliteInMemory, now: float, limit: int = FOREVER) -> list[Event]:
    return at_once(on.deferrals.due(now, limit))


def test_an_event_comes_when_it_is_due_and_whole(on: _SqliteInMemory) -> None:
    request, question = requested(title="ñ", attempt=2, retry=3, deferrals=1), asked("m2")
    for event, at in ((request, 5.25), (question, 5.5)):
        at_once(on.deferrals.defer(Deferred(event, at)))
    assert at_once(on.deferrals.next_due()) == 5.25
    assert due(on, 5.0) == []
    assert due(on, 5.25) == [request]
    assert due(on, 6) == [question]
    assert due(on, 6) == []
    assert at_once(on.deferrals.next_due()) is None


def states(on: _SqliteInMemory) -> list[EndpointState]:
    return at_once(on.endpoints.states())


def test_an_endpoint_is_known_as_long_as_it_is_down(on: _SqliteInMemory) -> None:
    """The last state counts, and survives a crash once it was committed; one that is up needs no memory."""
    spent = EndpointState("openai:m", 5.5, 3600.0, FailureKind.QUOTA, "no credit ñ", 0, "a1")
    down = EndpointState("ollama:x", 7.0, 8.0, FailureKind.OVERLOAD, "refused", 3)
    for state in (spent, down):
        at_once(on.endpoints.save(state))
    on.commit()
    later = EndpointState("openai:m", 5.5, 7200.0, FailureKind.QUOTA, "still none", 1)
    at_once(on.endpoints.save(later))
    assert states(on) == [down, later]
    if on.durable:
        on.crash()
        assert states(on) == [down, spent]
    at_once(on.endpoints.save(EndpointState("openai:m")))
    at_once(on.endpoints.save(EndpointState("never seen")))
    assert states(on) == [down]
