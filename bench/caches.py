"""How many requests a second the cache simulator takes on one core, by policy."""

from itertools import islice
from statistics import median
from time import process_time

from tamiz.lab.caches import POLICIES, simulate
from tamiz.traffic.popularity import make_popularity

REQUESTS = 1_000_000
ROUNDS = 3
REQUIRED = {"lru": 1_000_000.0}


def rate(policy: str, size: int, requests: list[int]) -> float:
    """Measure requests a second, by processor time."""
    began = process_time()
    assert simulate(policy, size, requests).hits
    return len(requests) / (process_time() - began)


def measure() -> list[tuple[str, float, float | None]]:
    """Give rows: what, requests a second (a median), what is required; 1,000 places for Zipf's law over 100,000."""
    requests = list(islice(make_popularity("zipf", 100_000, 0.9, 1), REQUESTS))
    return [
        (policy, median(rate(policy, 1_000, requests) for _ in range(ROUNDS)), REQUIRED.get(policy))
        for policy in POLICIES
    ]


if __name__ == "__main__":
    for what, found, required in measure():
        print(f"cache simulator: {what} {found:,.0f} requests/s" + (f", required {required:,.0f}" if required else ""))
