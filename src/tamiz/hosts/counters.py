"""What happened in this process, for the progress line and the summary."""

from tamiz.messages import DeadLetter, Event, LlmError, RegenerationRequest, ValidatedResponse

__all__ = ["Counters"]


class Counters:
    """What happened in this process, for the progress line and the summary."""

    def __init__(self) -> None:
        self.calls = 0
        self.tokens = 0
        self.in_flight = 0
        self.finished_late = 0
        """Calls that ended after the host was asked to stop."""
        self.abandoned = 0
        """Calls that were still in flight when it stopped; they are made again."""
        self.refused = 0
        self.outcomes: dict[str, int] = {}
        self.failures: dict[str, int] = {}

    def count(self, event: Event) -> None:
        """Count an event that the store was told to remember."""
        match event:
            case ValidatedResponse() | DeadLetter():
                self.outcomes[event.outcome] = self.outcomes.get(event.outcome, 0) + 1
            case LlmError():
                self.failures[event.kind] = self.failures.get(event.kind, 0) + 1
            case RegenerationRequest():
                self.refused += 1
            case _:
                pass
