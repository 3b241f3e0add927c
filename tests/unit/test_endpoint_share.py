"""What one process makes of what others know of an endpoint; the store that they share may be a moment behind."""

import msgspec
import pytest

from manual_clock import EPOCH, ManualClock
from tamiz.effects import EndpointState
from tamiz.errors import Failed, FailureKind, Sign
from tamiz.models.base import Prompt, Reply
from tamiz.models.endpoint import Call, Endpoint
from tamiz.models.fleet import Fleet

REFUSED = Failed(FailureKind.OVERLOAD, "connection refused", sign=Sign.UNREACHABLE)
REPLY = Reply(text="x", model="m")
DOWN = EndpointState("m", EPOCH - 1, EPOCH + 5, FailureKind.QUOTA, "spent", 0, "mine")


class _Named:
    account = "mine"

    def __init__(self, name: str = "m") -> None:
        self.name = name

    async def ask(self, prompt: Prompt) -> Reply:
        raise AssertionError(prompt)

    async def close(self) -> None:
        pass


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def endpoint(clock: ManualClock) -> Endpoint:
    return Endpoint(_Named(), clock)


def fails(endpoint: Endpoint, call: Call | None = None) -> EndpointState:
    """Fail a call as where nobody is there; give what becomes known of the endpoint."""
    endpoint.failed(call or endpoint.start(), REFUSED, "q")
    return endpoint.state


def is_up(endpoint: Endpoint) -> bool:
    return not endpoint.blocked


def answers(endpoint: Endpoint) -> None:
    endpoint.answered(endpoint.start(), REPLY)


def test_one_that_is_down_there_is_down_here_until_it_is_up_there(endpoint: Endpoint, clock: ManualClock) -> None:
    """Nobody here tries it before; and it is not only tried then, but up."""
    endpoint.share(DOWN)
    assert not is_up(endpoint)
    assert endpoint.room() == 0
    assert endpoint.opens_at() == DOWN.opens_at
    assert endpoint.shown == DOWN
    clock.move(4.9)
    endpoint.share(DOWN)
    assert not is_up(endpoint)
    endpoint.share(None)
    assert is_up(endpoint)
    assert endpoint.room() > 1
    assert endpoint.state == EndpointState("m", account="mine")


def test_when_its_time_has_come_it_is_tried_here_too(endpoint: Endpoint, clock: ManualClock) -> None:
    """By one call at a time, so that it does not stay down where whoever found it so is gone."""
    endpoint.share(DOWN)
    clock.move(5)
    assert endpoint.room() == 1
    probe = endpoint.start()
    assert endpoint.room() == 0
    endpoint.answered(probe, REPLY)
    assert endpoint.room() > 1


def test_old_news_of_an_outage_that_ended_here_are_ignored(endpoint: Endpoint, clock: ManualClock) -> None:
    """What this process has seen of it itself is newer than what the store says, however often that is read."""
    endpoint.share(DOWN)
    clock.move(5)
    answers(endpoint)
    for _ in range(3):
        endpoint.share(DOWN)
        endpoint.share(msgspec.structs.replace(DOWN, probes=1, opens_at=EPOCH + 60))
        assert is_up(endpoint)
    endpoint.share(None)
    assert is_up(endpoint)


def test_old_news_of_its_own_outage_are_ignored_too(endpoint: Endpoint, clock: ManualClock) -> None:
    own = fails(endpoint)
    endpoint.share(own)
    clock.move(1)
    answers(endpoint)
    endpoint.share(own)
    assert is_up(endpoint)


def test_another_outage_there_is_another_one_here(endpoint: Endpoint, clock: ManualClock) -> None:
    """Whether or not the end of the first was seen in between."""
    endpoint.share(DOWN)
    clock.move(5)
    answers(endpoint)
    again = msgspec.structs.replace(DOWN, since=EPOCH + 4, opens_at=EPOCH + 9)
    endpoint.share(again)
    assert endpoint.opens_at() == EPOCH + 9
    endpoint.share(None)
    assert is_up(endpoint)
    endpoint.share(again)
    assert endpoint.opens_at() == EPOCH + 9, "one that is down again from the same moment on is down"


def test_a_later_probe_there_is_waited_for_here(endpoint: Endpoint) -> None:
    """And an earlier one, which this process knows more than, is not."""
    endpoint.share(DOWN)
    later = msgspec.structs.replace(DOWN, probes=2, opens_at=EPOCH + 8)
    endpoint.share(later)
    assert endpoint.opens_at() == EPOCH + 8
    endpoint.share(DOWN)
    assert endpoint.state == later


def test_its_own_outage_is_not_ended_before_others_know_of_it(endpoint: Endpoint) -> None:
    """Nothing in the store says that its state is on the way there, and not that it is up."""
    own = fails(endpoint)
    endpoint.share(None)
    assert endpoint.state == own
    endpoint.share(own)
    assert endpoint.state == own
    endpoint.share(None)
    assert is_up(endpoint), "now somebody else found it up"


def test_a_probe_that_is_out_when_others_find_it_up_changes_nothing(endpoint: Endpoint, clock: ManualClock) -> None:
    endpoint.share(DOWN)
    clock.move(5)
    probe = endpoint.start()
    endpoint.share(None)
    assert endpoint.room() > 0
    endpoint.answered(probe, REPLY)
    assert is_up(endpoint)


def test_a_probe_that_fails_after_others_found_it_up_tells_more_than_they_knew(
    endpoint: Endpoint, clock: ManualClock
) -> None:
    endpoint.share(DOWN)
    clock.move(5)
    probe = endpoint.start()
    endpoint.share(None)
    own = fails(endpoint, probe)
    assert not is_up(endpoint)
    assert own.since == EPOCH + 5


def test_the_state_of_another_account_says_nothing(endpoint: Endpoint) -> None:
    """Neither that it is down nor, later, that it is up again."""
    another = msgspec.structs.replace(DOWN, account="another", probes=7)
    endpoint.share(another)
    assert is_up(endpoint)
    own = fails(endpoint)
    endpoint.share(another)
    endpoint.share(None)
    assert endpoint.state == own


def test_a_fleet_hands_each_endpoint_its_own(clock: ManualClock) -> None:
    fleet = Fleet([Endpoint(_Named(name), clock) for name in "ab"], [Endpoint(_Named("c"), clock)], clock=clock)
    fleet.share([msgspec.structs.replace(DOWN, name=name) for name in "bcz"])
    assert [endpoint.blocked for endpoint in fleet.endpoints] == [False, True, True]
    fleet.share([msgspec.structs.replace(DOWN, name="c")])
    assert [endpoint.blocked for endpoint in fleet.endpoints] == [False, False, True]
