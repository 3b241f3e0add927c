"""What a stage is, and what it asks of its host."""

from typing import Protocol

import msgspec

from tamiz.errors import FailureKind
from tamiz.messages import Event, LlmRequest, QuestionAsked, Topic

__all__ = ["Deferred", "Effects", "EndpointState", "Stage"]


class Deferred(msgspec.Struct, frozen=True, gc=False):
    """An event that is to be emitted at `due`, in seconds since the epoch, and not before."""

    event: QuestionAsked | LlmRequest
    due: float

    @property
    def identity(self) -> tuple[str, int, int]:
        """The submission, the attempt and the retry: what is kept once."""
        event = self.event
        attempt, retry = (event.attempt, event.retry) if isinstance(event, LlmRequest) else (0, 0)
        return event.message_id, attempt, retry


class EndpointState(msgspec.Struct, frozen=True, gc=False):
    """Whether a model's endpoint can be called; all but the name is `None` where it can.

    Times are seconds since the epoch.
    """

    name: str
    since: float | None = None
    """When it went down, or its quota was used up."""
    opens_at: float | None = None
    """When the next call may be tried."""
    kind: FailureKind | None = None
    reason: str | None = None
    probes: int = 0
    """Calls that were tried since then."""
    account: str = ""
    """A digest of the server's address and the key: another account's state says nothing."""


class Effects(msgspec.Struct, frozen=True, gc=False):
    """What a stage wants done, as data: the host applies all of it together with the acknowledgement, or none."""

    emit: tuple[Event, ...] = ()
    record: tuple[Event, ...] = ()
    """Events for the store to remember; recording one twice changes nothing."""
    defer: tuple[Deferred, ...] = ()
    endpoints: tuple[EndpointState, ...] = ()
    """What has become of endpoints."""


class Stage(Protocol):
    """One step of the flow. It decides; hosts do. It never touches a bus or a file."""

    @property
    def reads(self) -> tuple[Topic, ...]:
        """The topics whose events it handles."""
        ...

    async def handle(self, event: Event) -> Effects:
        """Decide what follows from the event.

        Safe to repeat: a host may hand in the same event again after a crash.
        """
        ...
