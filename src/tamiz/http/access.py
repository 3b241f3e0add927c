"""Every request, told to those who want to know: the log, the metrics, the traces."""

import logging
from secrets import token_hex
from typing import Final, Protocol

from tamiz.http.current import REQUEST
from tamiz.http.guard import WATCHED, Scope
from tamiz.http.metrics import Metrics
from tamiz.identity import trace_of
from tamiz.telemetry.traceparent import Traceparent, parse

__all__ = ["Access", "RequestSpans", "trace_for"]

_log: Final = logging.getLogger("tamiz.http")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SPAN: Final = "span"


class RequestSpans(Protocol):
    """Makes spans of requests (see `telemetry/spans.py`)."""

    def entered(self, header: str | None, trace_id: str) -> Traceparent:
        """Give the span of a request that came with this `traceparent`; without one it begins the trace of that id."""
        ...

    def served(
        self, span: Traceparent, *, header: str | None, method: str, route: str, status: int, seconds: float
    ) -> None:
        """Make the span of a request that has been answered."""
        ...


class Access:
    """Hears of each request that has been answered. What it tells has the route, and never the path."""

    def __init__(self, metrics: Metrics, spans: RequestSpans | None) -> None:
        self._metrics = metrics
        self._spans = spans

    def __call__(self, scope: Scope, status: int, seconds: float) -> None:
        """Take note of one."""
        route: str = scope.get("path_template") or ""
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.request(method, route, status, seconds)
        watched = scope["path"] in WATCHED
        if self._spans is not None and not watched:
            header = _header(scope)
            span = scope["state"].get(_SPAN) or self._spans.entered(header, token_hex(16))
            self._spans.served(span, header=header, method=method, route=route, status=status, seconds=seconds)
        level = logging.DEBUG if watched else logging.INFO
        if _log.isEnabledFor(level):
            fields = {"method": method, "route": route or None, "status": status, "ms": round(seconds * 1000, 3)}
            state = scope["state"]
            if (caller := state.get("caller")) is not None:
                fields["tenant"] = caller.tenant
            for name in ("trace_id", "message_id"):
                if state.get(name) is not None:
                    fields[name] = state[name]
            _log.log(level, "request", extra={"fields": fields})


def trace_for(message_id: str, spans: RequestSpans | None) -> tuple[str, str | None]:
    """Give the trace of a submission, and the `traceparent` that it takes along: the current request's, if any.

    The request is told with the ids of the submission; one that brings several, with what they have in common.
    """
    own, scope = trace_of(message_id), REQUEST.get()
    if scope is None:
        return own, None
    state = scope.setdefault("state", {})
    span: Traceparent | None = state.get(_SPAN)
    if span is None:
        header = _header(scope)
        span = state[_SPAN] = parse(header) if spans is None else spans.entered(header, own)
    trace_id = own if span is None else span.trace_id
    alone = "message_id" not in state
    state["message_id"] = message_id if alone else None
    state["trace_id"] = trace_id if alone or span is not None else None
    return trace_id, None if span is None else str(span)


def _header(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return str(value, "latin-1")
    return None
