from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manual_clock import ManualClock
from strategies import scored
from tamiz.cache import POLICIES, BoundedCache, CacheStats, make_cache
from tamiz.errors import UsageError

KEYS = st.sampled_from("abcdef")
STEPS = st.lists(st.tuples(st.sampled_from(["get", "get", "put", "put", "discard"]), KEYS), max_size=60)
SIZES = st.integers(1, 4)


class _Reference:
    """What a cache holds: values by key. `order` is the order in which the policy evicts, as far as it says."""

    def __init__(self, policy: str, size: int) -> None:
        self.policy = policy
        self.size = size
        self.values: OrderedDict[str, str] = OrderedDict()
        self.uses: dict[str, int] = {}

    def get(self, key: str) -> str | None:
        if key in self.values:
            self.uses[key] += 1
            if self.policy == "lru":
                self.values.move_to_end(key)
        return self.values.get(key)

    def victims(self, key: str) -> set[str]:
        """Give the keys of which one has to go to make room."""
        if key in self.values or len(self.values) < self.size:
            return set()
        if self.policy == "lfu":
            least = min(self.uses.values())
            return {other for other, uses in self.uses.items() if uses == least}
        return {next(iter(self.values))}

    def put(self, key: str, value: str, gone: set[str]) -> None:
        for other in gone:
            self.discard(other)
        # an answer that takes another's place is as old as that one (FIFO), used just now (LRU), used once (LFU)
        self.uses[key] = int(key in self.values)
        self.values[key] = value
        if self.policy == "lru":
            self.values.move_to_end(key)

    def discard(self, key: str) -> None:
        self.values.pop(key, None)
        self.uses.pop(key, None)


def held(cache: BoundedCache) -> set[str]:
    return set(cache._entries.keys())


@pytest.mark.parametrize("policy", ["lru", "fifo", "lfu"])
@given(STEPS, SIZES)
def test_each_policy_is_what_its_name_says(policy: str, steps: list[tuple[str, str]], size: int) -> None:
    """Any sequence of steps gives what the textbook policy gives; LFU may choose among those used equally rarely."""
    cache = BoundedCache(policy, size, None, ManualClock())
    reference = _Reference(policy, size)
    gets = hits = 0
    for number, (step, key) in enumerate(steps):
        if step == "get":
            found, expected = cache.get(key), reference.get(key)
            assert (found and found.llm_answer) == expected
            gets, hits = gets + 1, hits + (expected is not None)
        elif step == "discard":
            cache.discard(key)
            reference.discard(key)
        else:
            before, victims = held(cache), reference.victims(key)
            cache.put(key, scored(text=f"answer {number}"))
            gone = before - held(cache)
            assert gone <= victims
            assert len(gone) == bool(victims)
            reference.put(key, f"answer {number}", gone)
        assert held(cache) == set(reference.values)
        assert cache.stats() == CacheStats(policy, len(reference.values), size, hits, gets - hits, 0)


AGING = st.lists(
    st.tuples(st.sampled_from(["get", "put", "wait"]), KEYS, st.sampled_from([0.5, 1.0, 9.5, 10.0])), max_size=60
)


@given(st.sampled_from(sorted(POLICIES)), AGING)
def test_answers_age(policy: str, steps: list[tuple[str, str, float]]) -> None:
    """One that is 10 s old is a miss and leaves; being used does not make it younger, being put anew does.

    The counters add up: every look-up is a hit or a miss, and an expired one is a miss.
    """
    clock = ManualClock()
    cache = make_cache(policy, 100, 10.0, clock)
    kept: dict[str, float] = {}
    gets = hits = expired = 0
    for step, key, seconds in steps:
        if step == "wait":
            clock.move(seconds)
        elif step == "put":
            cache.put(key, scored())
            kept[key] = clock.monotonic()
        else:
            gets += 1
            fresh = key in kept and clock.monotonic() - kept[key] < 10.0
            assert (cache.get(key) is not None) is fresh
            hits += fresh
            if not fresh:
                expired += kept.pop(key, None) is not None
        stats = cache.stats()
        assert (stats.size, stats.hits, stats.misses, stats.expired) == (len(kept), hits, gets - hits, expired)
        assert stats.expired <= stats.misses


