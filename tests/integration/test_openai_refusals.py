"""Each way a server refuses, through a real socket, and what it means."""

import json
from typing import Any

import pytest

from asking import KEY, NOW, ask, failure_of, refusal_of, talking
from fake_llm import Do, answer, status
from refusal_cases import CASES, Case
from tamiz.clock import SystemClock
from tamiz.errors import Failed, FailureKind, ModelRefused
from tamiz.models.classify import RULES, Rule

OVERLOAD, QUOTA, TIMEOUT, INVALID, FATAL = FailureKind


class _At(SystemClock):
    """The real clock, at another date."""

    def __init__(self, now: float) -> None:
        super().__init__()
        self._now = now

    def time(self) -> float:
        return self._now


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_each_refusal_that_a_provider_sends_is_understood(case: Case) -> None:
    """What it means for the question, and when the provider said to come back."""
    now = NOW if case.now is None else case.now.timestamp()
    do = Do(status=case.status, headers=case.headers, body=case.body.encode())
    async with talking(do, clock=_At(now)) as (model, _):
        with pytest.raises((Failed, ModelRefused)) as raised:
            await model.ask(ask())
    error = raised.value
    assert (error.kind if isinstance(error, Failed) else "stop") == case.expect
    if case.wait is not None:
        assert isinstance(error, Failed)
        assert error.retry_at == pytest.approx(now + case.wait, rel=0, abs=1e-5)


async def test_the_reason_names_what_the_upstream_says() -> None:
    """A router's own message says no more than that something failed."""
    metadata = {"raw": '{"error": {"message": "slow down, please"}}', "provider_name": "BaseTen"}
    error = {"code": 429, "message": "Provider returned error", "metadata": metadata}
    reason = (await failure_of(status(429, error))).reason
    assert reason.endswith(" answered 429: Provider returned error: BaseTen: slow down, please")


async def test_the_reason_names_the_quota() -> None:
    details = [{"violations": [{"quotaId": "RequestsPerDayPerModel-FreeTier"}]}]
    failure = await failure_of(status(429, {"message": "You exceeded your current quota.", "details": details}))
    assert failure.reason.endswith(" answered 429: You exceeded your current quota. (RequestsPerDayPerModel-FreeTier)")


@pytest.mark.parametrize(
    "reason", ["content_filter", "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"]
)
@pytest.mark.parametrize("message", [{"message": {"content": "Par"}}, {"message": {"role": "assistant"}}, {}])
async def test_a_withheld_answer_is_invalid(reason: str, message: dict[str, Any]) -> None:
    body = {"choices": [{"finish_reason": reason, **message}]}
    failure = await failure_of(Do(body=json.dumps(body).encode()))
    assert failure.kind is INVALID
    assert f"withheld by a content filter (finish_reason {reason})" in failure.reason


async def test_an_answer_that_is_cut_off_is_invalid_in_every_spelling() -> None:
    for reason in ("length", "MAX_TOKENS", "max_tokens"):
        assert (await failure_of(answer("Par", finish_reason=reason))).kind is INVALID


@pytest.mark.parametrize("code", [408, 409, 425, 429, 500, 502, 503, 504, 520, 529])
async def test_a_busy_server_is_an_overload(code: int) -> None:
    failure = await failure_of(status(code, {"message": "busy"}))
    assert (failure.kind, failure.retry_at) == (OVERLOAD, None)
    assert failure.reason.startswith("127.0.0.1:")
    assert f"answered {code}: busy" in failure.reason


@pytest.mark.parametrize(
    ("headers", "message", "wait"),
    [
        ({"Retry-After": "7"}, "", 7),
        ({"retry-after-ms": "1500"}, "", 1.5),
        ({"Retry-After": "Fri, 15 Jan 2027 08:01:00 GMT"}, "", 60),
        ({"x-ratelimit-reset-requests": "6m0s"}, "", 360),
        ({}, "Please try again in 20s.", 20),
        ({"Retry-After": "-1"}, "", None),
    ],
)
async def test_the_server_says_when_to_try_again(headers: dict[str, str], message: str, wait: float | None) -> None:
    for code in (429, 503):
        failure = await failure_of(status(code, {"message": message}, headers=headers))
        assert failure.kind is OVERLOAD
        assert failure.retry_at == (None if wait is None else NOW + wait)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (429, {"code": "insufficient_quota", "message": "You exceeded your current quota, please check your plan."}),
        (429, {"type": "insufficient_quota", "message": ""}),
        (429, {"code": "billing_hard_limit_reached"}),
        (429, {"message": "Rate limit reached on requests per day (RPD): Limit 200, Used 200."}),
        (429, {"code": 429, "message": "Quota exceeded for metric requests_per_day", "status": "RESOURCE_EXHAUSTED"}),
        (402, {"message": "Insufficient Balance"}),
        (402, "<html>pay</html>"),
        (403, {"code": "insufficient_quota", "message": "top up"}),
        (400, {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."}),
        (500, {"code": "insufficient_quota"}),
        (200, {"code": "insufficient_quota"}),
    ],
)
async def test_an_exhausted_quota_is_told_from_an_overload(code: int, error: Any) -> None:
    failure = await failure_of(status(code, error, headers={"retry-after": "30"}))
    assert (failure.kind, failure.retry_at) == (QUOTA, NOW + 30)


