"""Whether an endpoint can be called at all: a circuit that failures open, and one call at a time tries to close."""

from typing import Final

import msgspec

from tamiz.effects import EndpointState
from tamiz.errors import Failed, FailureKind, Sign

__all__ = ["Outage"]

_ROW: Final = 5
"""Failures with no answer between them that open the circuit, where one of them alone could be the call's own.

Of failures that may be the fault of one question (500, a timeout) only those of different questions count, so that a
few that the server cannot answer do not pass for an outage when they are all that is left.
"""

_NOBODYS_FAULT: Final = frozenset({Sign.UNREACHABLE, Sign.SPENT})

_FIRST: Final = (1.0, 2.0)
_SHORTEST: Final = 2.5
_SHARE: Final = 1 / 10
_LONGEST: Final = 60.0
_LONGEST_QUOTA: Final = 300.0


class Outage:
    """The circuit of one endpoint. Down, it lets nothing through but one probe at a time, at growing intervals.

    Opened by a quota that is used up, by nobody being there, or by a row of failures. Closed by a probe that is
    answered. A stated time to try again is kept; where there is none, the next probe goes out after a tenth of the
    time that the outage has lasted (1 s, 2 s, then at least 2.5 s; at most 60 s, of a quota 300 s). So of the time that
    an outage takes, at most a tenth is lost after its end, and an hour of it costs 94 probes.

    Times are seconds since the epoch, since they outlive the process. Pure: no clock, no I/O.
    """

    def __init__(self, state: EndpointState) -> None:
        """Go on from what was known of the endpoint."""
        self.state = state
        self.probing = False
        """Whether a probe is out."""
        self._lost = 0  # in a row, since the last answer
        self._suspects: set[str] = set()  # questions that failed since then

    @property
    def down(self) -> bool:
        """Whether the circuit is open."""
        return self.state.since is not None

    def admits(self, now: float) -> bool:
        """Tell whether a call may start; where the circuit is open it is a probe."""
        return self.state.opens_at is None or (not self.probing and now >= self.state.opens_at)

    def answered(self, *, probe: bool) -> None:
        """Take note of a call that the endpoint answered, with whatever."""
        self._lost = 0
        self._suspects.clear()
        if probe:
            self.probing = False
            self.state = EndpointState(self.state.name)

    def failed(self, failed: Failed, now: float, question: str, *, probe: bool, for_all: bool) -> bool:
        """Take note of a call that failed; tell whether that was the endpoint's doing, and so counts for no question.

        `for_all` is whether a server that is busy takes no call at all; then it is of no use for now.
        """
        if failed.sign is Sign.ALIVE:
            self.answered(probe=probe)
            return False
        was_down = self.down
        if failed.sign is Sign.ERROR or failed.kind is FailureKind.TIMEOUT:
            self._suspects.add(question)
        else:
            self._lost += for_all or failed.sign is not Sign.BUSY
        if probe:
            self.probing = False
        refuses_all = failed.sign is Sign.BUSY and for_all and failed.retry_at is not None
        if probe or was_down or refuses_all or failed.sign in _NOBODYS_FAULT or self._row() >= _ROW:
            self._open(failed, now, again=probe)
        return was_down or refuses_all or failed.sign in _NOBODYS_FAULT

    def _row(self) -> int:
        return self._lost + len(self._suspects)

    def _open(self, failed: Failed, now: float, *, again: bool) -> None:
        before = self.state
        if before.since is None or before.opens_at is None:
            due = now + _FIRST[0] if failed.retry_at is None else max(failed.retry_at, now)
            self.state = EndpointState(before.name, now, due, failed.kind, failed.reason)
        elif again:
            # a stated time was kept, or there was none: it takes longer than anybody knew
            due = now + _interval(before.probes + 1, now - before.since, failed.kind)
            due = max(due, failed.retry_at or due)
            self.state = EndpointState(before.name, before.since, due, failed.kind, failed.reason, before.probes + 1)
        elif failed.retry_at is not None and failed.retry_at > before.opens_at:
            # one of those that were in flight when it fell, and that knows more
            self.state = msgspec.structs.replace(before, opens_at=failed.retry_at)


def _interval(probes: int, lasted: float, kind: FailureKind) -> float:
    if probes < len(_FIRST):
        return _FIRST[probes]
    return min(max(_SHORTEST, lasted * _SHARE), _LONGEST_QUOTA if kind is FailureKind.QUOTA else _LONGEST)
