"""Endpoints that are down or paused, in words."""

import time
from collections.abc import Callable

from tamiz.cli.shared import clock_time, plain, shorten, until
from tamiz.effects import EndpointState
from tamiz.errors import FailureKind
from tamiz.hosts.batch import Report

__all__ = ["Notices", "down_text", "what_it_is"]


def what_it_is(state: EndpointState) -> str:
    """Say in a word or two why an endpoint cannot be called."""
    if state.kind is None:
        return "at its rate limit"
    return "out of quota" if state.kind == FailureKind.QUOTA else "down"


def down_text(state: EndpointState) -> str:
    """Say since when an endpoint cannot be called, why, and when it is tried next."""
    what = what_it_is(state)
    since, opens_at = state.since or 0.0, state.opens_at or 0.0
    return (
        f"{plain(state.name)}: {what} for {max(time.time() - since, 0):,.0f} s ({shorten(state.reason, 200)}); "
        f"next call {clock_time(opens_at)} ({until(opens_at)}), {state.probes:,} tried since"
    )


class Notices:
    """Says when an endpoint goes down, when it is back, and once a minute that it is still down."""

    _EVERY = 60.0

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._down: dict[str, tuple[float, float]] = {}  # since when, and when it was last said

    def watch(self, report: Report) -> None:
        """Take the news."""
        now = time.time()
        down = {state.name: state for state in report.endpoints}
        for name, state in down.items():
            since, said = self._down.get(name, (0.0, 0.0))
            if since != state.since or now - said >= self._EVERY:
                self._down[name] = (state.since or 0.0, now)
                self._say(f"{down_text(state)}; questions wait")
        for name in [name for name in self._down if name not in down]:
            since, _ = self._down.pop(name)
            self._say(f"{plain(name)}: answers again, after {now - since:,.0f} s")
