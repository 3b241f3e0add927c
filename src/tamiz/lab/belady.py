"""Belady's bound (1966): what a cache could do that knows all requests to come."""

from array import array
from collections.abc import Sequence
from heapq import heappop, heappush

__all__ = ["belady_hits"]


def belady_hits(requests: Sequence[int], size: int) -> int:
    """Give the hits of a cache that evicts what is asked for last, and has room for `size` entries.

    No policy that keeps each answer it missed has more. Needs 8 bytes a request.
    """
    next_use = _next_uses(requests)
    kept: dict[int, int] = {}  # key: when it is asked for next
    latest: list[tuple[int, int]] = []  # (-when, key), with those that are out of date
    hits = 0
    for now, key in enumerate(requests):
        if key in kept:
            hits += 1
        elif len(kept) >= size:
            while True:
                when, victim = heappop(latest)
                if kept.get(victim) == -when:
                    del kept[victim]
                    break
        kept[key] = next_use[now]
        heappush(latest, (-next_use[now], key))
    return hits


def _next_uses(requests: Sequence[int]) -> "array[int]":
    """Give for each request when its key is asked for again; beyond the end, in some order, where it is not."""
    uses = array("q", bytes(8 * len(requests)))
    seen: dict[int, int] = {}
    for now in range(len(requests) - 1, -1, -1):
        key = requests[now]
        uses[now] = seen.get(key, len(requests) + now)  # all different, so that the heap never compares keys
        seen[key] = now
    return uses
