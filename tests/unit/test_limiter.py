"""The limiter against simulated servers, event by event in simulated time."""

import heapq
import math
import random
from statistics import fmean
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tamiz.models.limiter import Limiter, Place

SERVICE = 50.0  # milliseconds
REFUSAL = 1.0
COUNT = 2000


class Found(NamedTuple):
    """What a client with a limiter got out of a server."""

    refused: int
    """Calls refused for want of capacity after the first hundred."""
    used: float
    """The share of what the server could have served in that time."""
    limit: int
    """At the end."""
    usual: float
    """The limit when calls arrived, on the average."""


class Server:
    """Serves `capacity` calls at once, keeps `queue` more waiting and refuses the rest."""

    def __init__(self, capacity: int, queue: int, rng: random.Random) -> None:
        self.capacity = capacity
        self.queue = queue
        self._rng = rng
        self._ends: list[float] = []  # when each call that it holds ends, those in the queue included

    def take(self, now: float) -> float | None:
        """Give when the call will have been served, `None` where it is refused."""
        self._ends = sorted(end for end in self._ends if end > now)
        if len(self._ends) >= self.capacity + self.queue:
            return None
        begins = now if len(self._ends) < self.capacity else self._ends[-self.capacity]
        end = begins + SERVICE * self._rng.uniform(0.8, 1.2)
        self._ends.append(end)
        return end


def drive(
    capacity: int,
    queue: int,
    *,
    ceiling: int = 64,
    noise: float = 0.0,
    later: int | None = None,
    turn: float = 0.0,
    seed: int = 1,
) -> Found:
    """Send `COUNT` calls as fast as the limiter lets; half-way the server's capacity becomes `later`.

    The client looks at what has arrived every `turn` milliseconds, one answer after another.
    """
    rng = random.Random(seed)
    server, limiter = Server(capacity, queue, rng), Limiter(ceiling, 16)
    events: list[tuple[float, int, Place, str]] = []
    now, sent, refused, possible, since, limits = 0.0, 0, 0, 0.0, 0.0, 0
    while sent < COUNT or events:
        while sent < COUNT and limiter.in_flight < limiter.limit:
            if later is not None and sent == COUNT // 2:
                possible, since = possible + (now - since) * min(server.capacity, ceiling), now
                server.capacity = later
            end = None if rng.random() < noise else server.take(now)
            how = "served" if end is not None else "refused"
            arrives = now + REFUSAL if end is None else end
            arrives = math.ceil(arrives / turn) * turn if turn else arrives
            heapq.heappush(events, (arrives, sent, limiter.start(), how))
            sent += 1
        now, number, place, how = heapq.heappop(events)
        if how == "served":
            limiter.accepted(place)
        else:
            limiter.refused(place)
            refused += number >= 100
        assert 1 <= limiter.limit <= ceiling
        limits += limiter.limit
    possible = (possible + (now - since) * min(server.capacity, ceiling)) / SERVICE
    return Found(refused, (COUNT - refused) / possible, limiter.limit, limits / COUNT)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 64), st.integers(0, 16), st.sampled_from([0.0, 0.5, 2.0]), st.integers(0, 1000))
def test_a_full_server_is_used_and_not_pestered(capacity: int, queue: int, turn: float, seed: int) -> None:
    """Of what it can serve nine tenths or more are used, and after a hundred calls under 2 % are refused."""
    found = drive(capacity, queue, turn=turn, seed=seed)
    assert found.refused < 0.02 * COUNT
    assert found.used >= 0.9


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 64), st.floats(0, 0.2), st.integers(0, 1000))
def test_refusals_that_have_nothing_to_do_with_load_do_not_slow_down(ceiling: int, noise: float, seed: int) -> None:
    """A server that refuses by chance, however few calls there are, still gets as many as the user allows.

    On the average of four runs: one in thousands takes chance for load, for a while.
    """
    found = [drive(1000, 0, ceiling=ceiling, noise=noise, seed=seed + run) for run in range(4)]
    assert fmean(each.usual for each in found) >= 0.8 * ceiling
    assert fmean(each.used for each in found) >= 0.85 * (1 - noise)


@settings(max_examples=30, deadline=None)
@given(st.integers(8, 32), st.integers(8, 32), st.integers(0, 1000))
def test_a_capacity_that_changes_is_followed(before: int, after: int, seed: int) -> None:
    """Fewer places are noticed at once; more of them are found by trying, which takes longer."""
    found = drive(before, 0, later=after, seed=seed)
    assert found.limit <= after + 1
    assert found.refused < 0.05 * COUNT
    assert found.used >= (0.9 if after <= before else 0.7 * before / after)


def test_the_limit_is_not_raised_by_calls_that_do_not_need_it() -> None:
    """Where one call at a time is wanted, nothing is learnt about many."""
    limiter = Limiter(64, 16)
    for _ in range(1000):
        limiter.accepted(limiter.start())
    assert limiter.limit == 16


def test_calls_that_time_out_together_cost_one_step() -> None:
    limiter = Limiter(64, 64)
    for place in [limiter.start() for _ in range(64)]:
        limiter.timed_out(place)
    assert limiter.limit == 48
    for _ in range(20):
        limiter.timed_out(limiter.start())
    assert limiter.limit == 1


def test_nothing_but_refusals_leaves_one_call() -> None:
    limiter = Limiter(64, 16)
    for _ in range(200):
        limiter.refused(limiter.start())
    assert limiter.limit == 1
    assert limiter.in_flight == 0


def test_a_server_that_takes_nothing_more_is_known_after_a_few_calls() -> None:
    """Also while it works on many that it took before: whatever was sent since the first refusal was refused."""
    limiter = Limiter(64, 64)
    held = [limiter.start() for _ in range(32)]
    limiter.refused(limiter.start())
    for _ in range(4):
        limiter.accepted(held.pop())
        limiter.refused(limiter.start())
        assert not limiter.takes_nothing
    limiter.refused(limiter.start())
    assert limiter.takes_nothing
    limiter.start()
    assert not limiter.takes_nothing, "this one it holds, as far as anybody knows"


def test_a_server_that_takes_most_is_never_thought_to_take_nothing() -> None:
    rng = random.Random(3)
    limiter = Limiter(64, 64)
    held: list[Place] = []
    for _ in range(5000):
        place = limiter.start()
        if rng.random() < 0.1:
            limiter.refused(place)
            assert not limiter.takes_nothing or len(held) == 0
        else:
            held.append(place)
        if len(held) >= 32:
            limiter.accepted(held.pop(0))
