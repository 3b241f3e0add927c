import pytest

from manual_clock import EPOCH, ManualClock
from tamiz.effects import EndpointState
from tamiz.errors import Failed, FailureKind, GaveUp, Sign
from tamiz.models.base import Prompt, RateLimit, Reply
from tamiz.models.endpoint import Call, Endpoint
from tamiz.models.fleet import Fleet

REFUSED = Failed(FailureKind.OVERLOAD, "connection refused", sign=Sign.UNREACHABLE)
BUSY = Failed(FailureKind.OVERLOAD, "503", sign=Sign.BUSY)
REPLY = Reply(text="x", model="m")


class _Named:
    account = ""

    def __init__(self, name: str) -> None:
        self.name = name

    async def ask(self, prompt: Prompt) -> Reply:
        raise AssertionError(prompt)

    async def close(self) -> None:
        pass


class _Fleet(Fleet):
    """A fleet of models named a, b, … on a clock that stands still."""

    def __init__(self, first: str, escalate: str = "", *, ceiling: int = 4, give_up_after: float | None = None) -> None:
        self.clock = ManualClock()
        self.named = {name: Endpoint(_Named(name), self.clock, ceiling) for name in first + escalate}
        super().__init__(
            [self.named[name] for name in first],
            [self.named[name] for name in escalate],
            clock=self.clock,
            give_up_after=give_up_after,
        )

    def start(self, attempt: int = 1, retry: int = 0) -> tuple[Endpoint, Call]:
        ticket = self.admit(attempt, retry)
        assert ticket is not None
        return ticket

    def fail(self, name: str, failed: Failed = REFUSED) -> bool:
        return self.named[name].failed(self.named[name].start(), failed, "q")


def test_the_first_that_is_up_is_asked() -> None:
    fleet = _Fleet("abc")
    assert fleet.start()[0].name == "a"
    assert fleet.fail("a")
    assert fleet.start()[0].name == "b"
    fleet.fail("b")
    assert fleet.start()[0].name == "c"
    fleet.clock.move(1)
    assert fleet.start()[0].name == "a", "when its time has come it is tried again"
    assert fleet.start()[0].name == "b", "and while that probe is out nobody else goes there"


def test_a_busy_endpoint_is_waited_for() -> None:
    """Failover is for what is down: where there is merely no place free, a call waits for one."""
    fleet = _Fleet("ab", ceiling=2)
    tickets = [fleet.start(), fleet.start()]
    assert fleet.admit(1, 0) is None
    assert fleet.opens_at(1) is None
    endpoint, call = tickets[0]
    endpoint.answered(call, REPLY)
    assert fleet.start()[0].name == "a"


def test_room_is_what_the_endpoints_that_would_be_asked_have() -> None:
    fleet = _Fleet("ab", "c", ceiling=3)
    assert fleet.room() == 6
    fleet.fail("a")
    assert fleet.room() == 6
    fleet.fail("b")
    fleet.fail("c")
    assert fleet.room() == 0
    assert fleet.next_opening() == EPOCH + 1
    fleet.clock.move(1)
    assert fleet.room() == 2, "a probe for each lane"


def test_a_lane_opens_with_the_first_of_its_endpoints() -> None:
    fleet = _Fleet("ab")
    fleet.fail("a", Failed(FailureKind.QUOTA, "spent", sign=Sign.SPENT, retry_at=EPOCH + 60))
    assert fleet.opens_at(1) is None
    fleet.fail("b", Failed(FailureKind.QUOTA, "spent", sign=Sign.SPENT, retry_at=EPOCH + 30))
    assert fleet.opens_at(1) == EPOCH + 30


def test_the_next_endpoint_of_a_round_is_asked_at_once_if_it_is_up() -> None:
    fleet = _Fleet("ab")
    assert fleet.untried(1, 1, "a")
    assert not fleet.untried(1, 2, "b"), "the round is over"
    fleet.fail("b")
    assert not fleet.untried(1, 1, "a")


