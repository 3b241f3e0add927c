"""All that a process tells of its work, as the settings have it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from tamiz.clock import Clock
from tamiz.settings import Settings
from tamiz.telemetry.hops import LoggedHops
from tamiz.telemetry.logs import Say, logging_as
from tamiz.telemetry.observer import Observer, several

if TYPE_CHECKING:
    from tamiz.telemetry.spans import Spans

__all__ = ["Telling", "telling", "traced"]


class Telling(msgspec.Struct, frozen=True):
    """Whom to tell what."""

    say: Say
    observer: Observer | None
    """Of hops; `None` where nobody wants to know."""
    spans: "Spans | None"
    """Where traces are kept."""


@contextmanager
def telling(settings: Settings, clock: Clock) -> Iterator[Telling]:
    """Log, and keep traces, for the block; what there is of it is sent before the block is left."""
    with logging_as(settings) as say, traced(settings, clock) as spans:
        yield Telling(say, several(LoggedHops.wanted(clock), spans), spans)


@contextmanager
def traced(settings: Settings, clock: Clock) -> "Iterator[Spans | None]":
    """Keep traces for the block, where the settings name a collector."""
    if settings.otlp_endpoint is None:
        yield None
        return
    from tamiz.telemetry.spans import to_collector  # noqa: PLC0415 - only with the extra

    spans = to_collector(settings.otlp_endpoint, clock)
    try:
        yield spans
    finally:
        spans.close()
