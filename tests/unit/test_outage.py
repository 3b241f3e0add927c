from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.effects import EndpointState
from tamiz.errors import Failed, FailureKind, Sign
from tamiz.models.outage import Outage

NOW = 1_800_000_000.0
LOST = Failed(FailureKind.OVERLOAD, "reset", sign=Sign.LOST)
REFUSED = Failed(FailureKind.OVERLOAD, "connection refused", sign=Sign.UNREACHABLE)
ERROR = Failed(FailureKind.OVERLOAD, "500", sign=Sign.ERROR)
SLOW = Failed(FailureKind.TIMEOUT, "60 s", sign=Sign.LOST)
BUSY = Failed(FailureKind.OVERLOAD, "503", sign=Sign.BUSY)
OWN = Failed(FailureKind.INVALID, "too long")


def spent(retry_at: float | None = None) -> Failed:
    return Failed(FailureKind.QUOTA, "no credit", retry_at=retry_at, sign=Sign.SPENT)


def outage() -> Outage:
    return Outage(EndpointState("m"))


def probes(circuit: Outage, failed: Failed, lasts: float) -> Iterator[float]:
    """Fail every probe, sent as soon as it may be, until the endpoint is back; give the seconds each was sent at."""
    while (at := circuit.state.opens_at or NOW) < NOW + lasts:
        assert circuit.admits(at)
        circuit.probing = True
        assert not circuit.admits(at)
        circuit.failed(failed, at, "q", 0, probe=True, for_all=True)
        yield at - NOW


def test_nobody_there_opens_the_circuit_at_once() -> None:
    circuit = outage()
    assert circuit.failed(REFUSED, NOW, "q", 0, probe=False, for_all=False)
    assert circuit.state == EndpointState("m", NOW, NOW + 1, FailureKind.OVERLOAD, "connection refused")
    assert not circuit.admits(NOW + 0.99)
    assert circuit.admits(NOW + 1)


@pytest.mark.parametrize("failed", [LOST, ERROR, SLOW])
def test_a_row_of_failures_opens_it_and_an_answer_between_does_not(failed: Failed) -> None:
    """Those up to the one that opens it count for their questions, and none after it."""
    circuit = outage()
    for _ in range(20):
        for n in range(4):
            assert not circuit.failed(failed, NOW, f"q{n}", 0, probe=False, for_all=False)
            assert not circuit.down
        circuit.answered(0, probe=False)
    free = [circuit.failed(failed, NOW, f"q{n}", 0, probe=False, for_all=False) for n in range(7)]
    assert circuit.down
    assert free == [False] * 5 + [True] * 2


@pytest.mark.parametrize("failed", [LOST, ERROR, SLOW])
def test_a_few_questions_that_the_server_cannot_answer_are_no_outage(failed: Failed) -> None:
    """However often they fail, when nothing else is left to ask."""
    circuit = outage()
    for n in range(100):
        assert not circuit.failed(failed, NOW, f"q{n % 4}", 0, probe=False, for_all=True)
    assert not circuit.down


def test_a_busy_server_is_not_down_unless_it_takes_nothing_at_all() -> None:
    circuit = outage()
    for _ in range(100):
        assert not circuit.failed(BUSY, NOW, "q", 0, probe=False, for_all=False)
    assert not circuit.down
    for _ in range(5):
        circuit.failed(BUSY, NOW, "q", 0, probe=False, for_all=True)
    assert circuit.down


def test_a_busy_server_that_takes_not_one_call_and_says_until_when_is_left_alone_until_then() -> None:
    circuit = outage()
    stated = Failed(FailureKind.OVERLOAD, "429", sign=Sign.BUSY, retry_at=NOW + 20)
    assert not circuit.failed(stated, NOW, "q", 0, probe=False, for_all=False)
    assert circuit.failed(stated, NOW, "q", 0, probe=False, for_all=True)
    assert circuit.state.opens_at == NOW + 20


def test_what_is_wrong_with_one_call_is_no_outage() -> None:
    circuit = outage()
    for _ in range(100):
        assert not circuit.failed(OWN, NOW, "q", 0, probe=False, for_all=True)
    assert not circuit.down


