"""Traces, by OpenTelemetry: a span for each question, each of its hops and each request, sent by OTLP over HTTP.

Nothing but the message says which trace a hop belongs to: all processes derive the same ids from it. The span of a
question has an id that follows from its `message_id`, so that hops can be put below it before it has ended; its parent
is the `traceparent` of the message, where it has one.
"""

from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation import set_span_in_context

from tamiz import __version__
from tamiz.clock import Clock
from tamiz.effects import Effects
from tamiz.identity import digest
from tamiz.messages import DeadLetter, Event, LlmError, LlmResponse, Message, ValidatedResponse
from tamiz.telemetry.traceparent import Traceparent, parse

__all__ = ["Spans", "to_collector"]

_HEX: Final = frozenset("0123456789abcdef")
_TRACE_DIGITS: Final = 32
_NANO: Final = 1_000_000_000
_NO_PARENT: Final = Context()
_QUESTION: Final = "question"
_ERROR: Final = 500


class _Ids(RandomIdGenerator):
    """Gives random ids, but for those that are set for the span that is started next."""

    def __init__(self) -> None:
        self.trace: int | None = None
        self.span: int | None = None

    def generate_trace_id(self) -> int:
        """Give the id of a trace that begins."""
        given, self.trace = self.trace, None
        return super().generate_trace_id() if given is None else given

    def generate_span_id(self) -> int:
        """Give the id of a span that begins."""
        given, self.span = self.span, None
        return super().generate_span_id() if given is None else given


class Spans:
    """Makes spans of hops and requests. For one thread; it never waits, and drops spans that nobody takes in time."""

    def __init__(self, exporter: SpanExporter, clock: Clock) -> None:
        self._ids = _Ids()
        self._clock = clock
        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: "tamiz"}))
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("tamiz", __version__)

    def hop(self, stage: str, event: Event | None, effects: Effects, seconds: float) -> None:
        """See `Observer.hop`."""
        now = self._clock.time()
        if event is not None:
            trace, parent = self._question(event)
            if trace.sampled:
                name, attributes, wrong = _told(stage, event, effects)
                self._span(name, trace, parent, now - seconds, now, attributes, wrong=wrong)
        for each in effects.record:
            if isinstance(each, ValidatedResponse | DeadLetter):
                self._end(each, now)

    def entered(self, header: str | None, trace_id: str) -> Traceparent:
        """Give the span of a request that came with this `traceparent`; without one it begins the trace of that id."""
        above = parse(header)
        if above is None:
            above = Traceparent(trace_id, "", self._keeps(trace_id))
        return Traceparent(above.trace_id, f"{self._ids.generate_span_id():016x}", above.sampled)

    def served(
        self, span: Traceparent, *, header: str | None, method: str, route: str, status: int, seconds: float
    ) -> None:
        """Make the span of a request that has been answered; `span` is what `entered` gave."""
        if not span.sampled:
            return
        now = self._clock.time()
        attributes: dict[str, Any] = {"http.request.method": method, "http.response.status_code": status}
        if route:
            attributes["http.route"] = route
        self._ids.span = int(span.span_id, 16)
        wrong = f"status {status}" if status >= _ERROR else None
        above = parse(header)
        name = f"{method} {route}".rstrip()
        parent = None if above is None else int(above.span_id, 16)
        self._span(name, span, parent, now - seconds, now, attributes, wrong=wrong, kind=SpanKind.SERVER)

    def close(self) -> None:
        """Send what there is, for as long as that takes within the exporter's own limits."""
        self._provider.shutdown()

    def _question(self, event: Message) -> tuple[Traceparent, int]:
        """Give the trace of a question, and the id of its span."""
        span = int(digest(event.message_id, size=8), 16) or 1
        above = parse(event.traceparent)
        if above is not None:
            return above, span
        trace_id = event.trace_id
        if len(trace_id) != _TRACE_DIGITS or not _HEX.issuperset(trace_id) or not int(trace_id, 16):
            trace_id = digest(trace_id, size=16)
        return Traceparent(trace_id, "", self._keeps(trace_id)), span

    def _keeps(self, trace_id: str) -> bool:
        """Ask the sampler of a trace that begins here; it says the same in every process."""
        decision = self._provider.sampler.should_sample(None, int(trace_id, 16), _QUESTION).decision
        return decision is Decision.RECORD_AND_SAMPLE

    def _end(self, event: ValidatedResponse | DeadLetter, now: float) -> None:
        trace, span = self._question(event)
        if not trace.sampled:
            return
        attributes: dict[str, Any] = {
            "tamiz.message_id": event.message_id,
            "tamiz.outcome": event.outcome,
            "tamiz.attempts": event.attempts,
            "tamiz.retries": event.retries,
        }
        if event.source is not None:
            attributes["tamiz.source"] = event.source
        if isinstance(event, ValidatedResponse) and event.answer.score is not None:
            attributes["tamiz.score"] = event.answer.score
        wrong = event.kind if isinstance(event, DeadLetter) else None
        self._ids.span = span
        parent = int(trace.span_id, 16) if trace.span_id else None
        self._span(_QUESTION, trace, parent, event.created_at, now, attributes, wrong=wrong)

    def _span(  # noqa: PLR0917 - what a span is
        self,
        name: str,
        trace: Traceparent,
        parent: int | None,
        start: float,
        end: float,
        attributes: dict[str, Any],
        *,
        wrong: str | None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> None:
        trace_id = int(trace.trace_id, 16)
        if parent is None:
            self._ids.trace = trace_id
            context = _NO_PARENT
        else:
            above = SpanContext(trace_id, parent, is_remote=True, trace_flags=TraceFlags(trace.sampled))
            context = set_span_in_context(NonRecordingSpan(above), _NO_PARENT)
        made = self._tracer.start_span(name, context, kind, attributes, start_time=int(start * _NANO))
        if wrong is not None:
            made.set_status(Status(StatusCode.ERROR, wrong))
        made.end(int(end * _NANO))


def to_collector(endpoint: str, clock: Clock) -> Spans:
    """Make one that sends to a collector at this address, by OTLP over HTTP.

    Headers, timeouts, sampling and the service's name are OpenTelemetry's own variables (`OTEL_…`).
    """
    return Spans(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces"), clock)


def _told(stage: str, event: Event, effects: Effects) -> tuple[str, dict[str, Any], str | None]:
    """Give the name of a hop's span, its attributes, and what went wrong."""
    attributes: dict[str, Any] = {"tamiz.message_id": event.message_id, "tamiz.stage": stage}
    for name in ("attempt", "retry"):
        if (value := getattr(event, name, None)) is not None:
            attributes[f"tamiz.{name}"] = value
    if effects.emit:
        attributes["tamiz.emitted"] = [str(each.__struct_config__.tag) for each in effects.emit[:8]]
    if effects.defer:
        attributes["tamiz.due"] = effects.defer[0].due
    result = effects.emit[0] if effects.emit and stage == "generate" else None
    if isinstance(result, LlmResponse):
        attributes["gen_ai.request.model"] = result.endpoint
        attributes["gen_ai.response.model"] = result.model
        if result.prompt_tokens is not None:
            attributes["gen_ai.usage.input_tokens"] = result.prompt_tokens
        if result.completion_tokens is not None:
            attributes["gen_ai.usage.output_tokens"] = result.completion_tokens
    elif isinstance(result, LlmError):
        attributes["gen_ai.request.model"] = result.model
        attributes["error.type"] = str(result.kind)
        return stage, attributes, result.kind
    return stage, attributes, None
