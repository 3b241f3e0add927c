"""The answer cache in memory: accepted answers by cache key, bounded, with a policy of eviction and an age limit."""

from collections.abc import Callable
from typing import Final, Protocol

import cachebox
import msgspec

from tamiz.clock import Clock
from tamiz.errors import UsageError
from tamiz.messages import Scored

__all__ = ["POLICIES", "BoundedCache", "Cache", "CacheStats", "make_cache"]

_LONGEST_KEPT: Final = 65_536
"""Characters of the longest answer worth memory; longer ones are found in the store."""


class CacheStats(msgspec.Struct, frozen=True):
    """What the cache did since it was made."""

    policy: str
    size: int
    limit: int
    hits: int
    misses: int
    expired: int
    """Misses that were there but too old."""


class Cache(Protocol):
    """Accepted answers by cache key."""

    def get(self, key: str) -> Scored | None:
        """Give the answer, or `None` where there is none or it is too old."""
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


POLICIES: Final[dict[str, Callable[[int], "cachebox.BaseCacheImpl[str, tuple[Scored, float]]"]]] = {
    "lru": cachebox.LRUCache,
    "fifo": cachebox.FIFOCache,
    "lfu": cachebox.LFUCache,
}


class BoundedCache:
    """A cachebox cache whose entries also age: one older than `ttl` seconds is a miss and leaves."""

    def __init__(self, policy: str, size: int, ttl: float | None, clock: Clock) -> None:
        self._policy = policy
        self._size = size
        self._ttl = ttl
        self._clock = clock
        self._entries = POLICIES[policy](size)
        self._hits = self._misses = self._expired = 0

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

    def put(self, key: str, answer: Scored) -> None:
        """Keep an accepted answer; what the policy evicts for it is gone."""
        if len(answer.llm_answer) <= _LONGEST_KEPT:
            self._entries.insert(key, (answer, self._clock.monotonic()))

    def discard(self, key: str) -> None:
        """Forget the answer, where there is one."""
        self._entries.pop(key, None)

    def stats(self) -> CacheStats:
        """Give the counters."""
        return CacheStats(self._policy, len(self._entries), self._size, self._hits, self._misses, self._expired)


class NoCache:
    """Keeps nothing: every question goes to the store."""

    def get(self, key: str) -> Scored | None:  # noqa: ARG002 - the protocol's
        """Give `None`."""
        return None

    def put(self, key: str, answer: Scored) -> None:
        """Keep nothing."""

    def discard(self, key: str) -> None:
        """Forget nothing."""

    def stats(self) -> CacheStats:
        """Give zeros."""
        return CacheStats("none", 0, 0, 0, 0, 0)


def make_cache(policy: str, size: int, ttl: float | None, clock: Clock) -> Cache:
    """Make a cache of at most `size` answers, each at most `ttl` seconds old (`None`: of any age); size 0 is no cache.

    Raises `UsageError` for a policy that is not one of `POLICIES`.
    """
    if policy not in POLICIES:
        raise UsageError(f"no cache policy {policy!r}: choose one of {', '.join(POLICIES)}")
    return BoundedCache(policy, size, ttl, clock) if size else NoCache()
