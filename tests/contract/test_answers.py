"""What every store keeps to: its memory of questions and answers."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from manual_clock import EPOCH
from stores import Harness, Maker, Mongo, SqliteIndexing, SqliteInMemory, SqliteOnFile, maker
from strategies import SCORES, asked, dead, failed, requested, responded, scored, validated
from tamiz.messages import Event, RegenerationRequest, Scored, Source, Terms

KEYS: Final = ("a", "b", "c", "d", "e")


@pytest.fixture(params=[SqliteInMemory, SqliteOnFile, SqliteIndexing, Mongo], ids=lambda harness: harness.__name__)
def make(request: pytest.FixtureRequest) -> Maker:
    return maker(request)


@pytest.fixture
def on(make: Maker) -> Iterator[Harness]:
    harness = make()
    yield harness
    harness.close()


def record(on: Harness, *events: Event) -> None:
    for event in events:
        on.run(on.answers.record(event))


def reusable(on: Harness, key: str = "k1") -> Scored | None:
    return on.run(on.answers.reusable(key))


def unknown(on: Harness, *ids: str) -> set[str]:
    return on.run(on.answers.unknown(ids))


def restart(on: Harness) -> None:
    """Commit and, where it outlives its process, start anew on it."""
    on.commit()
    if on.durable:
        on.crash()


def rank(answer: Scored) -> tuple[bool, float]:
    return (answer.score is not None, answer.score or 0.0)


class _Machine(RuleBasedStateMachine):
    """A store beside a plain list of the outcomes that were the first for their submission."""

    make: Maker

    def __init__(self) -> None:
        super().__init__()
        self.on = self.make()
        self.now: dict[str, Any] = {"outcomes": {}, "asked": set(), "number": 0}
        self.durable = deepcopy(self.now)

    def teardown(self) -> None:
        self.on.close()

    @rule(key=st.sampled_from(KEYS), score=st.none() | SCORES | st.sampled_from([0.3, 0.5]), accepted=st.booleans())
    def ends(self, key: str, score: float | None, *, accepted: bool) -> None:
        """End a new submission of a question."""
        self.now["number"] += 1
        number = self.now["number"]
        answer = scored(score, attempt=number, text=f"answer {number}")
        outcome = validated(f"m{number}", key, accepted=accepted, answer=answer)
        record(self.on, asked(f"m{number}", key), outcome)
        self.now["asked"].add(f"m{number}")
        self.now["outcomes"][f"m{number}"] = outcome

    @rule(which=st.integers(0, 30), fails=st.booleans())
    def ends_again(self, which: int, *, fails: bool) -> None:
        """End a submission that has ended, better than before or with a failure: nothing of that may stay."""
        if not self.now["outcomes"]:
            return
        outcomes = list(self.now["outcomes"].values())
        first = outcomes[which % len(outcomes)]
        again = validated(first.message_id, first.cache_key, answer=scored(1.0, text="another"))
        record(self.on, dead(first.message_id, first.cache_key) if fails else again)

    @rule(which=st.integers(0, 30))
    def repeats(self, which: int) -> None:
        """Record the same outcome again."""
        if self.now["outcomes"]:
            outcomes = list(self.now["outcomes"].values())
            record(self.on, outcomes[which % len(outcomes)])

    @rule(key=st.sampled_from(KEYS), source=st.sampled_from([Source.CACHE, Source.STORE, Source.COALESCED]))
    def is_reused(self, key: str, source: Source) -> None:
        """End a submission with an answer that was not its own."""
        self.now["number"] += 1
        message_id = f"m{self.now['number']}"
        record(self.on, validated(message_id, key, source=source, answer=scored(1.0, text="copied"), leader="other"))
        if self.on.events_bring_questions:
            self.now["asked"].add(message_id)

    @rule()
    def commit(self) -> None:
        self.on.commit()
        self.durable = deepcopy(self.now)

    @rule()
    def crash(self) -> None:
        if self.on.durable:
            self.on.crash()
            self.now = deepcopy(self.durable) if self.on.transactional else self.now

    @invariant()
    def the_best_accepted_answer_is_reusable(self) -> None:
        for key in KEYS:
            accepted = [
                outcome.answer
                for outcome in self.now["outcomes"].values()
                if outcome.cache_key == key and outcome.accepted
            ]
            found = reusable(self.on, key)
            assert (found is None) is (not accepted)
            if found is not None:
                assert found in accepted
                assert rank(found) == max(map(rank, accepted))

    @invariant()
    def what_was_recorded_is_known(self) -> None:
        ids = [f"m{n}" for n in range(1, self.now["number"] + 3)]
        assert unknown(self.on, *ids) == set(ids) - self.now["asked"]


def test_any_sequence_of_steps(make: Maker) -> None:
    """The first outcome of a submission stays, and the best accepted answer to a question is the one to reuse.

    Whatever the order of steps, commits and crashes, and a crash takes back exactly what was not committed.
    """
    run_state_machine_as_test(
        type("_TheMachine", (_Machine,), {"make": staticmethod(make)}),
        settings=settings(max_examples=make.examples, stateful_step_count=25),
    )


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("scores", [[0.9, 0.5], [0.5, 0.9], [None, 0.5], [0.5, None], [None, None]])
def test_the_best_of_two_accepted_answers_is_reusable(
    on: Harness, scores: list[float | None], *, restarts: bool
) -> None:
    """A threshold that was lowered in between lets a poorer one in; it takes no better one's place."""
    answers = [scored(score, text=f"answer {n}") for n, score in enumerate(scores)]
    for n, answer in enumerate(answers):
        record(on, validated(f"m{n}", answer=answer))
        if restarts:
            restart(on)
    found = reusable(on)
    assert found is not None
    assert rank(found) == max(map(rank, answers))


