import asyncio
import math
import random
from collections import Counter
from statistics import median, pstdev

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manual_clock import EPOCH, ManualClock, at_once, on_virtual_time
from tamiz.clock import Clock
from tamiz.errors import Failed, FailureKind, UsageError
from tamiz.models.base import Reply, Simulator
from tamiz.models.simulated import Profile, SimulatedModel, parse_profile
from tamiz.policy import Policy
from tamiz.scorers import make_scorer

DRAWS = 20_000
SIGMAS = 4
REFERENCES = ["Paris", "the river Seine", "1789", "8", "A", "C#", "Ludwig van Beethoven wrote nine", "it is {} blue"]


def simulated(profile: dict[str, float] | None = None, *, clock: ManualClock | None = None) -> SimulatedModel:
    return SimulatedModel("simulated:", msgspec.convert(profile or {}, Profile), clock or ManualClock())


def call(model: Simulator, question: str, reference: str | None = "Paris", attempt: int = 1, retry: int = 0) -> object:
    """Give the answer, or the kind of the failure."""
    try:
        return at_once(model.simulate(question, reference, attempt, retry)).text
    except Failed as failure:
        return failure.kind


def assert_share(count: int, share: float) -> None:
    sigma = math.sqrt(DRAWS * share * (1 - share))
    assert abs(count - DRAWS * share) <= SIGMAS * sigma, (count / DRAWS, share)


MIXED = {"overload": 0.2, "quota": 0.1, "timeout": 0.05, "invalid": 0.02, "fatal": 0.01, "quality": 0.7}


@given(st.text(), st.none() | st.text(), st.integers(1, 9), st.integers(0, 9), st.integers(-(2**70), 2**70))
def test_the_same_call_always_gives_the_same(
    question: str, reference: str | None, attempt: int, retry: int, seed: int
) -> None:
    """Whoever asks, whenever, and whatever was asked before."""
    one, other = simulated({"seed": seed, **MIXED}), simulated({"seed": seed, **MIXED})
    call(other, "something else")
    asked = (question, reference, attempt, retry)
    assert call(one, *asked) == call(one, *asked) == call(other, *asked)


async def test_order_and_concurrency_change_nothing() -> None:
    """One after another, all at once, or the other way round: each question gets the same, as slow as it may be."""
    questions = [f"question {n}" for n in range(300)]

    async def ask(model: SimulatedModel, question: str) -> tuple[str, object]:
        try:
            return question, (await model.simulate(question, "Paris", 1, 0)).text
        except Failed as failure:
            return question, failure.kind

    expected = {question: call(simulated(MIXED), question) for question in questions}
    for order in (questions, questions[::-1], random.Random(0).sample(questions, 300)):
        clock = ManualClock()
        model = simulated({"latency": 1.0, "spread": 1.0, **MIXED}, clock=clock)
        calls = asyncio.gather(*(ask(model, question) for question in order))
        await clock.advance(0)
        assert clock.sleepers == 300
        await clock.advance(1e6)
        assert dict(await calls) == expected


def test_rates_are_as_told() -> None:
    """Every kind of failure, and good and bad answers, within four standard deviations."""
    model = simulated(MIXED)
    found = Counter(call(model, f"question {n}") for n in range(DRAWS))
    for kind in FailureKind:
        assert_share(found[kind], MIXED[kind])
    good = sum(count for answer, count in found.items() if isinstance(answer, str) and "Paris" in answer)
    assert_share(good, (1 - 0.38) * 0.7)


def test_retries_and_attempts_are_drawn_anew() -> None:
    """A share of failures is one of calls, not of questions."""
    model = simulated({"overload": 0.3})
    assert_share(sum(call(model, "q", retry=n) is FailureKind.OVERLOAD for n in range(DRAWS)), 0.3)
    assert_share(sum(call(model, "q", attempt=n) is FailureKind.OVERLOAD for n in range(DRAWS)), 0.3)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_rate_of_one_fails_every_call(kind: FailureKind) -> None:
    assert {call(simulated({kind.value: 1.0}), f"q{n}") for n in range(100)} == {kind}


def test_rates_may_share_out_all_calls() -> None:
    model = simulated(dict.fromkeys(("overload", "quota", "timeout", "invalid", "fatal"), 0.2))
    found = Counter(call(model, f"q{n}") for n in range(1000))
    assert set(found) == set(FailureKind)


def test_another_seed_is_another_model() -> None:
    answers = [[call(simulated({"seed": seed, **MIXED}), f"q{n}") for n in range(100)] for seed in (0, 1)]
    assert answers[0] != answers[1]


@given(st.text(max_size=20), st.integers(1, 5), st.integers(1, 20))
def test_a_failed_call_changes_nothing_of_the_answer(question: str, attempt: int, retries: int) -> None:
    """Faults delay an answer; when it comes it is the one that would have come."""
    model = simulated({"overload": 0.5, "quality": 0.5})
    answers = {call(model, question, attempt=attempt, retry=retry) for retry in range(retries)}
    assert len(answers - {FailureKind.OVERLOAD}) <= 1
    undisturbed = call(simulated({"quality": 0.5}), question, attempt=attempt)
    assert answers <= {undisturbed, FailureKind.OVERLOAD}


