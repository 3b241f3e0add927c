import asyncio
import threading

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from manual_clock import at_once
from strategies import SCORES, asked, responded, scored
from tamiz.effects import Effects
from tamiz.messages import (
    LlmResponse,
    Outcome,
    RegenerationRequest,
    Scored,
    Source,
    Terms,
    Usage,
    ValidatedResponse,
)
from tamiz.policy import Policy
from tamiz.scorers import make_scorer
from tamiz.scoring import NO_REFERENCE, Score, joined
from tamiz.stages.judge import Accept, Exhaust, Judge, Regenerate, Verdict, judge
from waiting import until

POLICIES = st.builds(
    Policy, threshold=SCORES, attempts=st.integers(1, 8), unscored=st.sampled_from(["accept", "retry"])
)
SEQUENCES = st.lists(st.none() | SCORES | st.sampled_from([0.0, 0.3, 0.5, 1.0]), min_size=1, max_size=12)


def play(scores: list[float | None], policy: Policy) -> tuple[list[Scored], Verdict]:
    """Feed scores, the last one over and over, until the decision is not to go on."""
    seen: list[Scored] = []
    best = None
    while True:
        number = len(seen) + 1
        answer = scored(scores[min(number, len(scores)) - 1], number, f"answer {number}")
        seen.append(answer)
        verdict = judge(answer, best, policy)
        if not isinstance(verdict, Regenerate):
            return seen, verdict
        assert number < policy.attempts, "asked again with no attempt left"
        best = verdict.best


@given(SEQUENCES, POLICIES)
def test_the_loop_ends_within_the_attempts(scores: list[float | None], policy: Policy) -> None:
    """Whatever an endless row of answers scores, at most `attempts` of them are judged."""
    seen, verdict = play(scores, policy)
    assert len(seen) <= policy.attempts
    if isinstance(verdict, Exhaust):
        assert len(seen) == policy.attempts


@given(SEQUENCES, POLICIES)
def test_accepted_is_the_first_that_passes(scores: list[float | None], policy: Policy) -> None:
    """The last answer is accepted if and only if it passes; none before it did."""
    seen, verdict = play(scores, policy)
    assert not any(policy.passes(answer.score) for answer in seen[:-1])
    if policy.passes(seen[-1].score):
        assert verdict == Accept(seen[-1])
    else:
        assert isinstance(verdict, Exhaust)


@given(SEQUENCES, POLICIES)
def test_exhausted_keeps_the_best(scores: list[float | None], policy: Policy) -> None:
    """The best is the one with the highest score; any score beats none; of equals it is the earliest."""
    seen, verdict = play(scores, policy)
    if isinstance(verdict, Exhaust):
        # `max` gives the first of equals
        assert verdict.best == max(seen, key=lambda answer: (answer.score is not None, answer.score or 0.0))


@given(st.none() | SCORES, st.none() | SCORES, st.integers(1, 20), POLICIES)
def test_beyond_the_attempts_nothing_is_asked_again(
    score: float | None, best: float | None, attempt: int, policy: Policy
) -> None:
    """Also where the limit was lowered below an attempt that is under way already."""
    before = None if attempt == 1 else scored(best, attempt - 1)
    verdict = judge(scored(score, attempt), before, policy)
    if attempt >= policy.attempts:
        assert not isinstance(verdict, Regenerate)
    assert isinstance(verdict, Accept) is policy.passes(score)


@given(SCORES)
@example(0.0)
def test_threshold_zero_accepts_every_score(score: float) -> None:
    assert judge(scored(score), None, Policy(threshold=0.0)) == Accept(scored(score))


@given(SCORES)
@example(1.0)
@example(1 - 2**-53)
def test_threshold_one_accepts_the_full_score_alone(score: float) -> None:
    verdict = judge(scored(score), None, Policy(threshold=1.0))
    assert isinstance(verdict, Accept) is (score == 1.0)


def test_threshold_itself_passes() -> None:
    assert Policy(threshold=0.3).passes(0.3)
    assert not Policy(threshold=0.3).passes(0.3 - 1e-12)


@given(POLICIES)
def test_unscored_is_not_zero(policy: Policy) -> None:
    """What becomes of an answer without a score is the setting's word, whatever the threshold is."""
    assert policy.passes(None) is (policy.unscored == "accept")


def test_unscored_answers_asked_again_end_as_the_first_of_them() -> None:
    seen, verdict = play([None], Policy(attempts=3, unscored="retry"))
    assert verdict == Exhaust(seen[0])
    assert verdict.best.score is None


class _Scripted:
    """A scorer that gives what it was told, and notes what it was asked."""

    name = "scripted"

    def __init__(self, score: Score) -> None:
        self._score = score
        self.asked: list[tuple[str, str | None]] = []

    def score(self, answer: str, reference: str | None, question: str = "") -> Score:  # noqa: ARG002 - the protocol's
        self.asked.append((answer, reference))
        return self._score


def handle(response: LlmResponse, score: Score, **policy: int) -> Effects:
    return at_once(Judge(_Scripted(score), Policy(threshold=0.5, attempts=policy.get("attempts", 3))).handle(response))


def test_scores_the_answer_against_the_reference() -> None:
    scorer = _Scripted(Score(0.9))
    at_once(Judge(scorer, Policy()).handle(responded(llm_answer="Lyon", best_answer="Paris")))
    assert scorer.asked == [("Lyon", "Paris")]