@pytest.mark.parametrize(
    "error",
    [
        {"code": "rate_limit_exceeded", "type": "tokens", "message": "Rate limit reached on tokens per min (TPM)"},
        {"code": "insufficient_quota", "message": "insufficient quota: 60 requests per minute"},
        {"message": "Rate limit reached: Limit: 3 / min. Add a payment method at https://x/account/billing."},
        {"code": 429, "message": "You exceeded your current quota. Metric: requests_per_minute", "status": "X"},
        {"message": "Too many concurrent requests, quota exceeded"},
        "Too Many Requests",
        "",
    ],
)
async def test_a_limit_of_a_short_window_is_an_overload(error: Any) -> None:
    assert (await failure_of(status(429, error))).kind is OVERLOAD


async def test_a_refused_key_is_no_failed_call() -> None:
    said = await refusal_of(status(401, {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}))
    assert said.startswith("the key was refused by http://127.0.0.1:")
    assert said.endswith("/v1 (401: Incorrect API key provided: ***): set OPENAI_API_KEY")
    for script in (
        status(401, "<html>no</html>"),
        status(400, {"message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}),
        status(200, {"code": "invalid_api_key"}),
    ):
        assert "set OPENAI_API_KEY" in await refusal_of(script)


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        (404, {"message": "The model `m` does not exist", "code": "model_not_found"}, "model 'm' is unknown to"),
        (404, {"message": 'model "m" not found, try pulling it first'}, "model 'm' is unknown to"),
        (400, {"message": "Model Not Exist"}, "model 'm' is unknown to"),
        (403, {"message": "Project does not have access to model", "code": "model_not_found"}, "is unknown to"),
        (403, {"message": "Forbidden"}, "does not allow this key to use model 'm'"),
        (404, "404 page not found", "nothing answers at http://127.0.0.1:"),
        (307, "", "is not the server's address"),
    ],
)
async def test_a_server_of_no_use_is_no_failed_call(code: int, error: Any, said: str) -> None:
    """What no question can mend is refused once, with what was asked and what was said."""
    assert said in await refusal_of(status(code, error, headers={"location": "http://other/v1?token=x"}))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, {"message": "This model's maximum context length is 4096 tokens.", "code": "context_length_exceeded"}),
        (400, {"message": "filtered", "code": "content_filter"}),
        (400, {"message": "anything else"}),
        (400, "plain text"),
        (403, {"message": "Your request was flagged", "code": "content_policy_violation"}),
        (413, {"message": "too large"}),
        (422, {"detail": [{"loc": ["body"], "msg": "bad"}]}),
        (500, {"message": "the request exceeds the available context size"}),
        (200, {"code": 400, "message": "bad"}),
    ],
)
async def test_a_question_that_cannot_be_answered_is_invalid(code: int, error: Any) -> None:
    assert (await failure_of(status(code, error))).kind is INVALID


@pytest.mark.parametrize("code", [405, 406, 410, 418, 501])
async def test_anything_else_is_fatal(code: int) -> None:
    assert (await failure_of(status(code, {"message": "no"}))).kind is FATAL


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "slow down"}, OVERLOAD),
        ({"code": "503"}, OVERLOAD),
        ({"type": "overloaded_error", "message": "Overloaded"}, OVERLOAD),
        ({"message": "what?"}, OVERLOAD),
        ("something broke", OVERLOAD),
        ({"type": "timeout"}, TIMEOUT),
        ({"code": "content_filter"}, INVALID),
        ({"code": 405}, FATAL),
    ],
)
async def test_an_error_with_status_200_is_an_error(error: Any, kind: FailureKind) -> None:
    choice = {"error": error, "finish_reason": "error"}
    choices = [{"choices": [choice]}, {"choices": [{**choice, "message": {"content": "Par"}}]}]
    for body in ({"error": error}, [{"error": error}], *choices):
        assert (await failure_of(Do(body=json.dumps(body).encode()))).kind is kind


async def test_users_can_put_rules_in_front() -> None:
    rules = (Rule(QUOTA, frozenset({418})), *RULES)
    assert (await failure_of(status(418, {"message": "teapot"}), rules=rules)).kind is QUOTA
