import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manual_clock import EPOCH, ManualClock, at_once
from strategies import FAILURES, TEXTS, asked, requested, requests
from tamiz.effects import Effects
from tamiz.errors import Failed, FailureKind, ModelRefused, Sign
from tamiz.messages import LlmError, LlmRequest, LlmResponse
from tamiz.models.base import Model, Prompt, Reply, Simulator
from tamiz.models.endpoint import Endpoint
from tamiz.models.fleet import Fleet
from tamiz.prompt import DEFAULT, PromptTemplate
from tamiz.stages.generate import Generate

MARK = "REFERENCE-b8f1"
QUESTION = requests(best_answer=TEXTS.map(lambda text: MARK + text))
CARRIED = tuple(name for name in LlmRequest.__struct_fields__ if name not in {"v", "avoid"})


class _Recording:
    """A real model, as far as the flow can tell: it notes its prompts, takes 2 s and answers or fails as told."""

    account = ""

    def __init__(
        self, name: str = "m", answer: Reply | Exception | None = None, clock: ManualClock | None = None
    ) -> None:
        self.name = name
        self.prompts: list[Prompt] = []
        self._answer = answer or Reply(text="Paris", model="served-by", prompt_tokens=7, completion_tokens=2)
        self._clock = clock

    async def ask(self, prompt: Prompt) -> Reply:
        self.prompts.append(prompt)
        if self._clock is not None:
            self._clock.move(2.0)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def close(self) -> None:
        pass


class _Likeness(_Recording):
    """Has a method named like a simulator's, yet is none."""

    async def simulate(self, question: str, best_answer: str | None, attempt: int, retry: int) -> Reply:
        raise AssertionError((question, best_answer, attempt, retry))


class _Simulating(Simulator):
    def __init__(self) -> None:
        self.name = "simulated:"
        self.calls: list[tuple[str, str | None, int, int]] = []

    async def simulate(self, question: str, best_answer: str | None, attempt: int, retry: int) -> Reply:
        self.calls.append((question, best_answer, attempt, retry))
        return Reply(text="x", model=self.name)

    async def close(self) -> None:
        pass


def generate(
    *models: Model | Simulator, template: PromptTemplate = DEFAULT, seed: int = 0, clock: ManualClock | None = None
) -> Generate:
    clock = clock or ManualClock()
    return Generate(fleet(models, clock=clock), template.render, clock, seed)


def fleet(
    first: Sequence[Model | Simulator], escalate: Sequence[Model | Simulator] = (), *, clock: ManualClock
) -> Fleet:
    made = {id(model): Endpoint(model, clock) for model in (*first, *escalate)}
    return Fleet([made[id(model)] for model in first], [made[id(model)] for model in escalate], clock=clock)


@given(QUESTION, st.sampled_from([_Recording, _Likeness]))
def test_a_real_model_never_sees_the_reference(request: LlmRequest, make: type[_Recording]) -> None:
    """Whatever the question is, nothing of the prompt tells the reference, and nothing else is handed over."""
    model = make()
    at_once(generate(model).handle(request))
    (prompt,) = model.prompts
    assert MARK not in repr(prompt)
    assert prompt.__struct_fields__ == ("text", "attempt", "seed", "chat", "hint")


@given(TEXTS, TEXTS, st.none() | TEXTS, st.none() | TEXTS)
def test_the_prompt_does_not_depend_on_the_reference(
    title: str, content: str, one: str | None, other: str | None
) -> None:
    """Two questions that differ in their reference alone are asked alike (one key apart, they differ in the seed)."""
    model = _Recording()
    for reference in (one, other):
        at_once(generate(model).handle(requested(title=title, content=content, best_answer=reference)))
    assert model.prompts[0] == model.prompts[1]


@given(QUESTION)
def test_a_simulator_gets_the_reference(request: LlmRequest) -> None:
    """It only plays a model, and has nothing else to make a good answer of."""
    model = _Simulating()
    at_once(generate(model).handle(request))
    text = DEFAULT.render(request.title, request.content)
    assert model.calls == [(text, request.best_answer, request.attempt, request.retry)]


def test_the_template_makes_the_text() -> None:
    model = _Recording()
    stage = generate(model, template=PromptTemplate("Q: {title} / {content}."))
    at_once(stage.handle(requested(title="t", content="c")))
    assert model.prompts[0].text == "Q: t / c."


def test_an_answer_becomes_a_response() -> None:
    """With the model as its server names it, the tokens, and how long it took."""
    clock = ManualClock()
    (response,) = at_once(generate(_Recording(clock=clock), clock=clock).handle(requested())).emit
    assert isinstance(response, LlmResponse)
    assert (response.llm_answer, response.model, response.latency_ms) == ("Paris", "served-by", 2000.0)
    assert (response.prompt_tokens, response.completion_tokens) == (7, 2)


def test_several_that_are_down_are_waited_for_until_the_first_of_them_opens() -> None:
    """What the one that failed says of itself does not keep a question from another."""
    clock = ManualClock()
    soon = Failed(FailureKind.QUOTA, "a minute", sign=Sign.SPENT, retry_at=EPOCH + 60)
    late = Failed(FailureKind.QUOTA, "a day", sign=Sign.SPENT, retry_at=EPOCH + 86_400)
    stage = Generate(fleet([_Recording("a", soon), _Recording("b", late)], clock=clock), DEFAULT.render, clock, 0)
    (first,) = at_once(stage.handle(requested())).emit
    assert isinstance(first, LlmError)
    assert (first.outage, first.retry_at) == (True, None), "the other one is up"
    (second,) = at_once(stage.handle(requested(retry=1, avoid="a"))).emit
    assert isinstance(second, LlmError)
    assert (second.model, second.outage, second.retry_at) == ("b", True, EPOCH + 60)


