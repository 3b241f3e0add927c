"""The answer cache in memory: accepted answers by cache key, bounded, with a policy of eviction and an age limit."""

from collections import deque
from collections.abc import Callable
from typing import Final, Literal, Protocol

import cachebox
import msgspec

from tamiz.clock import Clock
from tamiz.errors import UsageError
from tamiz.messages import Scored

__all__ = ["LONGEST_KEPT", "POLICIES", "BoundedCache", "Cache", "CacheStats", "PolicyName", "make_cache"]

LONGEST_KEPT: Final = 65_536
"""Characters of the longest answer worth memory; longer ones are found in the store."""

_MOVED: Final = 50_000
"""Answers that a change of the policy keeps at most; moving them holds up everything else for some 50 ms."""


class CacheStats(msgspec.Struct, frozen=True):
    """What the cache did since it was made."""

    policy: str
    size: int
    limit: int
    hits: int
    misses: int
    expired: int
    """Misses that were there but too old."""
    ttl: float | None = None
    """Seconds that an answer is good for; `None`: for ever."""


class Cache(Protocol):
    """Accepted answers by cache key."""

    def get(self, key: str) -> Scored | None:
        """Give the answer, or `None` where there is none or it is too old."""
        ...

    def peek(self, key: str) -> Scored | None:
        """Give the answer, as `get` does, without counting it or using it: it is evicted as if nobody had looked."""
        ...

    def put(self, key: str, answer: Scored) -> None:
        """Keep an accepted answer; what the policy evicts for it is gone."""
        ...

    def discard(self, key: str) -> None:
        """Forget the answer, where there is one."""
        ...

    def stats(self) -> CacheStats:
        """Give the counters."""
        ...


PolicyName = Literal["lru", "fifo", "lfu"]
"""The names of `POLICIES`."""
POLICIES: Final[dict[str, Callable[[int], "cachebox.BaseCacheImpl[str, tuple[Scored, float]]"]]] = {
    "lru": cachebox.LRUCache,
    "fifo": cachebox.FIFOCache,
    "lfu": cachebox.LFUCache,
}


_BY_USE: Final = (cachebox.LRUCache, cachebox.LFUCache)
"""Those whose order depends on what was looked at; in the others `get` changes nothing."""


class BoundedCache:
    """A cachebox cache whose entries also age: one older than `ttl` seconds is a miss and leaves.

    Of size 0 it keeps nothing.
    """

    def __init__(self, policy: str, size: int, ttl: float | None, clock: Clock) -> None:
        self._policy = policy
        self._size = size
        self._ttl = ttl
        self._clock = clock
        self._entries = POLICIES[policy](max(size, 1))
        self._hits = self._misses = self._expired = 0

    def switch(self, policy: str, size: int, ttl: float | None) -> None:
        """Go on with another policy, size and age limit.

        Answers that fit stay, those that would have been evicted last, and are as old as they were; how often each was
        used is forgotten. The counters go on. Raises `UsageError` for a policy that is not one of `POLICIES`.
        """
        _check(policy)
        kept = deque(self._entries.items(), maxlen=min(size, _MOVED))  # the next to be evicted comes first
        self._entries = POLICIES[policy](max(size, 1))
        for key, entry in kept:
            self._entries.insert(key, entry)
        self._policy, self._size, self._ttl = policy, size, ttl

    def get(self, key: str) -> Scored | None:
        """Give the answer, or `None` where there is none or it is too old."""
        entry = self._entries.get(key)
        if entry is not None:
            answer, kept = entry
            if self._ttl is None or self._clock.monotonic() - kept < self._ttl:
                self._hits += 1
                return answer
            self.discard(key)
            self._expired += 1
        self._misses += 1
        return None

    def peek(self, key: str) -> Scored | None:
        """Give the answer, as `get` does, without counting it or using it: it is evicted as if nobody had looked."""
        entries = self._entries
        entry: tuple[Scored, float] | None = entries.peek(key) if isinstance(entries, _BY_USE) else entries.get(key)
        if entry is None or (self._ttl is not None and self._clock.monotonic() - entry[1] >= self._ttl):
            return None
        return entry[0]

    def put(self, key: str, answer: Scored) -> None:
        """Keep an accepted answer; what the policy evicts for it is gone."""
        if len(answer.llm_answer) <= LONGEST_KEPT and self._size:
            self._entries.insert(key, (answer, self._clock.monotonic()))

    def discard(self, key: str) -> None:
        """Forget the answer, where there is one."""
        self._entries.pop(key, None)

    def clear(self) -> int:
        """Forget all answers; give how many there were."""
        count = len(self._entries)
        self._entries.clear()
        return count

    def stats(self) -> CacheStats:
        """Give the counters."""
        return CacheStats(
            self._policy, len(self._entries), self._size, self._hits, self._misses, self._expired, self._ttl
        )


def make_cache(policy: str, size: int, ttl: float | None, clock: Clock) -> BoundedCache:
    """Make a cache of at most `size` answers, each at most `ttl` seconds old (`None`: of any age); size 0 is no cache.

    Raises `UsageError` for a policy that is not one of `POLICIES`.
    """
    _check(policy)
    return BoundedCache(policy, size, ttl, clock)


def _check(policy: str) -> None:
    if policy not in POLICIES:
        raise UsageError(f"no cache policy {policy!r}: choose one of {', '.join(POLICIES)}")
