"""A cell on the cache simulator."""

from array import array
from collections.abc import Sequence
from functools import lru_cache
from time import process_time
from typing import Final

from tamiz.errors import UsageError
from tamiz.lab.caches import BELADY, POLICIES, simulate
from tamiz.lab.cells import Cell, Measured
from tamiz.lab.parameters import Run
from tamiz.traffic.plan import Plan

__all__ = ["check_simulator", "makes_sense", "run_simulator"]

_KEPT: Final = 8
"""Sequences of requests that are kept: cells that differ by the cache alone share them. 16 bytes a request."""


def makes_sense(cell: Cell) -> bool:
    """Tell whether a cell's combination has a meaning; Belady's bound has no TTL."""
    return cell.parameters.get("policy") != BELADY or cell.parameters.get("ttl") is None


def check_simulator(run: Run) -> None:
    """Raise `UsageError` for a policy or traffic that is none of the simulator's."""
    policy = run.settings.cache_policy
    if policy not in POLICIES:
        raise UsageError(f"no cache policy {policy!r}: choose one of {', '.join(POLICIES)}")
    if run.plan.total is None:
        raise UsageError("the cache simulator needs total, the number of requests")
    if run.settings.cache_ttl is not None and not run.plan.paced:
        raise UsageError("a TTL needs arrivals with times: poisson, for example, not max")


def run_simulator(run: Run) -> Measured:
    """Ask a cache for what the traffic asks; nothing else of the flow takes part, and time is the traffic's.

    Raises `UsageError` as `check_simulator` does, and for a size that is none.
    """
    check_simulator(run)
    ttl = run.settings.cache_ttl
    requests, times = _requests(run.plan, run.questions)
    began = process_time()
    found = simulate(
        run.settings.cache_policy, run.settings.cache_size, requests, ttl=ttl, times=times if ttl is not None else None
    )
    took = process_time() - began
    return Measured(
        metrics={
            "requests": found.requests,
            "hit_ratio": found.hit_ratio,
            "hits": found.hits,
            "expired": found.expired,
            "distinct": len(set(requests)),
            "simulated_per_s": found.requests / took if took > 0 else None,
        }
    )


@lru_cache(maxsize=_KEPT)
def _requests(plan: Plan, questions: int) -> tuple[Sequence[int], Sequence[float]]:
    """Give the questions that a plan asks for, by their ranks, and when."""
    ranks, times = array("L"), array("d")
    for arrival in plan.schedule(questions):
        ranks.append(arrival.rank)
        times.append(arrival.at or 0.0)
    return ranks, times
