import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from manual_clock import EPOCH, ManualClock
from strategies import asked, dead, failed, regeneration, requested, responded, validated
from tamiz.effects import Effects
from tamiz.identity import message_id, trace_of
from tamiz.messages import Event
from tamiz.telemetry.spans import Spans
from tamiz.telemetry.traceparent import Traceparent, parse

SUBMISSION = message_id("a1b2c3d4e5f6", 3, "What?")
TRACE = trace_of(SUBMISSION)
ABOVE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@contextmanager
def keeping() -> Iterator[tuple[Spans, list[ReadableSpan]]]:
    """Make spans for the block; they are in the list when it ends."""
    exporter = InMemorySpanExporter()
    found: list[ReadableSpan] = []
    spans = Spans(exporter, ManualClock())
    try:
        yield spans, found
    finally:
        spans.close()
        found.extend(exporter.get_finished_spans())


def life(**changes: Any) -> list[tuple[str, Event, Effects]]:
    """Give the hops of a question that is refused once, fails once and is accepted."""
    told = {"message_id": SUBMISSION, "trace_id": TRACE, "created_at": EPOCH - 9, **changes}
    first, second = requested(**told), requested(**told, attempt=2)
    answer, again = responded(**told, endpoint="e", prompt_tokens=5, completion_tokens=7), failed(**told, attempt=2)
    refused, end = regeneration(**told, attempt=2), validated(**told, leader=SUBMISSION)
    return [
        ("intake", asked(**told), Effects(emit=(first,))),
        ("generate", first, Effects(emit=(answer,))),
        ("judge", answer, Effects(emit=(refused,))),
        ("intake", refused, Effects(emit=(second,))),
        ("generate", second, Effects(emit=(again,))),
        ("retry", again, Effects(emit=(second,))),
        ("judge", responded(**told, attempt=2), Effects(emit=(end,))),
        ("persist", end, Effects(record=(end,))),
    ]


def shown(span: ReadableSpan) -> tuple[str, str | None]:
    assert span.context is not None
    return f"{span.context.span_id:016x}", None if span.parent is None else f"{span.parent.span_id:016x}"


def traces(found: list[ReadableSpan]) -> set[str]:
    return {f"{span.context.trace_id:032x}" for span in found if span.context is not None}


def test_two_processes_make_one_trace_of_a_question() -> None:
    """Without a word between them but the message: all hops are below the question's span, whoever ends it."""
    with keeping() as (one, here), keeping() as (two, there):
        for number, (stage, event, effects) in enumerate(life()):
            (one, two)[number % 2].hop(stage, event, effects, 0.5)
    found = here + there
    assert len(here) == 4
    assert traces(found) == {TRACE}
    (question,) = (span for span in found if span.name == "question")
    own, above = shown(question)
    assert above is None
    assert {shown(span)[1] for span in found if span is not question} == {own}
    assert [span.name for span in found if span is not question].count("generate") == 2
    assert question.start_time == int((EPOCH - 9) * 1e9)
    assert question.end_time == int(EPOCH * 1e9)
    assert question.attributes is not None
    assert question.attributes["tamiz.outcome"] == "accepted"


def test_a_question_belongs_to_the_trace_of_whoever_asked() -> None:
    with keeping() as (spans, found):
        for stage, event, effects in life(traceparent=ABOVE):
            spans.hop(stage, event, effects, 0.5)
    assert traces(found) == {ABOVE[3:35]}
    (question,) = (span for span in found if span.name == "question")
    assert shown(question)[1] == ABOVE[36:52]


def test_calls_tell_of_models_tokens_and_failures() -> None:
    with keeping() as (spans, found):
        for stage, event, effects in life():
            spans.hop(stage, event, effects, 0.5)
    answered, broken = (span for span in found if span.name == "generate")
    assert answered.attributes is not None
    assert broken.attributes is not None
    assert answered.attributes["gen_ai.request.model"] == "e"
    assert (answered.attributes["gen_ai.usage.input_tokens"], answered.attributes["gen_ai.usage.output_tokens"]) == (
        5,
        7,
    )
    assert answered.end_time is not None
    assert answered.start_time is not None
    assert answered.end_time - answered.start_time == 5e8
    assert broken.status.status_code is StatusCode.ERROR
    assert broken.attributes["error.type"] == "overload"


def test_what_others_do_not_keep_is_not_kept_here() -> None:
    with keeping() as (spans, found):
        for stage, event, effects in life(traceparent=ABOVE[:-1] + "0"):
            spans.hop(stage, event, effects, 0.5)
        span = spans.entered(ABOVE[:-1] + "0", TRACE)
        spans.served(span, header=ABOVE[:-1] + "0", method="GET", route="/x", status=200, seconds=1)
    assert found == []


@pytest.mark.parametrize("trace_id", ["", "t1", "0" * 32, "x" * 32, "A" * 32])
def test_an_id_that_is_none_of_a_trace_becomes_one(trace_id: str) -> None:
    """Messages of others: the same id in every process."""
    with keeping() as (one, here), keeping() as (two, there):
        for spans in (one, two):
            spans.hop("intake", asked(trace_id=trace_id), Effects(), 0.0)
    assert len(traces(here + there)) == 1


def test_a_sampler_says_the_same_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the traces are kept, each of them whole."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.33")
    with keeping() as (one, here), keeping() as (two, there):
        for number in range(200):
            submission = message_id("a1b2c3d4e5f6", number, str(number))
            told = {"message_id": submission, "trace_id": trace_of(submission)}
            end = dead(**told)
            one.hop("intake", asked(**told), Effects(), 0.0)
            two.hop("persist", end, Effects(record=(end,)), 0.0)
    assert traces(here) == traces(there)
    assert 30 < len(traces(here)) < 100
    assert len(there) == 2 * len(here)


def test_a_request_s_span_is_below_its_caller_s_and_above_its_question() -> None:
    with keeping() as (spans, found):
        span = spans.entered(ABOVE, TRACE)
        for stage, event, effects in life(traceparent=str(span)):
            spans.hop(stage, event, effects, 0.5)
        spans.served(span, header=ABOVE, method="POST", route="/questions", status=503, seconds=0.25)
    named = {span.name: span for span in found}
    assert traces(found) == {ABOVE[3:35]}
    request = named["POST /questions"]
    assert shown(request) == (span.span_id, ABOVE[36:52])
    assert request.status.status_code is StatusCode.ERROR
    assert shown(named["question"])[1] == span.span_id


def test_a_request_without_a_caller_begins_a_trace() -> None:
    with keeping() as (spans, found):
        span = spans.entered("nonsense", TRACE)
        spans.served(span, header="nonsense", method="POST", route="/questions", status=200, seconds=0.25)
    assert span == Traceparent(TRACE, span.span_id, sampled=True)
    assert parse(str(span)) == span
    assert traces(found) == {TRACE}
    assert shown(found[0]) == (span.span_id, None)


def test_spans_without_a_given_id_have_ids_of_their_own() -> None:
    with keeping() as (spans, found):
        for stage, event, effects in itertools.chain.from_iterable([life()] * 3):
            spans.hop(stage, event, effects, 0.0)
    ids = [shown(span)[0] for span in found if span.name != "question"]
    assert len(set(ids)) == len(ids) == 24
