"""Sessions of the page."""

from manual_clock import ManualClock
from tamiz.http.keys import Caller
from tamiz.http.sessions import LASTS, Sessions

ANN, BEN = Caller("ann", operator=False), Caller("ben", operator=False)


def sessions() -> tuple[Sessions, ManualClock]:
    clock = ManualClock()
    return Sessions({"good": ANN, "ben's": BEN}.get, clock), clock


def token_of(made: Sessions, key: str = "good") -> str:
    begun = made.begin(key)
    assert begun is not None
    return begun[0]


def test_a_key_that_is_known_begins_a_session() -> None:
    made, _ = sessions()
    token = token_of(made)
    assert made(token) == ANN
    assert made(token + "x") is None
    assert made.begin("bad") is None
    assert token not in repr(vars(made))


async def test_it_ends_with_time_or_by_signing_out() -> None:
    made, clock = sessions()
    token, other = token_of(made), token_of(made)
    made.end(other)
    assert made(other) is None
    await clock.advance(LASTS - 1)
    assert made(token) == ANN
    await clock.advance(2)
    assert made(token) is None


def test_so_many_of_a_tenant_are_kept_and_no_more() -> None:
    """The tenant's own that began first gives way, and nobody else's."""
    made, _ = sessions()
    other, first, second = token_of(made, "ben's"), token_of(made), token_of(made)
    last = [token_of(made) for _ in range(99)][-1]
    assert (made(other), made(first), made(second), made(last)) == (BEN, None, ANN, ANN)
