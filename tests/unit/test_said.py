import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.models.said import read


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("slow  down\n", "slow down"),
        ({"error": "busy"}, "busy"),
        ({"error": {"message": "busy"}}, "busy"),
        ([{"error": {"message": "busy"}}], "busy"),
        ({"error": {"error": {"message": "busy"}, "code": 402}}, "busy"),
        ({"errors": [{"message": "busy"}]}, "busy"),
        ({"message": "busy"}, "busy"),
        ({"detail": "busy"}, "busy"),
        ({"error": "Bad Request", "message": "no such field"}, "no such field: Bad Request"),
        ({"error": {"message": "busy", "errors": [{"message": "busy"}]}}, "busy"),
        ({"error": {"message": "failed", "metadata": {"raw": "busy", "provider_name": "P"}}}, "failed: P: busy"),
        ({"error": {"message": "failed", "metadata": {"raw": '{"error": {"message": "busy"}}'}}}, "failed: busy"),
        ({"error": {"message": "failed", "metadata": {"raw": {"message": "busy"}}}}, "failed: busy"),
        ({"error": {"message": "failed", "metadata": {"raw": "{busy}"}}}, "failed: {busy}"),
        ({"error": {"message": "flagged", "metadata": {"provider_name": "P"}}}, "flagged"),
        ({"detail": [{"loc": ["body"], "msg": "bad", "input": "per day"}]}, '[{"loc":["body"],"msg":"bad"}]'),
        ({"error": {}}, ""),
        ({"error": {"message": ["a", "b"]}}, '["a","b"]'),
        (None, ""),
        (5, ""),
    ],
)
def test_the_message_is_found(body: object, message: str) -> None:
    """Wherever it stands; an upstream's stands behind the router's, and a question that is repeated is left out."""
    assert read(400, body).message == message


def test_the_message_is_bounded() -> None:
    assert len(read(400, {"error": {"message": "x" * 10_000}}).message) == 4000


def test_codes_are_gathered_from_every_layer() -> None:
    body = {
        "type": "Error",
        "error": {
            "code": "Outer",
            "status": 400,
            "innererror": {"code": "Inner", "type": None},
            "details": [{"reason": "API_KEY_INVALID"}, "x", {"reason": ["y"]}],
        },
    }
    assert read(400, body).codes == {"error", "outer", "400", "inner", "api_key_invalid"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"code": 429, "metadata": {"raw": {"code": 400}}}}, 429),
        ({"error": {"code": "503"}}, 503),
        ({"error": {"code": "1300", "status": 429}}, 429),
        ({"error": {"code": 200}}, 0),
        ({"error": "busy"}, 0),
    ],
)
def test_an_error_with_a_200_has_the_status_that_it_names(body: object, status: int) -> None:
    """The outermost one, since it is the server's own; 0 where there is none."""
    assert read(200, body).status == status
    assert read(418, body).status == 418


def test_googles_quota_is_named() -> None:
    """Its message is the same for every quota."""
    violations = [{"quotaId": "RequestsPerDay"}, {"quotaId": None}, "x", {"quotaId": "RequestsPerMinute"}]
    body = {"error": {"message": "You exceeded your quota.", "details": [{"violations": violations}]}}
    assert read(429, body).message == "You exceeded your quota. (RequestsPerDay, RequestsPerMinute)"


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        ({"details": [{"@type": "x"}, {"retryDelay": "26s"}]}, "26s"),
        ({"details": [{"retryDelay": 26}]}, None),
        ({"metadata": {"headers": {"X-RateLimit-Limit": "50", "X-RateLimit-Reset": "1743292800000"}}}, "1743292800000"),
        ({"metadata": {"headers": {"Retry-After": "7", "X-RateLimit-Reset": "1743292800000"}}}, "7"),
        ({"metadata": {"headers": {"X-RateLimit-Limit": "50"}}}, None),
        ({"metadata": {"headers": "none"}}, None),
        ({}, None),
    ],
)
def test_a_wait_in_the_body_is_found(error: dict[str, Any], wait: str | None) -> None:
    assert read(429, {"error": error}).wait == wait


def test_a_parameter_is_found() -> None:
    assert read(400, {"error": {"param": "seed"}}).param == "seed"
    assert read(400, {"error": {"param": None}}).param is None
    assert read(400, {"error": {"param": 5}}).param is None


def test_errors_without_end_are_read_all_the_same() -> None:
    body: Any = {"message": "deep"}
    for _ in range(500):
        body = {"error": body}
    assert read(400, body).message == ""
    assert read(400, {"error": {"metadata": {"raw": '{"error": ' * 5000}}}).message.startswith("{")


_KEYS = st.sampled_from(
    ["error", "errors", "message", "detail", "code", "type", "status", "metadata", "raw", "headers", "details"]
)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
        max_leaves=20,
    )
)
def test_no_body_is_a_reason_to_crash(body: Any) -> None:
    said = read(429, json.loads(json.dumps(body)))
    assert said.status == 429
    assert len(said.message) <= 4000