def test_a_pause_outlives_the_process() -> None:
    fleet = _Fleet("ab")
    fleet.restore([EndpointState("a", EPOCH - 10, EPOCH + 50, FailureKind.QUOTA, "spent", 2), EndpointState("gone")])
    assert fleet.start()[0].name == "b"
    fleet.clock.move(50)
    assert fleet.start()[0].name == "a"


def test_it_gives_up_when_told_and_only_with_all_of_a_lane_down() -> None:
    """The time counts from the last of them on, and in this process alone, however long the one before has waited."""
    fleet = _Fleet("ab", give_up_after=5)
    fleet.restore([EndpointState("a", EPOCH - 1000, EPOCH + 100, FailureKind.QUOTA, "spent", 2)])
    fleet.clock.move(2)
    fleet.fail("b")
    assert fleet.opens_at(1) == EPOCH + 3
    fleet.clock.move(1)
    fleet.fail("b")
    assert fleet.room() == 0
    assert fleet.next_opening() == EPOCH + 5
    fleet.clock.move(2)
    fleet.fail("b")
    assert fleet.next_opening() == EPOCH + 7, "five seconds after the last of them went down"
    fleet.clock.move(2)
    assert fleet.next_opening() == EPOCH + 7.5, "what is past is nothing to wait for"
    assert fleet.room() == 1, "there is no room, but somebody has to be told"
    with pytest.raises(GaveUp, match=r"gave up.*a: spent \(for 1,007 s, 2 probes\); b: connection refused"):
        fleet.admit(1, 0)


def test_it_never_gives_up_unless_told() -> None:
    fleet = _Fleet("a")
    fleet.fail("a")
    for _ in range(1000):
        fleet.clock.move(3600)
        endpoint, call = fleet.start()
        assert endpoint.failed(call, REFUSED, "q")


def test_refusals_lower_the_limit_and_timeouts_too() -> None:
    fleet = _Fleet("a", ceiling=8)
    calls = [fleet.start() for _ in range(8)]
    for endpoint, call in calls[4:]:
        assert not endpoint.failed(call, BUSY, "q")
    assert fleet.named["a"].limit == 4
    for endpoint, call in calls[:4]:
        endpoint.answered(call, REPLY)
    endpoint, call = fleet.start()
    endpoint.failed(call, Failed(FailureKind.TIMEOUT, "slow", sign=Sign.LOST), "q")
    assert fleet.named["a"].limit == 3


def test_a_stated_rate_limit_is_kept() -> None:
    """With two requests left and one call in flight there is room for one, and none until the reset."""
    fleet = _Fleet("a", ceiling=8)
    (endpoint, first), _ = fleet.start(), fleet.start()
    endpoint.answered(first, Reply(text="x", model="m", limits=(RateLimit("requests", 2, EPOCH + 30),)))
    fleet.start()
    assert fleet.admit(1, 0) is None
    assert fleet.opens_at(1) == fleet.next_opening() == EPOCH + 30
    fleet.clock.move(30)
    fleet.start()


def test_a_call_that_nobody_waits_for_frees_its_place_and_its_probe() -> None:
    fleet = _Fleet("a", ceiling=1)
    endpoint, call = fleet.start()
    endpoint.abandoned(call)
    fleet.fail("a")
    fleet.clock.move(1)
    endpoint, call = fleet.start()
    assert fleet.admit(1, 0) is None
    endpoint.abandoned(call)
    assert fleet.start()[0] is endpoint


def test_a_rate_limit_that_is_used_up_pauses_the_endpoint_after_a_few_calls() -> None:
    """Not one call for each place, when all that is sent is refused until a stated time."""
    fleet = _Fleet("a", ceiling=16)
    in_flight = [fleet.start() for _ in range(16)]
    later = Failed(FailureKind.OVERLOAD, "429: tokens per minute", sign=Sign.BUSY, retry_at=EPOCH + 20)
    refused = 0
    while fleet.room() or in_flight:
        if fleet.room():
            endpoint, call = fleet.start()
            endpoint.failed(call, later, f"q{refused}")
            refused += 1
        else:
            endpoint, call = in_flight.pop(0)
            endpoint.answered(call, REPLY)
        if fleet.named["a"].blocked:
            break
    assert refused <= 7
    assert fleet.opens_at(1) == EPOCH + 20


