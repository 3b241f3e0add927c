from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.models.retry_after import CAP, retry_at, seconds_in

NOW = 1_800_000_000.0


def http_date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def wait(headers: dict[str, str], said: str = "") -> float | None:
    at = retry_at(headers, NOW, said)
    return None if at is None else round(at - NOW, 6)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "20s"}, 20),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": http_date(NOW + 90)}, 90),
        ({"retry-after": http_date(NOW + 3690), "date": http_date(NOW + 3600)}, 90),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360),
        ({"x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-rate-limit-reset-tokens": "55"}, 55),
        ({"x-ratelimit-reset": str(NOW + 30)}, 30),
        ({"x-ratelimit-reset": str(int((NOW + 30) * 1000))}, 30),
        ({"ratelimit-reset": "30"}, 30),
        ({"anthropic-ratelimit-requests-reset": datetime.fromtimestamp(NOW + 30, UTC).isoformat()}, 30),
        ({"anthropic-ratelimit-input-tokens-reset": datetime.fromtimestamp(NOW + 30, UTC).isoformat()}, 30),
        ({"anthropic-ratelimit-output-tokens-reset": datetime.fromtimestamp(NOW + 30, UTC).isoformat()}, 30),
        ({"retry-after": "3", "x-ratelimit-reset-requests": "6m0s"}, 3),
        ({"retry-after": "90000"}, CAP),
        ({"retry-after": http_date(NOW + 90_000)}, CAP),
    ],
)
def test_a_wait_is_read(headers: dict[str, str], seconds: float) -> None:
    """Each way of saying when to try again is understood, and no wait is longer than a day."""
    assert wait(headers) == seconds


@pytest.mark.parametrize(
    "value",
    ["", " ", "-1", "nan", "inf", "1e300", "soon", "-5s", "Thu, 99 Foo", "9" * 400, "١٢" * 60, http_date(NOW - 60)],
)
def test_nonsense_is_ignored(value: str) -> None:
    """A negative, absurd, past or unreadable value says nothing."""
    assert wait({"retry-after": value, "retry-after-ms": value if value.strip("-1") else "-1"}) is None
    assert wait({"x-ratelimit-reset-requests": value}) is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("Rate limit reached. Please try again in 20ms. Visit us.", 0.02),
        ("Limit 200, Used 200. Please try again in 7m12s.", 432),
        ("Please retry in 34.5s", 34.5),
        ("try again in 20 seconds", 20),
        ("Your quota will reset after 27s.", 27),
        ("The limit resets in 1h5m", 3900),
        ("You will regain access on 2027-01-15 at 09:30 UTC.", 5400),
        ("You will regain access on 2027-01-14 at 00:00 UTC.", None),
        ("You will regain access on 2027-99-99 at 00:00 UTC.", None),
        ("Try again later in 5 years", None),
        ("", None),
    ],
)
def test_a_message_may_name_the_wait(said: str, seconds: float | None) -> None:
    assert wait({}, said) == seconds
    assert wait({"retry-after": "1"}, said) == 1


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("26s", 26), ("7", 7), (str(int((NOW + 30) * 1000)), 30), (str(NOW + 30), 30), ("soon", None), ("-1", None)],
)
def test_the_body_may_have_a_field_for_the_wait(delay: str, seconds: float | None) -> None:
    """A duration or a moment; what the message names is more exact, and a header wins over both."""
    assert retry_at({}, NOW, delay=delay) == (None if seconds is None else NOW + seconds)
    assert retry_at({}, NOW, "Please retry in 36.5s.", delay) == NOW + 36.5
    assert retry_at({"retry-after": "1"}, NOW, "", delay) == NOW + 1


def test_the_limit_that_is_exhausted_decides() -> None:
    """Of several limits the one with the least left refused the call, so its reset counts."""
    headers = {
        "x-ratelimit-limit-requests": "200",
        "x-ratelimit-remaining-requests": "190",
        "x-ratelimit-reset-requests": "2h0m0s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "12",
        "x-ratelimit-reset-tokens": "5.8s",
    }
    assert wait(headers) == 5.8
    headers["x-ratelimit-remaining-requests"] = "0"
    assert wait(headers) == 7200


@pytest.mark.parametrize(("text", "seconds"), [("1h2m3.5s", 3723.5), ("2m59.56s", 179.56), ("12", 12), ("1d", 86400)])
def test_durations(text: str, seconds: float) -> None:
    assert seconds_in(text) == pytest.approx(seconds)


@pytest.mark.parametrize("part", ["5ms", "5 ms ", "1", "1.1", "5 s"])
def test_no_value_takes_long_to_read(part: str) -> None:
    """Each part can be read in more than one way; trying them all would take hours."""
    value = part * (99 // len(part)) + "!"
    assert wait({"retry-after": value, "x-ratelimit-reset": value}) is None
    retry_at({}, NOW, "try again in " + part * 600 + "!")


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_header_is_a_reason_to_crash(value: str, said: str) -> None:
    """Whatever a server sends, the due time is none or within a day."""
    for name in ("retry-after", "retry-after-ms", "date", "x-ratelimit-reset-tokens"):
        at = retry_at({name: value, "retry-after": value}, NOW, said)
        assert at is None or NOW <= at <= NOW + CAP