@given(requests(), FAILURES, TEXTS, st.none() | st.floats(0, 1e10))
def test_every_failure_becomes_an_error_with_all_it_says(
    request: LlmRequest, kind: FailureKind, reason: str, retry_at: float | None
) -> None:
    """Never an answer with an error's text: a typed error, with when to come back where the provider said so."""
    model = _Recording("openai:m", Failed(kind, reason, retry_at=retry_at))
    (error,) = at_once(generate(model).handle(request)).emit
    assert isinstance(error, LlmError)
    assert (error.kind, error.reason, error.retry_at, error.model) == (kind, reason, retry_at, "openai:m")
    for name in CARRIED:
        assert getattr(error, name) == getattr(request, name)


@given(requests())
def test_a_response_carries_the_question_and_its_counters_unchanged(request: LlmRequest) -> None:
    (response,) = at_once(generate(_Recording()).handle(request)).emit
    for name in CARRIED:
        assert getattr(response, name) == getattr(request, name)


def test_a_refused_model_is_nobodys_failure() -> None:
    """A wrong key would fail every question: it passes through to the host, and nothing is spent."""
    refusal = ModelRefused("no such key")
    with pytest.raises(ModelRefused) as raised:
        at_once(generate(_Recording(answer=refusal)).handle(requested()))
    assert raised.value is refusal


def test_what_is_no_failure_of_a_call_passes_through() -> None:
    """A bug in an adapter stops the run; it is not taken for an answer or for a failure of the question."""
    with pytest.raises(ZeroDivisionError):
        at_once(generate(_Recording(answer=ZeroDivisionError())).handle(requested()))


async def test_cancelling_abandons_the_call() -> None:
    class _Slow(_Recording):
        async def ask(self, prompt: Prompt) -> Reply:
            self.prompts.append(prompt)
            await asyncio.Event().wait()
            raise NotImplementedError

    model = _Slow()
    call = asyncio.ensure_future(generate(model).handle(requested()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert model.prompts
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def test_the_model_whose_turn_it_is_is_asked() -> None:
    """The next one of the list after each failed call; those of escalation from the second attempt on."""
    models = [_Recording(name) for name in ("a", "b", "c")]
    stage = Generate(fleet(models[:2], models[2:], clock=ManualClock()), DEFAULT.render, ManualClock(), 0)
    for attempt, retry, turn in ((1, 0, "a"), (1, 1, "b"), (1, 2, "a"), (2, 0, "c"), (3, 5, "c")):
        before = {model.name: len(model.prompts) for model in models}
        at_once(stage.handle(requested(attempt=attempt, retry=retry)))
        assert [model.name for model in models if len(model.prompts) > before[model.name]] == [turn]


@given(st.integers(), TEXTS, st.integers(1, 1000), st.integers(0, 1000))
def test_seeds_repeat_with_the_run_and_differ_between_attempts(seed: int, key: str, attempt: int, retry: int) -> None:
    """In the 31 bits that every server takes, the same after a failed call, another for another attempt or seed."""

    def seed_of(seed: int, **changes: int) -> int:
        model = _Recording()
        at_once(generate(model, seed=seed).handle(requested(cache_key=key, **{"attempt": attempt, **changes})))
        assert model.prompts[0].attempt == {"attempt": attempt, **changes}["attempt"]
        return model.prompts[0].seed

    given_seed = seed_of(seed)
    assert 0 <= given_seed < 2**31
    assert given_seed == seed_of(seed, retry=retry)
    assert len({given_seed, seed_of(seed, attempt=attempt + 1), seed_of(seed + 1)}) >= 2


async def test_the_fleet_closes_each_model_once() -> None:
    closed = []

    class _Closing(_Recording):
        async def close(self) -> None:
            closed.append(self.name)

    a, b = _Closing("a"), _Closing("b")
    await fleet([a, b, a], [b], clock=ManualClock()).close()
    assert closed == ["a", "b"]


def test_other_messages_are_none_of_its_business() -> None:
    assert at_once(generate(_Recording()).handle(asked())) == Effects()


def test_a_failure_reads_as_its_kind_and_reason() -> None:
    assert str(Failed(FailureKind.QUOTA, "come back tomorrow", retry_at=EPOCH)) == "quota: come back tomorrow"


@given(QUESTION, st.integers(2, 9))
def test_a_later_attempt_is_never_asked_like_one_before(request: LlmRequest, attempt: int) -> None:
    """Also where a server takes neither temperature nor seed: the text differs, and tells nothing of the reference."""
    model = _Recording()
    stage = generate(model)
    for each in (1, attempt, attempt + 1):
        at_once(stage.handle(msgspec.structs.replace(request, attempt=each)))
    texts = [prompt.text for prompt in model.prompts]
    assert len(set(texts)) == 3
    assert texts[0] == DEFAULT.render(request.title, request.content)
    assert MARK not in "".join(texts)


def test_the_tokens_of_a_call_are_reckoned_from_those_before() -> None:
    """The densest prompt so far, and the longest answer so far or the longest that is allowed."""
    clock = ManualClock()
    model = _Recording(answer=Reply(text="x", model="m", prompt_tokens=10, completion_tokens=30))
    stages = [Generate(fleet([model], clock=clock), "{}{}".format, clock, 0, max_tokens=most) for most in (None, 50)]
    for stage, most in zip(stages, (30, 50), strict=True):
        assert stage.tokens_at_most(requested()) is None
        at_once(stage.handle(requested(title="x" * 20, content="")))
        assert stage.tokens_at_most(requested(title="x" * 41, content="")) == 21 + most
