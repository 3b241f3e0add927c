from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manual_clock import ManualClock, at_once
from strategies import EVENTS, SCORES, asked, dead, requested, scored, validated
from tamiz.cache import Cache, CacheStats, make_cache
from tamiz.effects import Effects
from tamiz.messages import (
    DeadLetter,
    Event,
    LlmRequest,
    QuestionAsked,
    RegenerationRequest,
    Scored,
    Source,
    Terminal,
    ValidatedResponse,
)
from tamiz.policy import Policy
from tamiz.stages.intake import RELEASED_AT_ONCE, Intake
from tamiz.statefile import StateFile
from tamiz.store.sqlite import SqliteAnswers, SqliteClaims

THRESHOLD = 0.5
GOOD, POOR = scored(0.9, text="good"), scored(0.4, text="poor")


class _Known:
    """A cache, store and claims that say what they were told, and note who was asked in which order."""

    def __init__(self, *, cached: Scored | None = None, stored: Scored | None = None, leads: bool = True) -> None:
        self.calls: list[str] = []
        self.kept: dict[str, Scored] = {}
        self._cached, self._stored, self._leads = cached, stored, leads

    def get(self, key: str) -> Scored | None:
        assert key == "k1"
        self.calls.append("cache")
        return self._cached

    def peek(self, key: str) -> Scored | None:
        return self.kept.get(key)

    def put(self, key: str, answer: Scored) -> None:
        self.kept[key] = answer

    def discard(self, key: str) -> None:
        raise NotImplementedError

    def stats(self) -> CacheStats:
        raise NotImplementedError

    async def record(self, event: Event) -> None:
        raise NotImplementedError

    async def unknown(self, message_ids: object) -> set[str]:
        raise NotImplementedError

    async def reusable(self, cache_key: str) -> Scored | None:
        assert cache_key == "k1"
        self.calls.append("store")
        return self._stored

    async def claim(self, asked: QuestionAsked) -> bool:
        assert asked.cache_key == "k1"
        self.calls.append("claim")
        return self._leads

    async def release(self, outcome: Terminal, limit: int) -> list[QuestionAsked]:
        self.calls.append(f"release {outcome.cache_key} {outcome.leader} {limit}")
        return []


def handle(known: _Known, event: Event, policy: Policy | None = None) -> Effects:
    return at_once(Intake(known, known, known, policy or Policy(threshold=THRESHOLD)).handle(event))


def reused(effects: Effects) -> ValidatedResponse:
    (outcome,) = effects.emit
    assert isinstance(outcome, ValidatedResponse)
    return outcome


def test_a_cached_answer_needs_nothing_else() -> None:
    known = _Known(cached=GOOD, stored=GOOD)
    outcome = reused(handle(known, asked()))
    assert known.calls == ["cache"]
    assert (outcome.accepted, outcome.answer, outcome.source) == (True, GOOD, Source.CACHE)
    assert (outcome.attempts, outcome.retries, outcome.leader) == (0, 0, "m1")


def test_the_store_is_asked_next_and_its_answer_is_cached() -> None:
    known = _Known(stored=GOOD)
    outcome = reused(handle(known, asked()))
    assert known.calls == ["cache", "store"]
    assert (outcome.accepted, outcome.answer, outcome.source) == (True, GOOD, Source.STORE)
    assert known.kept == {"k1": GOOD}


def test_a_new_question_goes_to_the_model() -> None:
    """Whoever leads its identical ones asks a model, with the question whole."""
    known = _Known(leads=True)
    question = asked(title="ñ", content="c", best_answer="r", question_id=None)
    assert handle(known, question).emit == (requested(title="ñ", content="c", best_answer="r", question_id=None),)
    assert known.calls == ["cache", "store", "claim"]
    assert not known.kept


def test_one_that_does_not_lead_waits() -> None:
    """It is parked, so nothing follows from it until the leader's outcome."""
    known = _Known(leads=False)
    assert handle(known, asked()) == Effects()
    assert known.calls == ["cache", "store", "claim"]


