import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manual_clock import EPOCH, ManualClock, at_once
from strategies import EVENTS, FAILURES, asked, errors, failed, responded, scored, validated
from tamiz.cache import make_cache
from tamiz.effects import Effects, Stage
from tamiz.errors import Failed, FailureKind
from tamiz.messages import DeadLetter, Event, LlmError, LlmRequest, Outcome, RegenerationRequest, topic_of
from tamiz.models.base import Prompt, Reply
from tamiz.models.endpoint import Endpoint
from tamiz.models.fleet import Fleet
from tamiz.policy import Policy
from tamiz.scorers import make_scorer
from tamiz.stages.generate import Generate
from tamiz.stages.intake import Intake
from tamiz.stages.judge import Judge
from tamiz.stages.persist import Persist
from tamiz.stages.retry import Backoff, Retry
from tamiz.statefile import StateFile
from tamiz.store.sqlite import SqliteAnswers, SqliteClaims

PASSING = st.sampled_from([FailureKind.OVERLOAD, FailureKind.TIMEOUT])
FINAL = [FailureKind.INVALID, FailureKind.FATAL]
SMALL = st.integers(0, 50)
HUGE = st.integers(0, 10**30)
DRAWS = st.floats(0, 1, exclude_max=True)


class _Named:
    """A model that answers with its own name."""

    account = ""

    def __init__(self, name: str) -> None:
        self.name = name

    async def ask(self, prompt: Prompt) -> Reply:
        return Reply(text=f"{self.name} says {prompt.attempt}", model=self.name)

    async def close(self) -> None:
        pass


def fleet(first: int = 1, escalate: int = 0) -> Fleet:
    clock = ManualClock()
    firsts = [Endpoint(_Named(f"f{n}"), clock) for n in range(first)]
    return Fleet(firsts, [Endpoint(_Named(f"e{n}"), clock) for n in range(escalate)], clock=clock)


def asked_next(models: Fleet, attempt: int, retry: int) -> str:
    ticket = models.admit(attempt, retry)
    assert ticket is not None
    endpoint, call = ticket
    endpoint.abandoned(call)
    return endpoint.name


def retry_stage(
    *,
    retries: int = 5,
    models: Fleet | None = None,
    draw: Callable[[], float] = lambda: 0.5,
    clock: ManualClock | None = None,
) -> Retry:
    return Retry(retries=retries, fleet=models or fleet(), clock=clock or ManualClock(), random=draw, backoff=Backoff())


def handle(error: LlmError, **how: object) -> Effects:
    return at_once(retry_stage(**how).handle(error))  # type: ignore[arg-type]


def deferred(effects: Effects) -> tuple[LlmRequest, float]:
    """Give the one deferred call and its delay."""
    assert not effects.emit
    (later,) = effects.defer
    assert isinstance(later.event, LlmRequest)
    return later.event, later.due - EPOCH


def letter(effects: Effects) -> DeadLetter:
    assert not effects.defer
    (dead,) = effects.emit
    assert isinstance(dead, DeadLetter)
    return dead


@pytest.mark.parametrize("kind", [FailureKind.OVERLOAD, FailureKind.TIMEOUT])
def test_a_passing_failure_comes_back_later(kind: FailureKind) -> None:
    """An overloaded or slow model is asked again with growing delays."""
    delays = [deferred(handle(failed(kind, retry=n, retries=n)))[1] for n in range(5)]
    assert delays == pytest.approx([0.125, 0.25, 0.5, 1, 2])


@pytest.mark.parametrize("kind", FINAL)
def test_a_final_failure_is_a_dead_letter_at_once(kind: FailureKind) -> None:
    """Trying again cannot mend it, so nothing more is spent on it, also where another model could be asked."""
    dead = letter(handle(failed(kind, reason="content filter"), models=fleet(3)))
    assert (dead.kind, dead.reason, dead.outcome) == (kind, "content filter", Outcome.FAILED)


@given(PASSING, SMALL, DRAWS)
def test_jitter_is_full(kind: FailureKind, retry: int, draw: float) -> None:
    """The delay is anywhere between nothing and the doubled one, which never exceeds the cap."""
    _, delay = deferred(handle(failed(kind, retry=retry), retries=1000, draw=lambda: draw))
    assert delay == pytest.approx(draw * min(60.0, 0.25 * 2.0**retry), abs=1e-6)
    assert -1e-6 <= delay <= 60.0


def test_jitter_spreads() -> None:
    """A thousand calls that fail together do not come back together."""
    stage = retry_stage(draw=random.Random(1).random)
    dues = [at_once(stage.handle(failed(retry=4))).defer[0].due - EPOCH for _ in range(1000)]
    assert min(dues) < 1
    assert max(dues) > 3.75
    assert 1.75 < sum(dues) / 1000 < 2.25


