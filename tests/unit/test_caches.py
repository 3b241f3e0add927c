"""The cache simulator against references written for this, against a published simulator, and against what serves."""

import json
import random
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache_references import REFERENCES, best_possible
from manual_clock import ManualClock
from tamiz.cache import POLICIES as SERVED
from tamiz.cache import make_cache
from tamiz.errors import UsageError
from tamiz.lab.caches import BELADY, POLICIES, make_policy, simulate
from tamiz.messages import Scored
from tamiz.traffic.popularity import make_popularity

PUBLISHED: Final = json.loads((Path(__file__).parents[1] / "data" / "hit_ratios.json").read_text(encoding="utf-8"))
"""Hits by libCacheSim 0.3.5 (the authors' of SIEVE and S3-FIFO) on sequences that `make_popularity` gives."""

ANSWER: Final = Scored(llm_answer="a", score=1.0, attempt=1, model="m")

requests_ = st.lists(st.integers(0, 30), max_size=300)


@pytest.mark.parametrize("policy", REFERENCES)
@given(requests=requests_, size=st.integers(1, 25))
@settings(max_examples=200)
def test_a_policy_is_what_its_paper_tells(policy: str, requests: list[int], size: int) -> None:
    """Hit by hit the same as the plain reference, whatever the requests."""
    assert simulate(policy, size, requests).hits == REFERENCES[policy](requests, size)


@pytest.mark.parametrize("policy", REFERENCES)
@pytest.mark.parametrize("size", [10, 100, 300])
def test_a_policy_is_what_its_paper_tells_at_length(policy: str, size: int) -> None:
    requests = list(islice(make_popularity("shift:every=2000,by=0.3", 1000, 0.9, size), 10_000))
    assert simulate(policy, size, requests).hits == REFERENCES[policy](requests, size)


@given(requests=st.lists(st.integers(0, 6), max_size=14), size=st.integers(1, 4))
def test_the_bound_is_the_best_possible(requests: list[int], size: int) -> None:
    assert simulate(BELADY, size, requests).hits == best_possible(requests, size)


@given(requests=requests_, size=st.integers(1, 25))
def test_no_policy_is_better_than_the_bound(requests: list[int], size: int) -> None:
    bound = simulate(BELADY, size, requests).hits
    assert all(simulate(policy, size, requests).hits <= bound for policy in POLICIES)


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: f"{case['popularity']}-{case['alpha']}-{case['size']}")
def test_hit_ratios_are_those_of_a_published_simulator(case: dict[str, object]) -> None:
    """Within 0.2 points, for each policy that it has in the same form."""
    ranks = make_popularity(str(case["popularity"]), 10_000, float(str(case["alpha"])), 3)
    requests = list(islice(ranks, int(str(case["requests"]))))
    published = case["hits"]
    assert isinstance(published, dict)
    assert set(published) == {"lru", "fifo", "lfu", "sieve", "s3fifo"}
    for policy, hits in published.items():
        found = simulate(policy, int(str(case["size"])), requests)
        assert abs(found.hit_ratio - hits / len(requests)) <= 0.002, policy


@pytest.mark.parametrize("policy", SERVED)
@given(
    gaps=st.lists(st.tuples(st.integers(0, 20), st.floats(0, 5)), max_size=200),
    size=st.integers(1, 10),
    ttl=st.one_of(st.none(), st.floats(0, 20)),
)
def test_what_is_simulated_is_what_is_served(
    policy: str, gaps: list[tuple[int, float]], size: int, ttl: float | None
) -> None:
    """The same hits and the same expired answers as the cache that the flow has, asked at the same times."""
    clock = ManualClock()
    served = make_cache(policy, size, ttl, clock)
    times = []
    for key, gap in gaps:
        clock.move(gap)
        times.append(clock.monotonic())
        if served.get(str(key)) is None:
            served.put(str(key), ANSWER)
    found = simulate(policy, size, [key for key, _ in gaps], ttl=ttl, times=times)
    stats = served.stats()
    assert (found.hits, found.requests - found.hits, found.expired) == (stats.hits, stats.misses, stats.expired)


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != BELADY])
@given(steps=st.lists(st.tuples(st.integers(0, 15), st.booleans()), max_size=200), size=st.integers(1, 12))
def test_a_cache_keeps_what_it_says_and_no_more(policy: str, steps: list[tuple[int, bool]], size: int) -> None:
    """Entries come back with their value, removed ones do not, and there are never more than its size."""
    cache, values = make_policy(policy, size), dict[int, float]()
    for n, (key, remove) in enumerate(steps):
        value = cache.get(key)
        if value is None:
            values[key] = float(n)
            cache.insert(key, float(n))
        else:
            assert value == values[key]
            if remove:
                cache.pop(key)
                assert cache.get(key) is None
        assert len(cache) <= size


def test_larger_caches_hit_more() -> None:
    rng = random.Random(1)
    requests = [min(int(rng.paretovariate(0.8)), 5000) for _ in range(30_000)]
    for policy in POLICIES:
        ratios = [simulate(policy, size, requests).hit_ratio for size in (10, 100, 1000)]
        assert all(after > before for before, after in pairwise(ratios)), policy


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("arc", 1, [1]), "no cache policy 'arc': choose one of lru, fifo, lfu, sieve"),
        (("lru", 0, [1]), "size of 1 or more"),
    ],
)
def test_what_is_no_cache_is_refused(arguments: tuple[str, int, list[int]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        simulate(*arguments)


def test_a_ttl_needs_times_and_a_policy() -> None:
    with pytest.raises(UsageError, match="needs the times"):
        simulate("lru", 1, [1], ttl=1.0)
    with pytest.raises(UsageError, match="knows no TTL"):
        simulate(BELADY, 1, [1], ttl=1.0, times=[0.0])