@pytest.mark.parametrize("where", ["cached", "stored"])
def test_an_answer_below_todays_threshold_is_not_reused(where: str) -> None:
    """The bar may have been raised since it was accepted."""
    known = _Known(cached=POOR if where == "cached" else None, stored=POOR)
    (request,) = handle(known, asked()).emit
    assert isinstance(request, LlmRequest)
    assert known.calls == ["cache", "store", "claim"]
    assert not known.kept


def test_a_better_stored_answer_wins_over_a_poor_cached_one() -> None:
    known = _Known(cached=POOR, stored=GOOD)
    assert reused(handle(known, asked())).answer == GOOD
    assert known.kept == {"k1": GOOD}


@given(st.none() | SCORES, SCORES, st.sampled_from(["accept", "retry"]))
def test_what_is_reused_passes(score: float | None, threshold: float, unscored: str) -> None:
    """An answer is reused if and only if it would be accepted today, unscored ones included."""
    policy = Policy(threshold=threshold, unscored="accept" if unscored == "accept" else "retry")
    known = _Known(stored=scored(score))
    (event,) = handle(known, asked(), policy).emit
    assert isinstance(event, ValidatedResponse) is policy.passes(score)


@given(EVENTS[RegenerationRequest])
def test_a_regeneration_goes_to_the_model_with_what_it_carries(event: RegenerationRequest) -> None:
    """The claim, the cache and the store are not asked again: the question leads already."""
    known = _Known()
    (request,) = handle(known, event).emit
    assert isinstance(request, LlmRequest)
    assert known.calls == []
    assert (request.attempt, request.retries, request.best) == (event.attempt, event.retries, event.best)
    assert (request.retry, request.deferrals) == (0, 0)


@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize("accepted", [True, False])
def test_only_accepted_answers_of_models_are_cached(source: Source, *, accepted: bool) -> None:
    known = _Known()
    handle(known, validated(source=source, accepted=accepted, answer=GOOD))
    assert known.kept == ({"k1": GOOD} if accepted and source is Source.MODEL else {})


@pytest.mark.parametrize("make", [validated, dead])
def test_an_outcome_releases_those_that_waited_for_its_leader(make: Callable[..., Terminal]) -> None:
    """The leader's own outcome a chunk, a released one's one more, a reused answer's and a bad row's nobody."""

    def released(source: Source | None) -> list[str]:
        known = _Known()
        handle(known, make(message_id="m9", source=source, leader="m1"))
        return known.calls

    assert released(Source.MODEL) == [f"release k1 m1 {RELEASED_AT_ONCE}"]
    assert released(Source.COALESCED) == ["release k1 m1 1"]
    assert released(Source.CACHE) == released(Source.STORE) == []
    if make is dead:
        assert released(None) == []


def with_waiting(copies: int) -> tuple[Intake, Cache, SqliteClaims]:
    """Make an intake where m0 leads and so many copies wait."""
    state, clock = StateFile(":memory:"), ManualClock()
    cache, claims = make_cache("lru", 100, None, clock), SqliteClaims(state)
    intake = Intake(cache, SqliteAnswers(state, clock), claims, Policy(threshold=THRESHOLD))
    for n in range(copies + 1):
        at_once(intake.handle(asked(f"m{n}", trace_id=f"t{n}", question_id=f"q{n}")))
    return intake, cache, claims


OUTCOMES: list[Terminal] = [
    validated("m0", answer=GOOD, attempts=2, retries=3),
    validated("m0", accepted=False, answer=POOR, attempts=3),
    dead("m0", kind="timeout", reason="too slow", attempts=1, retries=6, best=POOR, model="m"),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=["accepted", "exhausted", "failed"])
@pytest.mark.parametrize("copies", [0, 1, 255, 256, 257, 1000])
def test_any_number_of_copies_is_released_in_chunks(outcome: Terminal, copies: int) -> None:
    """Each copy gets the leader's outcome once, in their order, with at most 256 of them under way at any time."""
    intake, _, claims = with_waiting(copies)
    under_way: deque[Event] = deque([outcome])
    released: list[Event] = []
    while under_way:
        more = at_once(intake.handle(under_way.popleft())).emit
        released += more
        under_way.extend(more)
        assert len(under_way) <= RELEASED_AT_ONCE
    assert [event.message_id for event in released] == [f"m{n}" for n in range(1, copies + 1)]
    assert at_once(claims.claim(asked("later"))), "the claim has ended"