class _Stopwatch(ManualClock):
    """Notes the sleeps and takes no time for them."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def test_latency_is_log_normal() -> None:
    """Its median is what was told, the logarithm's deviation is the spread, each within four of its standard errors."""
    clock = _Stopwatch()
    model = simulated({"latency": 0.2, "spread": 0.5, "overload": 0.1}, clock=clock)
    for n in range(DRAWS):
        call(model, f"q{n}")
    logarithms = [math.log(slept) for slept in clock.slept]
    assert len(logarithms) == DRAWS, "failed calls take their time too"
    median_error = 0.5 * math.sqrt(math.pi / 2 / DRAWS)
    assert abs(median(logarithms) - math.log(0.2)) <= SIGMAS * median_error
    assert abs(pstdev(logarithms) - 0.5) <= SIGMAS * 0.5 / math.sqrt(2 * DRAWS)


def test_latency_without_a_spread_is_constant() -> None:
    clock = _Stopwatch()
    for n in range(10):
        call(simulated({"latency": 0.2}, clock=clock), f"q{n}")
    assert clock.slept == [0.2] * 10


def test_a_call_over_the_timeout_is_given_up_then() -> None:
    """It fails as a server's call does that takes too long, and the others are as they were."""
    profile = Profile(latency=1.0, spread=1.0)

    async def ask(clock: Clock, most: float) -> list[tuple[float, object]]:
        model = SimulatedModel("simulated:", profile, clock, most)
        found = []
        for n in range(50):
            began = clock.monotonic()
            try:
                said: object = (await model.simulate(f"question {n}", "Paris", 1, 0)).text
            except Failed as failure:
                said = failure.kind
            found.append((round(clock.monotonic() - began, 3), said))
        return found

    patient = on_virtual_time(lambda clock: ask(clock, 60.0))
    hasty = on_virtual_time(lambda clock: ask(clock, 0.5))
    late = (0.5, FailureKind.TIMEOUT)
    assert 0 < hasty.count(late) < 50
    assert hasty == [each if each[0] <= 0.5 else late for each in patient]


def test_no_latency_does_not_even_switch_tasks() -> None:
    clock = _Stopwatch()
    call(simulated({"spread": 1.0}, clock=clock), "q")
    assert clock.slept == []


@pytest.mark.parametrize("reference", REFERENCES)
def test_quality_is_what_the_default_gate_sees(reference: str) -> None:
    """With the default scorer and threshold each good answer is accepted, and no bad one is."""
    scorer, policy = make_scorer("tfidf"), Policy()
    for quality in (0.0, 1.0):
        model = simulated({"quality": quality})
        answers = {str(call(model, f"q{n}", reference)) for n in range(200)}
        assert len(answers) == 4, "each wording occurs"
        for answer in answers:
            score = scorer.score(answer, reference).value
            if score is None:
                assert len(reference) < 3, "only where there is no word to compare"
            else:
                assert policy.passes(score) is (quality == 1.0), (answer, reference, score)


def test_without_a_reference_it_still_answers() -> None:
    for reference in (None, ""):
        answer = str(call(simulated(), "Why?", reference))
        assert "a simulated answer to 'Why?'" in answer


def test_a_reply_counts_tokens_and_is_never_blank() -> None:
    reply = at_once(simulated().simulate("", "", 1, 0))
    assert isinstance(reply, Reply)
    assert reply.text.strip()
    assert reply.prompt_tokens == 1
    assert reply.completion_tokens == len(reply.text) // 4 + 1


def test_only_quota_states_a_time() -> None:
    for kind in FailureKind:
        with pytest.raises(Failed) as failure:
            at_once(simulated({"reset": 90.0, kind.value: 1.0}).simulate("q", "Paris", 1, 0))
        assert failure.value.kind is kind
        assert failure.value.retry_at == (EPOCH + 90 if kind is FailureKind.QUOTA else None)


def test_parameters_are_read() -> None:
    assert parse_profile({}) == Profile()
    told = {"latency": "50ms", "spread": "0.4", "overload": "0.1", "reset": "1h", "quality": "1", "seed": "-3"}
    assert parse_profile(told) == Profile(latency=0.05, spread=0.4, overload=0.1, reset=3600.0, quality=1.0, seed=-3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((name, text) for name in ("latency", "reset") for text in ("", "-1s", "soon", "nan", "inf", "1 hour")),
        *((rate, text) for rate in FailureKind for text in ("", "-0.1", "1.01", "nan", "inf", "10%", "a few")),
        *(("quality", text) for text in ("", "-1", "2", "nan")),
        *(("spread", text) for text in ("", "-1", "nan", "inf", "wide")),
        *(("seed", text) for text in ("", "1.5", "lucky", "9" * 5000)),
    ],
)
def test_a_wrong_parameter_is_named(name: str, text: str) -> None:
    with pytest.raises(UsageError, match="simulated: ") as refusal:
        parse_profile({name: text})
    assert name in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_a_wrong_latency_is_named_beside_its_value() -> None:
    with pytest.raises(UsageError, match=r"simulated: latency: 'soon' is not a duration"):
        parse_profile({"latency": "soon"})


def test_an_unknown_parameter_is_named_beside_the_known_ones() -> None:
    with pytest.raises(UsageError) as refusal:
        parse_profile({"speed": "1"})
    assert "'speed'" in str(refusal.value)
    assert all(name in str(refusal.value) for name in Profile.__struct_fields__)


def test_rates_above_one_in_all_are_refused() -> None:
    with pytest.raises(UsageError, match=r"rates add up to 1\.2"):
        parse_profile({"overload": "0.6", "fatal": "0.6"})


def test_rates_that_add_up_to_one_are_taken() -> None:
    """Also where adding them one after another gives a hair more."""
    shares = {"quota": 0.2, "timeout": 0.4, "invalid": 0.3, "fatal": 0.1}
    assert sum(shares.values()) > 1
    assert parse_profile({name: str(share) for name, share in shares.items()}) == msgspec.convert(shares, Profile)
