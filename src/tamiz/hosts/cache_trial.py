"""What another cache would have done for the last answers."""

from collections.abc import Iterable

import msgspec

from tamiz.cache import make_cache
from tamiz.clock import SystemClock
from tamiz.messages import Scored

__all__ = ["CacheTrial", "cache_trial"]

_ANSWER = Scored(llm_answer="", score=None, attempt=1, model="")


class CacheTrial(msgspec.Struct, frozen=True):
    """How many of the last accepted answers a cache would have had."""

    answers: int
    hits: int


class _Then(SystemClock):
    """The time that it was."""

    now = 0.0

    def monotonic(self) -> float:
        """Give it."""
        return self.now


def cache_trial(answers: Iterable[tuple[float, str]], policy: str, size: int, ttl: float | None) -> CacheTrial:
    """Put answers (when, and to which question) through an empty cache.

    Raises `UsageError` for a policy that does not exist.
    """
    clock = _Then()
    cache = make_cache(policy, size, ttl, clock)
    count = hits = 0
    for at, key in answers:
        clock.now = at
        count += 1
        if cache.get(key) is None:
            cache.put(key, _ANSWER)
        else:
            hits += 1
    return CacheTrial(count, hits)
