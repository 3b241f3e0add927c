"""Who wants to know of each hop of a question."""

from collections.abc import Sequence
from typing import Protocol

from tamiz.effects import Effects
from tamiz.messages import Event

__all__ = ["Observer", "several"]


class Observer(Protocol):
    """Hears of hops. It is called on the event loop, takes microseconds and never raises."""

    def hop(self, stage: str, event: Event | None, effects: Effects, seconds: float) -> None:
        """Take note of what a stage did with an event, and that it took so many seconds.

        The effects have happened; after a crash the same ones may happen again. `event` is `None` for what a desk takes
        in, whose stage is `desk`.
        """
        ...


class _Several:
    """Tells several observers."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def hop(self, stage: str, event: Event | None, effects: Effects, seconds: float) -> None:
        """See `Observer.hop`."""
        for observer in self._observers:
            observer.hop(stage, event, effects, seconds)


def several(*observers: Observer | None) -> Observer | None:
    """Give those that there are as one, `None` where there is none."""
    there = [observer for observer in observers if observer is not None]
    return there[0] if len(there) == 1 else _Several(there) if there else None