def test_a_quota_pauses_until_the_stated_time() -> None:
    circuit = outage()
    assert circuit.failed(spent(NOW + 30), NOW, "q", 0, probe=False, for_all=False)
    assert circuit.failed(spent(), NOW + 1, "q", 0, probe=False, for_all=False)  # was in flight, and knows no better
    assert circuit.failed(spent(NOW + 31), NOW + 1, "q", 0, probe=False, for_all=False)  # knows better
    assert circuit.state.opens_at == NOW + 31
    assert not circuit.admits(NOW + 30.9)


def test_a_stated_time_that_was_wrong_does_not_make_probes_more_frequent() -> None:
    circuit = outage()
    circuit.failed(spent(NOW), NOW, "q", 0, probe=False, for_all=False)
    times = list(probes(circuit, spent(NOW), 600))
    assert len(times) < 50


@pytest.mark.parametrize("probe", [LOST, ERROR, REFUSED, BUSY])
def test_a_failed_probe_keeps_it_open_and_an_answered_one_closes_it(probe: Failed) -> None:
    circuit = outage()
    circuit.failed(REFUSED, NOW, "q", 0, probe=False, for_all=False)
    circuit.probing = True
    circuit.answered(0, probe=False)  # one that was in flight before tells nothing of now
    assert circuit.down
    assert circuit.failed(probe, NOW + 1, "q", 0, probe=True, for_all=True)
    assert circuit.state.probes == 1
    circuit.probing = True
    circuit.answered(0, probe=True)
    assert circuit.state == EndpointState("m")
    assert circuit.admits(NOW)


def test_a_probe_that_fails_for_reasons_of_its_own_closes_it() -> None:
    """Whatever is wrong with the question: somebody answered."""
    circuit = outage()
    circuit.failed(REFUSED, NOW, "q", 0, probe=False, for_all=False)
    assert not circuit.failed(OWN, NOW + 1, "q", 0, probe=True, for_all=True)
    assert not circuit.down


@given(st.floats(1, 3600))
def test_little_time_is_lost_and_little_is_asked(lasts: float) -> None:
    """After the end of an outage it takes at most 2.5 s or a tenth of what it lasted until somebody notices."""
    circuit = outage()
    circuit.failed(REFUSED, NOW, "q", 0, probe=False, for_all=False)
    times = [0.0, *probes(circuit, REFUSED, lasts)]
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps == sorted(gaps)
    assert (circuit.state.opens_at or 0) - NOW - lasts <= max(2.5, lasts / 10) + 1e-6
    assert len(times) - 1 <= 105


def test_twenty_seconds_cost_eight_probes() -> None:
    circuit = outage()
    circuit.failed(REFUSED, NOW, "q", 0, probe=False, for_all=False)
    assert list(probes(circuit, REFUSED, 20)) == [1, 3, 5.5, 8, 10.5, 13, 15.5, 18]


def row_of(circuit: Outage, first: int) -> None:
    for n in range(5):
        circuit.failed(ERROR, NOW, f"q{first + n}", first + n, probe=False, for_all=False)


def test_an_answer_to_a_later_call_shows_that_a_row_was_no_outage() -> None:
    """Failures come quickly and answers take time, so that a row may be there before the first of them."""
    circuit = outage()
    row_of(circuit, first=10)
    assert circuit.down
    circuit.answered(9, probe=False)
    assert circuit.down, "this one was started before the row, so it tells nothing of now"
    circuit.answered(12, probe=False)
    assert not circuit.down


def test_only_a_probe_shows_that_a_quota_is_back() -> None:
    circuit = outage()
    circuit.failed(spent(), NOW, "q", 3, probe=False, for_all=False)
    circuit.answered(4, probe=False)
    assert circuit.down


def test_the_account_stays_with_the_state() -> None:
    circuit = Outage(EndpointState("m", account="a1"))
    circuit.failed(REFUSED, NOW, "q", 0, probe=False, for_all=False)
    assert circuit.state.account == "a1"
    circuit.failed(REFUSED, NOW + 1, "q", 1, probe=True, for_all=True)
    assert circuit.state.account == "a1"
    circuit.answered(2, probe=True)
    assert circuit.state == EndpointState("m", account="a1")
