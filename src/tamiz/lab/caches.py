"""The cache simulator: hits and misses of a policy over a sequence of requests, without any answers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, cast

import msgspec

from tamiz.cache import POLICIES as SERVED
from tamiz.errors import UsageError
from tamiz.lab.belady import belady_hits
from tamiz.lab.s3fifo import S3Fifo
from tamiz.lab.sieve import Sieve
from tamiz.lab.tinylfu import WTinyLfu

__all__ = ["BELADY", "POLICIES", "Simulated", "make_policy", "simulate"]

BELADY: Final = "belady"


class PolicyCache(Protocol):
    """Keys and when they came in, kept by some policy."""

    def __len__(self) -> int: ...

    def get(self, key: int, /) -> float | None:
        """Give the value of an entry, which counts as its use, or `None`."""
        ...

    def insert(self, key: int, value: float, /) -> None:
        """Add an entry that is not there; one or more others go where there is no room."""
        ...

    def pop(self, key: int, /) -> object:
        """Remove an entry that is there."""
        ...


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """What a cache did."""

    policy: str
    size: int
    ttl: float | None
    requests: int
    hits: int
    expired: int
    """Misses that were there but too old."""

    @property
    def hit_ratio(self) -> float:
        """Hits by requests; 0 without any."""
        return self.hits / self.requests if self.requests else 0.0


_OWN: Final[dict[str, Callable[[int], PolicyCache]]] = {"sieve": Sieve, "s3fifo": S3Fifo, "wtinylfu": WTinyLfu}
POLICIES: Final = (*SERVED, *_OWN, BELADY)
"""Those that tamiz serves with, in the library that it serves with; others; and the bound."""


def make_policy(policy: str, size: int) -> PolicyCache:
    """Make a cache of at most `size` entries. Raises `UsageError` for a policy that is not there or keeps no keys."""
    if policy in _OWN:
        return _OWN[policy](size)
    if policy in SERVED:
        return cast("PolicyCache", cast("Any", SERVED[policy])(size))
    raise UsageError(f"no cache policy {policy!r}: choose one of {', '.join(POLICIES)}")


def simulate(
    policy: str, size: int, requests: Sequence[int], *, ttl: float | None = None, times: Iterable[float] | None = None
) -> Simulated:
    """Ask for each key, and put it in where it was not there, as `tamiz.cache` does with answers.

    An entry is a miss once it is `ttl` old or older, by the `times` of the requests (ascending, in the same unit).
    Raises `UsageError` for an unknown policy, a size below 1, a TTL without times, or a TTL for the bound.
    """
    if size < 1:
        raise UsageError(f"a cache of {size} entries keeps none: give a size of 1 or more")
    if policy == BELADY:
        if ttl is not None:
            raise UsageError("Belady's bound knows no TTL: leave one of them out")
        return _simulated(policy, size, None, len(requests), belady_hits(requests, size), 0)
    cache = make_policy(policy, size)
    if ttl is None:
        return _simulated(policy, size, None, len(requests), _hits(cache, requests), 0)
    if times is None:
        raise UsageError("a TTL needs the times of the requests")
    hits, expired = _hits_within(cache, zip(requests, times, strict=True), ttl)
    return _simulated(policy, size, ttl, len(requests), hits, expired)


def _hits(cache: PolicyCache, requests: Sequence[int]) -> int:
    get, insert = cache.get, cache.insert
    misses = 0
    for key in requests:
        if get(key) is None:
            insert(key, 0.0)
            misses += 1
    return len(requests) - misses


def _hits_within(cache: PolicyCache, requests: Iterable[tuple[int, float]], ttl: float) -> tuple[int, int]:
    get, insert, pop = cache.get, cache.insert, cache.pop
    hits = expired = 0
    for key, now in requests:
        since = get(key)
        if since is not None:
            if now - since < ttl:
                hits += 1
                continue
            pop(key)
            expired += 1
        insert(key, now)
    return hits, expired


def _simulated(  # noqa: PLR0917 - the order of the fields
    policy: str, size: int, ttl: float | None, requests: int, hits: int, expired: int
) -> Simulated:
    return Simulated(policy=policy, size=size, ttl=ttl, requests=requests, hits=hits, expired=expired)
