"""What happened in this process, for the progress line and the summary."""

from tamiz.messages import DeadLetter, Event, ValidatedResponse

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
        self.outcomes: dict[str, int] = {}

    def count(self, event: Event) -> None:
        """Count an event that the store was told to remember, where it is an outcome."""
        if isinstance(event, ValidatedResponse | DeadLetter):
            self.outcomes[event.outcome] = self.outcomes.get(event.outcome, 0) + 1
