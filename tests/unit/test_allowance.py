import math

from hypothesis import given
from hypothesis import strategies as st

from tamiz.models.allowance import Allowance
from tamiz.models.base import RateLimit

NOW = 1_800_000_000.0


def requests(remaining: float, resets_in: float = 10.0) -> RateLimit:
    return RateLimit("requests", remaining, NOW + resets_in)


def test_nothing_said_is_nothing_limited() -> None:
    allowance = Allowance()
    allowance.told((), 0, 5, 100, NOW)
    allowance.spend()
    assert allowance.room(NOW) == math.inf
    assert allowance.resets_at(NOW) == 0


@given(st.integers(0, 50), st.integers(0, 50))
def test_what_is_left_is_shared_with_the_calls_in_flight(remaining: int, in_flight: int) -> None:
    """None of them is taken to be counted yet, so the limit is never run into."""
    allowance = Allowance()
    allowance.told((requests(remaining),), 0, in_flight, 0, NOW)
    started = 0
    while allowance.room(NOW) >= 1:
        allowance.spend()
        started += 1
    assert started == max(remaining - in_flight, 0)
    assert allowance.resets_at(NOW) == NOW + 10
    assert allowance.room(NOW + 10) == math.inf, "after the reset nothing is known"


def test_tokens_are_reckoned_in_calls_of_late() -> None:
    allowance = Allowance()
    allowance.told((RateLimit("tokens", 1000, NOW + 5),), 0, 2, 200, NOW)
    assert allowance.room(NOW) == 1000 / 200 - 2


def test_the_limit_that_is_nearest_counts() -> None:
    allowance = Allowance()
    limits = (requests(100), RateLimit("input-tokens", 100, NOW + 60), RateLimit("output-tokens", 0, NOW + 30))
    allowance.told(limits, 0, 0, 50, NOW)
    assert allowance.room(NOW) == 0
    assert allowance.resets_at(NOW) == NOW + 30


def test_an_older_answer_knows_less() -> None:
    allowance = Allowance()
    allowance.told((requests(3),), 7, 0, 0, NOW)
    allowance.told((requests(9),), 6, 0, 0, NOW)
    assert allowance.room(NOW) == 3


def test_a_statement_is_not_believed_for_ever() -> None:
    allowance = Allowance()
    allowance.told((requests(0, resets_in=86_400),), 0, 0, 0, NOW)
    assert allowance.resets_at(NOW) == NOW + 300
    assert allowance.room(NOW + 299) == 0
    assert allowance.room(NOW + 300) == math.inf
    assert allowance.resets_at(NOW + 300) == 0