@given(PASSING, SMALL, DRAWS, st.floats(-1e6, 1e6))
def test_never_before_the_stated_time(kind: FailureKind, retry: int, draw: float, stated: float) -> None:
    """What the provider said is the earliest; the jitter comes on top, and a time that is past delays nothing."""
    error = failed(kind, retry=retry, retry_at=EPOCH + stated)
    (later,) = handle(error, retries=1000, draw=lambda: draw).defer
    earliest = max(EPOCH + stated, EPOCH)
    assert earliest <= later.due <= earliest + 60


@given(SMALL, st.none() | st.floats(0, 1e6))
def test_quota_waits_for_the_stated_time_or_in_growing_steps(deferrals: int, stated: float | None) -> None:
    error = failed(
        FailureKind.QUOTA, retry=deferrals, deferrals=deferrals, retry_at=None if stated is None else EPOCH + stated
    )
    again, delay = deferred(handle(error))
    assert delay == pytest.approx(min(300.0, 5 * 2.0**deferrals) if stated is None else stated, abs=1e-6)
    assert (again.retry, again.deferrals) == (deferrals + 1, deferrals + 1)


@given(SMALL, HUGE, st.integers(0, 5))
def test_quota_counts_against_nothing(overloads: int, refusals: int, retries: int) -> None:
    """However often the quota was refused, the question lives on, as long as what it met besides allows."""
    overloads = min(overloads, retries)
    error = failed(FailureKind.QUOTA, retry=overloads + refusals, deferrals=refusals)
    assert handle(error, retries=retries).defer


@given(HUGE, st.integers(0, 7), st.integers(0, 7), PASSING)
def test_refused_quota_does_not_use_up_the_budget(
    refusals: int, overloads: int, retries: int, kind: FailureKind
) -> None:
    """The budget is for failed calls alone: the same number is allowed with and without refusals in between."""
    effects = handle(failed(kind, retry=overloads + refusals, deferrals=refusals), retries=retries)
    assert bool(effects.defer) is (overloads < retries)


@given(st.permutations([FailureKind.QUOTA] * 4 + [FailureKind.OVERLOAD] * 4))
def test_quota_and_overload_in_any_order(kinds: list[FailureKind]) -> None:
    """Whole histories: three failed calls are allowed, the fourth ends the question, refusals in between do not."""
    event, overloads = failed(), 0
    for kind in kinds:
        event = failed(kind, retry=event.retry, deferrals=event.deferrals, retries=event.retries)
        overloads += kind is FailureKind.OVERLOAD
        effects = handle(event, retries=3)
        if overloads == 4:
            assert letter(effects).retries == event.retry + 1
            return
        again, _ = deferred(effects)
        event = failed(retry=again.retry, deferrals=again.deferrals, retries=again.retries)


@given(PASSING)
def test_without_retries_the_first_failure_is_the_last(kind: FailureKind) -> None:
    """`retries` 0: a dead letter at once, also where another model could be asked; quota still waits."""
    assert letter(handle(failed(kind), retries=0)).reason == "1 failed call, the last: busy"
    assert letter(handle(failed(kind), retries=0, models=fleet(2))).retries == 1
    assert handle(failed(FailureKind.QUOTA), retries=0).defer


@given(HUGE, HUGE)
def test_huge_counts_overflow_nothing(retry: int, deferrals: int) -> None:
    backoff = Backoff()
    assert 0 <= backoff.overload(retry + 1, lambda: 1.0) <= 60
    assert 5 <= backoff.quota(deferrals + 1) <= 300
    assert deferred(handle(failed(retry=retry), retries=10**40, draw=lambda: 1.0))[1] <= 60


@given(st.sampled_from([FailureKind.OVERLOAD, FailureKind.TIMEOUT, FailureKind.QUOTA]), st.integers(2, 4), SMALL)
def test_the_next_model_is_asked_at_once(kind: FailureKind, models: int, retry: int) -> None:
    """A failed call goes to the next model without a wait; when all were asked, the round begins again after one."""
    list_of_models = fleet(models)
    effects = handle(failed(kind, retry=retry, retry_at=EPOCH + 3600), retries=1000, models=list_of_models)
    if (retry + 1) % models:
        (again,) = effects.emit
        assert isinstance(again, LlmRequest)
        assert asked_next(list_of_models, 1, again.retry) == f"f{(retry + 1) % models}"
    else:
        again, delay = deferred(effects)
        assert delay >= 3600 - 1e-6
        assert asked_next(list_of_models, 1, again.retry) == "f0"


