"""Whether an endpoint can be called at all: a circuit that failures open, and one call at a time tries to close."""

from typing import Final

import msgspec

from tamiz.effects import EndpointState
from tamiz.errors import Failed, FailureKind, Sign

__all__ = ["Outage"]

_ROW: Final = 5
"""Different questions that fail with no answer between them until the circuit is opened.

The same question counts once, so that a few that the server cannot answer do not pass for an outage when they are all
that is left to ask.
"""

_NOBODYS_FAULT: Final = frozenset({Sign.UNREACHABLE, Sign.SPENT})

_FIRST: Final = (1.0, 2.0)
_SHORTEST: Final = 2.5
_SHARE: Final = 1 / 10
_LONGEST: Final = 60.0
_LONGEST_QUOTA: Final = 300.0


class Outage:
    """The circuit of one endpoint. Down, it lets nothing through but one probe at a time, at growing intervals.

    Opened by a quota that is used up, by nobody being there, by a server that refuses all that it is sent, or by a row
    of failures. Closed by a probe that is answered, and where a row opened it by any call that was started after the
    first of the row and is answered.

    A stated time to try again is kept; where there is none, the next probe goes out after a tenth of the time that the
    outage has lasted (1 s, 2 s, then at least 2.5 s; at most 60 s, of a quota 300 s). So of the time that an outage
    takes, at most a tenth is lost after its end, and an hour of it costs 94 probes.

    Times are seconds since the epoch, since they outlive the process. Pure: no clock, no I/O.
    """

    def __init__(self, state: EndpointState) -> None:
        """Go on from what was known of the endpoint."""
        self.state = state
        self.probing = False
        """Whether a probe is out."""
        self._refusals = 0  # of all that was sent, since the last answer
        self._suspects: set[str] = set()  # questions that failed since then
        self._row_began: int | None = None  # the number of the first call that failed since then
        self._opened_by_row = False

    @property
    def down(self) -> bool:
        """Whether the circuit is open."""
        return self.state.since is not None

    def admits(self, now: float) -> bool:
        """Tell whether a call may start; where the circuit is open it is a probe."""
        return self.state.opens_at is None or (not self.probing and now >= self.state.opens_at)

    def answered(self, number: int, *, probe: bool) -> None:
        """Take note of a call that the endpoint answered, with whatever; `number` tells calls by their order."""
        if probe:
            self.probing = False
        elif self._row_began is not None and number < self._row_began:
            return  # from before the row, so it tells nothing of now
        if probe or self._opened_by_row:
            self.state = EndpointState(self.state.name, account=self.state.account)
        self._refusals, self._row_began, self._opened_by_row = 0, None, False
        self._suspects.clear()

    def failed(self, failed: Failed, now: float, question: str, number: int, *, probe: bool, for_all: bool) -> bool:
        """Take note of a call that failed; tell whether that was the endpoint's doing, and so counts for no question.

        `for_all` is whether a server that is busy takes no call at all; then it is of no use for now.
        """
        if failed.sign is Sign.ALIVE:
            self.answered(number, probe=probe)
            return False
        was_down = self.down
        if probe:
            self.probing = False
        nobodys_fault = failed.sign in _NOBODYS_FAULT or (
            failed.sign is Sign.BUSY and for_all and failed.retry_at is not None
        )
        if failed.sign is not Sign.BUSY:
            self._suspects.add(question)
        self._refusals += for_all and failed.sign is Sign.BUSY
        if for_all or failed.sign is not Sign.BUSY:
            self._row_began = number if self._row_began is None else min(number, self._row_began)
        row = self._refusals + len(self._suspects) >= _ROW
        if probe or was_down or nobodys_fault or row:
            self._opened_by_row = not nobodys_fault and (self._opened_by_row or not was_down)
            self._open(failed, now, again=probe)
        return was_down or nobodys_fault

    def _open(self, failed: Failed, now: float, *, again: bool) -> None:
        before = self.state
        if before.since is None or before.opens_at is None:
            due = now + _FIRST[0] if failed.retry_at is None else max(failed.retry_at, now)
            self.state = EndpointState(before.name, now, due, failed.kind, failed.reason, 0, before.account)
        elif again:
            # a stated time was kept, or there was none: it takes longer than anybody knew
            due = now + _interval(before.probes + 1, now - before.since, failed.kind)
            due = max(due, failed.retry_at or due)
            self.state = msgspec.structs.replace(
                before, opens_at=due, kind=failed.kind, reason=failed.reason, probes=before.probes + 1
            )
        elif failed.retry_at is not None and failed.retry_at > before.opens_at:
            # one of those that were in flight when it fell, and that knows more
            self.state = msgspec.structs.replace(before, opens_at=failed.retry_at)


def _interval(probes: int, lasted: float, kind: FailureKind) -> float:
    if probes < len(_FIRST):
        return _FIRST[probes]
    return min(max(_SHORTEST, lasted * _SHARE), _LONGEST_QUOTA if kind is FailureKind.QUOTA else _LONGEST)