def test_it_does_not_give_up_while_something_goes_on_elsewhere() -> None:
    """An escalation that is down ends the run only when nothing else is left to do."""
    fleet = _Fleet("a", "b", give_up_after=5)
    _, call = fleet.start()
    fleet.fail("b")
    fleet.clock.move(1)
    fleet.fail("b")
    fleet.clock.move(6)
    fleet.fail("b")
    assert fleet.room() == 3, "those of the first lane, and nobody to be told"
    assert fleet.admit(2, 0) is None
    assert fleet.opens_at(2) == EPOCH + 9.5
    fleet.named["a"].answered(call, REPLY)
    with pytest.raises(GaveUp, match="b: connection refused"):
        fleet.admit(2, 0)


def test_the_one_that_failed_is_not_asked_again_at_once() -> None:
    """Also where another one of the lane is down, so that the order of the round is another."""
    fleet = _Fleet("abc")
    fleet.fail("a")
    assert fleet.start()[0].name == "b"
    assert fleet.untried(1, 1, "b")
    ticket = fleet.admit(1, 1, avoid="b")
    assert ticket is not None
    assert ticket[0].name == "c"
    fleet.fail("c")
    again = fleet.admit(1, 2, avoid="b")
    assert again is not None
    assert again[0].name == "b", "where no other may be asked it is"


def test_what_was_known_of_another_account_says_nothing() -> None:
    """Another key or another server under the same URL, a model that is no longer used, a clock that went back."""
    fleet = _Fleet("ab")
    stale = fleet.restore(
        [
            EndpointState("a", EPOCH - 10, EPOCH + 50, FailureKind.QUOTA, "spent", 2, account="other"),
            EndpointState("b", EPOCH + 1e9, EPOCH + 2e9, FailureKind.QUOTA, "spent", 2),
            EndpointState("z", EPOCH - 10, EPOCH + 50, FailureKind.QUOTA, "spent", 2),
        ]
    )
    assert [state.name for state in stale] == ["a", "z"]
    assert not fleet.named["a"].blocked
    assert fleet.named["b"].state.since == EPOCH
    assert fleet.named["b"].opens_at() == EPOCH + 24 * 3600


def test_a_rate_limit_that_lasts_is_shown() -> None:
    fleet = _Fleet("a", ceiling=8)
    endpoint, call = fleet.start()
    assert endpoint.shown is None
    endpoint.answered(call, Reply(text="x", model="m", limits=(RateLimit("requests", 0, EPOCH + 3),)))
    assert endpoint.shown is None
    endpoint.answered(endpoint.start(), Reply(text="x", model="m", limits=(RateLimit("requests", 0, EPOCH + 60),)))
    assert endpoint.shown == EndpointState("a", EPOCH, EPOCH + 60, None, "as it says itself")


def test_a_probe_is_due_when_the_circuit_says_whatever_rate_limits_say() -> None:
    fleet = _Fleet("a", ceiling=8)
    endpoint, call = fleet.start()
    endpoint.answered(call, Reply(text="x", model="m", limits=(RateLimit("requests", 0, EPOCH + 60),)))
    fleet.fail("a")
    assert endpoint.opens_at() == EPOCH + 1


def test_a_call_for_one_model_goes_to_no_other() -> None:
    """Whatever the attempt is and whichever is up; a name that nobody has leaves it to the lanes."""
    fleet = _Fleet("ab", escalate="c")
    for attempt in (1, 2):
        ticket = fleet.admit(attempt, 0, only="b")
        assert ticket is not None
        assert ticket[0].name == "b"
    assert not fleet.untried(1, 1, "b", only="b")
    fleet.fail("b")
    assert fleet.admit(1, 0, only="b") is None
    assert fleet.opens_at(1, only="b") is not None
    assert fleet.opens_at(1) is None
    gone = fleet.admit(1, 0, only="gone")
    assert gone is not None
    assert gone[0].name == "a"