def test_an_accepted_answer_ends_the_question() -> None:
    """The outcome carries the answer, its score, and what it took."""
    response = responded(attempt=2, retries=4, best=scored(0.1))
    (outcome,) = handle(response, Score(0.9)).emit
    assert isinstance(outcome, ValidatedResponse)
    assert outcome.outcome is Outcome.ACCEPTED
    assert outcome.source is Source.MODEL
    assert outcome.answer == Scored(llm_answer="Paris", score=0.9, attempt=2, model="m", latency_ms=12.5)
    assert (outcome.attempts, outcome.retries, outcome.leader, outcome.refused) == (2, 4, "m1", None)


def test_a_poor_answer_is_asked_for_again() -> None:
    """Judge raises the attempt, keeps the sum of retries, and shows what it refused."""
    (again,) = handle(responded(attempt=1, retry=2, deferrals=1, retries=2), Score(0.2)).emit
    assert isinstance(again, RegenerationRequest)
    assert (again.attempt, again.retries) == (2, 2)
    assert (again.retry, again.deferrals) == (0, 0), "the budget of failed calls is per attempt"
    assert again.best == again.refused
    assert again.refused.score == 0.2


def test_the_last_poor_answer_exhausts_the_question() -> None:
    """The best of all attempts is kept, marked not accepted, beside the one that was refused last."""
    best = scored(0.4, 1)
    (outcome,) = handle(responded(attempt=3, best=best), Score(0.2)).emit
    assert isinstance(outcome, ValidatedResponse)
    assert outcome.outcome is Outcome.EXHAUSTED
    assert outcome.answer == best
    assert outcome.refused is not None
    assert (outcome.refused.attempt, outcome.refused.score) == (3, 0.2)


def test_an_answer_without_a_reference_has_no_score_but_a_reason() -> None:
    """Unknown is `None` and why, never 0.0; by default it is accepted."""
    judge_stage = Judge(make_scorer("tfidf"), Policy())
    (outcome,) = at_once(judge_stage.handle(responded(best_answer=None))).emit
    assert isinstance(outcome, ValidatedResponse)
    assert (outcome.accepted, outcome.answer.score, outcome.answer.reason) == (True, None, NO_REFERENCE)


def test_the_question_travels_on_unchanged() -> None:
    for score in (0.0, 0.9):
        response = responded(title="ñ", content="c", question_id=None)
        (event,) = handle(response, Score(score)).emit
        for name in ("message_id", "trace_id", "question_id", "title", "content", "best_answer", "cache_key"):
            assert getattr(event, name) == getattr(response, name)
        assert event.created_at == response.created_at


@pytest.mark.parametrize("attempts", [1, 3])
def test_the_same_answer_again_gives_the_same_effects(attempts: int) -> None:
    """A host may hand in an event twice."""
    stage = Judge(make_scorer("tfidf"), Policy(threshold=1.0, attempts=attempts))
    assert at_once(stage.handle(responded())) == at_once(stage.handle(responded()))


def test_other_messages_are_none_of_its_business() -> None:
    assert at_once(Judge(_Scripted(Score(1.0)), Policy()).handle(asked())) == Effects()


def test_a_question_s_own_threshold_counts() -> None:
    """For it alone; and 0 takes anything that has a score."""
    stage = Judge(make_scorer("tfidf"), Policy(threshold=0.3, attempts=1))
    answer = responded(llm_answer="Paris it is", best_answer="Paris")
    for threshold, accepted in ((None, True), (0.99, False), (0.0, True)):
        decided = stage.decide(msgspec.structs.replace(answer, terms=Terms(threshold=threshold)))
        assert isinstance(decided, ValidatedResponse)
        assert decided.accepted is accepted


def test_a_chat_adds_up_what_its_attempts_used() -> None:
    """Where the model counts; of other questions nothing travels along."""
    stage = Judge(make_scorer("tfidf"), Policy(threshold=1.0, attempts=3))
    answer = responded(llm_answer="no", best_answer="Paris", prompt_tokens=10, completion_tokens=3)
    chat = Terms(chat="{}")
    again = stage.decide(msgspec.structs.replace(answer, terms=chat))
    assert isinstance(again, RegenerationRequest)
    assert again.used == Usage(10, 3)
    last = stage.decide(msgspec.structs.replace(answer, terms=chat, attempt=3, used=again.used))
    assert isinstance(last, ValidatedResponse)
    assert last.used == Usage(20, 6)
    uncounted = stage.decide(msgspec.structs.replace(answer, terms=chat, prompt_tokens=None))
    assert isinstance(uncounted, RegenerationRequest)
    assert uncounted.used is None
    plain = stage.decide(answer)
    assert isinstance(plain, RegenerationRequest)
    assert plain.used is None


class _Waiting:
    """A scorer that takes until it is let go on."""

    name = "waiting"

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def score(self, answer: str, reference: str | None, question: str = "") -> Score:
        del answer, reference, question
        self.begun.set()
        assert self.go_on.wait(30)
        return Score(1.0)


@pytest.mark.parametrize(
    "long",
    [{"llm_answer": "word " * 1_000}, {"llm_answer": "word " * 20, "best_answer": joined(map(str, range(100)))}],
    ids=["answer", "forms"],
)
async def test_long_scoring_holds_up_nobody_else(long: dict[str, str]) -> None:
    scorer = _Waiting()
    judging = asyncio.create_task(Judge(scorer, Policy()).handle(responded(**long)))
    await until(scorer.begun.is_set, "the scoring to begin")
    assert not judging.done()
    scorer.go_on.set()
    (event,) = (await judging).emit
    assert isinstance(event, ValidatedResponse)