@pytest.mark.parametrize("restarts", [False, True])
def test_the_first_of_two_outcomes_stays(on: Harness, *, restarts: bool) -> None:
    record(on, validated(answer=scored(0.5, text="first")))
    if restarts:
        restart(on)
    record(on, validated(answer=scored(0.9, text="second")), dead())
    restart(on)
    found = reusable(on)
    assert found is not None
    assert found.llm_answer == "first"


def test_a_failure_is_not_undone_by_an_answer_that_comes_after(on: Harness) -> None:
    record(on, dead(), validated())
    for _ in range(4):  # far enough for an index
        restart(on)
        assert reusable(on) is None
        record(on, *(validated(f"x{n}", f"x{n}") for n in range(3)))


def test_an_answer_is_kept_whole(on: Harness) -> None:
    """With its score or its reason, its attempt, model and latency; whether it is committed or not."""
    answers = {
        "k1": scored(0.7, 2, "ñ ½ \U0001f600\n", latency_ms=12.5),
        "k2": scored(None, 1, "8"),
        "k3": scored(1.0, text="x" * 100_000),
        "k4": scored(0.9, reasons=("refusal: 'as an AI'", "ñ"), completion='[{"index":0}]'),
    }
    record(on, *(validated(f"m-{key}", key, answer=answer) for key, answer in answers.items()))
    for _ in range(3):
        assert {key: reusable(on, key) for key in answers} == answers
        restart(on)


def test_what_is_not_committed_is_seen_at_once_and_lost_in_a_crash(on: Harness) -> None:
    """Where there are no transactions it stays."""
    record(on, asked("m1"), validated("m1"))
    assert reusable(on) is not None
    assert unknown(on, "m1", "m2") == {"m2"}
    if on.durable:
        on.crash()
        assert (reusable(on) is None) is on.transactional
        assert unknown(on, "m1", "m2") == ({"m1", "m2"} if on.transactional else {"m2"})


def test_nothing_is_unknown_of_nothing(on: Harness) -> None:
    assert unknown(on) == set()


REASONS: Final = ("echo: it repeats the question", "x")


def regeneration(**changes: Any) -> RegenerationRequest:
    request = requested(attempt=2, best=scored(0.1))
    fields = {name: getattr(request, name) for name in request.__struct_fields__ if name not in {"v", "avoid"}}
    return RegenerationRequest(**{**fields, "refused": scored(0.1, text="poor", reasons=REASONS), **changes})


EVENTS: Final[list[Event]] = [
    asked(),
    requested(),
    responded(),
    failed(retry=0),
    failed(retry=1, reason="busy again"),
    regeneration(),
    validated(accepted=False, attempts=2, retries=2, refused=scored(0.05, 2, "worse")),
    dead("m2", attempts=1),
]
TERMS: Final = Terms(tenant="acme", threshold=0.5, model="m", chat='{"messages":[]}')


def test_each_event_is_recorded_once(on: Harness) -> None:
    """Recording is idempotent, within a commit and across: counts derived from it never drift."""
    for event in EVENTS:
        record(on, event, event)
    on.commit()
    once = on.rows()
    restart(on)
    record(on, *EVENTS, *reversed(EVENTS))
    on.commit()
    assert on.rows() == once
    questions = 2 if on.events_bring_questions else 1
    assert {table: len(found) for table, found in once.items()} == {
        "questions": questions,
        "outcomes": 2,
        "attempts": 4,
    }


def test_all_stores_remember_the_same(make: Maker) -> None:
    """Row by row, so that a run here and a run there can be compared."""
    one, other = make(), SqliteInMemory()
    try:
        for on in (one, other):
            record(on, asked("m2"), asked("m3", terms=TERMS), *EVENTS)
            record(on, validated("m3", answer=scored(0.9, reasons=("echo",), completion="[]"), terms=TERMS))
            on.commit()
        assert one.rows() == other.rows()
    finally:
        one.close()
        other.close()


def test_refused_attempts_and_failed_calls_are_remembered(on: Harness) -> None:
    record(on, *EVENTS)
    on.commit()
    assert on.rows()["attempts"] == [
        ("m1", 1, 0, "overload", None, None, "busy", "m", 1.0, EPOCH, None),
        ("m1", 1, 0, "refused", "poor", 0.1, None, "m", None, EPOCH, '["echo: it repeats the question","x"]'),
        ("m1", 1, 1, "overload", None, None, "busy again", "m", 1.0, EPOCH, None),
        ("m1", 2, 0, "refused", "worse", 0.05, None, "m", None, EPOCH, None),
    ]


def test_requests_and_responses_need_no_memory(on: Harness) -> None:
    record(on, requested(), responded())
    on.commit()
    assert on.rows() == {"questions": [], "outcomes": [], "attempts": []}