@pytest.mark.parametrize("outcome", OUTCOMES, ids=["accepted", "exhausted", "failed"])
def test_a_copy_shares_the_outcome_but_not_the_cost(outcome: Terminal) -> None:
    """It keeps its own identity, names its leader, and counts no attempt and no retry of its own."""
    intake, cache, _ = with_waiting(1)
    (copy,) = at_once(intake.handle(outcome)).emit
    assert isinstance(copy, ValidatedResponse | DeadLetter)
    assert (copy.message_id, copy.trace_id, copy.question_id) == ("m1", "t1", "q1")
    assert (copy.outcome, copy.source, copy.leader) == (outcome.outcome, Source.COALESCED, "m0")
    assert (copy.attempts, copy.retries) == (0, 0)
    if isinstance(copy, ValidatedResponse) and isinstance(outcome, ValidatedResponse):
        assert copy.answer == outcome.answer
        assert (cache.get("k1") == GOOD) is outcome.accepted
    if isinstance(copy, DeadLetter) and isinstance(outcome, DeadLetter):
        assert (copy.kind, copy.reason, copy.model, copy.best) == ("timeout", "too slow", "m", POOR)
        assert cache.get("k1") is None


def test_the_outcome_of_another_releases_nobody() -> None:
    """A repeated outcome of a leader before this one finds a claim that is not its own."""
    intake, _, _ = with_waiting(3)
    for event in (validated("old"), dead("old"), validated("x", source=Source.COALESCED, leader="old")):
        assert at_once(intake.handle(event)).emit == ()


def test_a_question_that_comes_again_still_leads() -> None:
    """A redelivered leader is not parked behind itself."""
    intake, _, _ = with_waiting(1)
    assert at_once(intake.handle(asked("m0"))).emit == (requested(message_id="m0"),)


def test_a_question_that_comes_during_the_release_is_not_lost() -> None:
    """After a failure the answer is not known, so it waits too, and is released with the last of the others."""
    intake, _, _ = with_waiting(2)
    first, second = at_once(intake.handle(dead("m0"))).emit
    assert at_once(intake.handle(asked("late"))).emit == ()
    (late,) = at_once(intake.handle(first)).emit
    assert late.message_id == "late"
    assert at_once(intake.handle(second)).emit == at_once(intake.handle(late)).emit == ()
    assert at_once(intake.handle(asked("next"))).emit == (requested(message_id="next"),)


def test_other_messages_are_none_of_its_business() -> None:
    assert handle(_Known(), requested()) == Effects()


class _Ending(_Known):
    """An identical question ends between the look for an answer and the claim; two more have come to wait meanwhile."""

    def __init__(self, answer: Scored) -> None:
        super().__init__()
        self._answer = answer
        self.waiting = [asked("m2"), asked("m3")]

    async def claim(self, asked: QuestionAsked) -> bool:
        self.put(asked.cache_key, self._answer)
        return await super().claim(asked)

    async def release(self, outcome: Terminal, limit: int) -> list[QuestionAsked]:
        await super().release(outcome, limit)
        return self.waiting


def test_an_answer_that_comes_before_the_claim_is_reused() -> None:
    """No second call is made, the claim ends, and those that wait by then get the answer too."""
    known = _Ending(GOOD)
    effects = handle(known, asked())
    assert known.calls == ["cache", "store", "claim", f"release k1 m1 {RELEASED_AT_ONCE}"]
    own, *others = effects.emit
    assert isinstance(own, ValidatedResponse)
    assert (own.message_id, own.source, own.answer, own.leader) == ("m1", Source.CACHE, GOOD, "m1")
    shared = [(each.message_id, each.source, each.leader) for each in others if isinstance(each, ValidatedResponse)]
    assert shared == [("m2", Source.COALESCED, "m1"), ("m3", Source.COALESCED, "m1")]


def test_an_answer_that_falls_short_of_today_s_threshold_is_not() -> None:
    known = _Ending(POOR)
    (request,) = handle(known, asked()).emit
    assert isinstance(request, LlmRequest)
    assert known.calls == ["cache", "store", "claim"]