def test_without_a_ttl_an_answer_is_good_for_ever() -> None:
    clock = ManualClock()
    cache = make_cache("lru", 1, None, clock)
    cache.put("a", scored())
    clock.move(1e12)
    assert cache.get("a") == scored()


def test_a_ttl_of_nothing_keeps_nothing() -> None:
    cache = make_cache("lru", 1, 0.0, ManualClock())
    cache.put("a", scored())
    assert cache.get("a") is None


def test_an_oversized_answer_is_not_kept() -> None:
    """Memory is bounded: the longest answer worth keeping has 65,536 characters, longer ones are in the store."""
    cache = make_cache("lru", 10, None, ManualClock())
    cache.put("longest", scored(text="x" * 65_536))
    cache.put("longer", scored(text="x" * 65_537))
    assert cache.get("longest") is not None
    assert cache.get("longer") is None
    assert cache.stats().size == 1


def test_an_oversized_answer_evicts_nothing() -> None:
    cache = make_cache("fifo", 1, None, ManualClock())
    cache.put("a", scored())
    cache.put("b", scored(text="x" * 65_537))
    assert cache.get("a") is not None


@pytest.mark.parametrize("policy", POLICIES)
def test_size_zero_is_no_cache(policy: str) -> None:
    cache = make_cache(policy, 0, None, ManualClock())
    cache.put("a", scored())
    assert cache.get("a") is None
    cache.discard("a")
    assert (cache.stats().size, cache.stats().limit, cache.stats().hits) == (0, 0, 0)


def test_an_unknown_policy_is_refused_beside_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no cache policy 'mru': choose one of lru, fifo, lfu"):
        make_cache("mru", 10, None, ManualClock())


@given(
    st.sampled_from(sorted(POLICIES)), st.sampled_from(sorted(POLICIES)), STEPS, st.integers(0, 4), st.integers(0, 6)
)
def test_a_switch_keeps_what_would_have_gone_last(
    before: str, after: str, steps: list[tuple[str, str]], size: int, other: int
) -> None:
    cache = BoundedCache(before, size, None, ManualClock())
    for step, key in steps:
        if step == "get":
            cache.get(key)
        elif step == "put":
            cache.put(key, scored(text=key))
    order = list(cache._entries.keys()) if size else []
    counted = cache.stats()
    cache.switch(after, other, 5.0)
    assert held(cache) == set(order[max(len(order) - other, 0) :])
    assert cache.stats() == CacheStats(after, min(other, len(order)), other, counted.hits, counted.misses, 0, 5.0)
    cache.put("new", scored())
    assert cache.stats().size <= other


def test_what_a_switch_keeps_is_as_old_as_it_was() -> None:
    clock = ManualClock()
    cache = make_cache("lru", 2, 10.0, clock)
    cache.put("a", scored())
    clock.move(6)
    cache.switch("lfu", 2, 8.0)
    clock.move(1)
    assert cache.get("a") is not None
    clock.move(1)
    assert cache.get("a") is None


def test_a_switch_to_an_unknown_policy_changes_nothing() -> None:
    cache = make_cache("lru", 2, None, ManualClock())
    cache.put("a", scored())
    with pytest.raises(UsageError, match="mru"):
        cache.switch("mru", 1, None)
    assert cache.stats().policy == "lru"
    assert cache.get("a") is not None


def test_a_cleared_cache_is_empty() -> None:
    cache = make_cache("lfu", 5, None, ManualClock())
    cache.put("a", scored())
    cache.put("b", scored())
    assert cache.clear() == 2
    assert cache.get("a") is None
    assert cache.clear() == 0


@pytest.mark.parametrize("policy", ["lru", "fifo", "lfu"])
def test_a_peek_leaves_no_trace(policy: str) -> None:
    """What is evicted next, and the counters, are as if nobody had looked; what is too old is not there."""
    clock = ManualClock()
    looked, other = (make_cache(policy, 2, 60.0, clock) for _ in range(2))
    for cache in (looked, other):
        cache.put("a", scored(text="a"))
        cache.put("b", scored(text="b"))
    assert looked.peek("a") == scored(text="a")
    assert looked.peek("none") is None
    for cache in (looked, other):
        cache.put("c", scored(text="c"))
    assert looked.stats() == other.stats()
    assert [looked.peek(key) for key in "abc"] == [other.peek(key) for key in "abc"]
    clock.move(60)
    assert [looked.peek(key) for key in "abc"] == [None] * 3
