"""The account of calls and tokens: never more than the budget, whatever dies when."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.hosts.prices import cost_of
from tamiz.hosts.results import Totals
from tamiz.hosts.spending import Budget, Spending, Usage
from tamiz.settings import Price
from tamiz.statefile import StateFile


@given(st.integers(0, 30), st.integers(0, 300), st.integers(0, 1000), st.lists(st.booleans(), max_size=40))
def test_no_budget_is_exceeded_over_any_number_of_lives(calls: int, tokens: int, seed: int, deaths: list[bool]) -> None:
    """Each call uses at most what was reserved; what a process that died had in flight counts as spent."""
    rng = random.Random(seed)
    made, used = 0, 0
    with StateFile(":memory:") as state:
        spending = Spending(state, Budget(calls=calls, tokens=tokens))
        in_flight: list[int] = []
        for dies in [*deaths, *[False] * 100]:
            most = rng.randint(1, 20)
            if spending.reserve(most):
                spending.save()
                made += 1
                in_flight.append(most)
            elif in_flight:
                spent = rng.randint(0, in_flight[-1])
                used += spent
                spending.settle("m", in_flight.pop(), spent, 0)
                spending.save()
            if dies:
                used += sum(rng.randint(0, most) for most in in_flight)
                in_flight.clear()
                spending = Spending(state, Budget(calls=calls, tokens=tokens))
    assert made <= calls
    assert used <= tokens


def test_what_is_settled_gives_the_rest_back() -> None:
    with StateFile(":memory:") as state:
        spending = Spending(state, Budget(tokens=100))
        assert spending.reserve(60)
        assert not spending.reserve(60)
        assert not spending.spent(60), "the one in flight may give something back"
        spending.settle("m", 60, 10, 20)
        assert spending.reserve(60)
        spending.settle("m", 60, None, None)
        assert spending.spent(11), "nobody knows what it used, so it used all that it might"
        assert not spending.spent(10)


def test_a_call_of_which_nothing_is_known_is_made_alone() -> None:
    with StateFile(":memory:") as state:
        spending = Spending(state, Budget(tokens=100))
        assert spending.reserve(None)
        assert not spending.reserve(1)
        spending.settle("m", None, 40, 40)
        assert spending.reserve(20)
        assert not spending.reserve(None)


def test_a_reservation_that_was_not_used_counts_for_nothing() -> None:
    with StateFile(":memory:") as state:
        spending = Spending(state, Budget(calls=1, tokens=10))
        assert spending.reserve(10)
        spending.release(10)
        assert spending.reserve(10)


def test_usage_is_kept_by_model() -> None:
    with StateFile(":memory:") as state:
        spending = Spending(state, Budget())
        for model in ("a", "b", "a"):
            assert spending.reserve(0)
            spending.settle(model, 0, 3, 4)
        spending.save()
        assert Spending(state, Budget()).usage == {"a": Usage(2, 6, 8), "b": Usage(1, 3, 4)}


def test_cost_goes_by_the_model_that_was_asked() -> None:
    usage = {
        "openai:gpt-4o-mini": Usage(10, 1_000_000, 500_000),
        "openai+http://h/v1#big": Usage(1, 0, 100_000),
        "ollama:llama3.2": Usage(5, 1000, 1000),
    }
    prices = {"gpt-4o-mini": Price(input=0.15, output=0.6), "openai+http://h/v1#big": Price(output=10)}
    totals = Totals(sources={"model": 10, "cache": 4, "coalesced": 1})
    cost = cost_of(usage, prices, totals)
    assert cost is not None
    assert cost.spent == pytest.approx(0.15 + 0.3 + 1.0)
    assert cost.saved == pytest.approx(cost.spent / 10 * 5)
    assert cost.unpriced == ("ollama:llama3.2",)
    assert cost_of(usage, {}, totals) is None