def test_later_attempts_fail_over_among_the_models_of_escalation() -> None:
    models = fleet(1, escalate=2)
    assert handle(failed(attempt=1), models=models).defer
    assert handle(failed(attempt=2), models=models).emit
    assert [asked_next(models, 2, n) for n in range(3)] == ["e0", "e1", "e0"]


@given(errors(kind=st.sampled_from(FINAL)))
def test_a_dead_letter_says_everything(error: LlmError) -> None:
    """The reason, what it took, the best answer there was, and the question itself."""
    dead = letter(handle(error))
    assert (dead.kind, dead.reason, dead.model, dead.best) == (error.kind, error.reason, error.model, error.best)
    assert (dead.attempts, dead.retries) == (error.attempt - 1, error.retries + 1)
    assert dead.leader == dead.message_id == error.message_id
    for name in ("trace_id", "question_id", "title", "content", "best_answer", "cache_key", "created_at"):
        assert getattr(dead, name) == getattr(error, name)


def test_a_dead_letter_for_too_many_failures_names_their_number_and_the_last() -> None:
    dead = letter(handle(failed(FailureKind.TIMEOUT, reason="60 s passed", retry=7, deferrals=2, retries=9), retries=5))
    assert dead.kind == "timeout"
    assert dead.reason == "6 failed calls, the last: 60 s passed"
    assert dead.retries == 10


@given(errors(attempt=SMALL, retry=SMALL, deferrals=SMALL, retries=SMALL))
def test_retry_raises_its_counters_and_no_other(error: LlmError) -> None:
    """One more failed call, one more refusal where it was one; the attempt and its best answer stay as they are."""
    effects = handle(error, retries=10**6, models=fleet(2))
    for again in [*effects.emit, *(later.event for later in effects.defer)]:
        if isinstance(again, LlmRequest):
            assert (again.attempt, again.best) == (error.attempt, error.best)
            assert (again.retry, again.retries) == (error.retry + 1, error.retries + 1)
            assert again.deferrals == error.deferrals + (error.kind is FailureKind.QUOTA)


class _Failing(_Named):
    """A model whose calls fail as told."""

    def __init__(self, kind: FailureKind) -> None:
        super().__init__("failing")
        self._kind = kind

    async def ask(self, prompt: Prompt) -> Reply:
        raise Failed(self._kind, prompt.text)


def other_stages(kind: FailureKind | None) -> list[Stage]:
    clock, state = ManualClock(), StateFile(":memory:")
    model = _Named("m") if kind is None else _Failing(kind)
    answers, claims = SqliteAnswers(state, clock), SqliteClaims(state)
    return [
        Intake(make_cache("lru", 10, None, clock), answers, claims, Policy()),
        Generate(Fleet([Endpoint(model, clock)], clock=clock), "{}{}".format, clock, 0),
        Judge(make_scorer("tfidf"), Policy(attempts=2**63, unscored="retry")),
        Persist(),
    ]


COUNTERS = ("attempt", "retry", "deferrals", "retries")


@given(st.one_of(*EVENTS.values()), st.none() | FAILURES)
def test_each_counter_is_raised_by_its_owner_alone(event: Event, kind: FailureKind | None) -> None:
    """Only retry counts failed calls and only judge counts attempts: no other stage changes any of them.

    A new attempt starts with no failed calls of its own, and the sum over all attempts travels on.
    """
    for stage in other_stages(kind):
        if topic_of(event) not in stage.reads:
            continue
        for after in at_once(stage.handle(event)).emit:
            counts = {name: getattr(after, name) for name in COUNTERS if hasattr(after, name)}
            before = {name: getattr(event, name, counts[name]) for name in counts}
            if isinstance(stage, Judge) and isinstance(after, RegenerationRequest):
                before |= {"attempt": before["attempt"] + 1, "retry": 0, "deferrals": 0}
            if isinstance(stage, Intake) and isinstance(event, RegenerationRequest):
                before |= {"retry": 0, "deferrals": 0}
            assert counts == before, (stage, event, after)


def test_a_new_question_starts_at_the_first_attempt_with_no_failures() -> None:
    (request,) = at_once(other_stages(None)[0].handle(asked())).emit
    assert isinstance(request, LlmRequest)
    assert (request.attempt, request.retry, request.deferrals, request.retries, request.best) == (1, 0, 0, 0, None)


def test_other_messages_are_none_of_its_business() -> None:
    for event in (asked(), responded(), validated(answer=scored())):
        assert at_once(retry_stage().handle(event)) == Effects()
