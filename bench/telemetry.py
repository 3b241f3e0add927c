"""What it costs to tell of a question's hops, in microseconds of CPU a question: `python bench/telemetry.py`.

The hops are those of a question that is accepted at once, as the embedded flow tells them, without the host.
"""

import io
import statistics
import time
from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tamiz.clock import SystemClock
from tamiz.effects import Effects
from tamiz.http.metrics import Metrics
from tamiz.identity import message_id, trace_of
from tamiz.messages import Event, LlmRequest, LlmResponse, QuestionAsked, Scored, Source, ValidatedResponse
from tamiz.settings import Settings
from tamiz.telemetry.hops import LoggedHops
from tamiz.telemetry.logs import logging_as
from tamiz.telemetry.observer import Observer
from tamiz.telemetry.spans import Spans

Hop = tuple[str, Event, Effects]
CLOCK = SystemClock()
QUESTIONS = 3_000
ROUNDS = 7


class _Nowhere(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - as it is asked
        return SpanExportResult.SUCCESS


def hops(number: int) -> list[Hop]:
    submission = message_id("a1b2c3d4e5f6", number, str(number))
    told = {
        "message_id": submission,
        "trace_id": trace_of(submission),
        "question_id": str(number),
        "title": f"Question {number}?",
        "best_answer": "Paris",
        "cache_key": submission,
        "created_at": CLOCK.time(),
    }
    asked = QuestionAsked(**told)  # type: ignore[arg-type] # as they are named there
    request = LlmRequest(**told)  # type: ignore[arg-type] # likewise
    answer = LlmResponse(**told, llm_answer="Paris", model="m", endpoint="m", latency_ms=5.0)  # type: ignore[arg-type] # likewise
    scored = Scored(llm_answer="Paris", score=1.0, attempt=1, model="m")
    end = ValidatedResponse(
        **told,  # type: ignore[arg-type] # likewise
        accepted=True,
        answer=scored,
        source=Source.MODEL,
        attempts=1,
        leader=submission,
    )
    return [
        ("intake", asked, Effects(emit=(request,))),
        ("generate", request, Effects(emit=(answer,))),
        ("judge", answer, Effects(emit=(end,))),
        ("persist", end, Effects(record=(end,))),
        ("intake", end, Effects()),
    ]


def measure(observer: Observer | None, questions: list[list[Hop]]) -> float:
    """Give the microseconds of this thread's CPU that a question costs."""
    took = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for question in questions:
            for stage, event, effects in question:
                if observer is not None:
                    observer.hop(stage, event, effects, 0.001)
        took.append((time.thread_time() - began) / len(questions) * 1e6)
    return statistics.median(took)


def main() -> None:
    questions = [hops(number) for number in range(QUESTIONS)]
    spans = Spans(_Nowhere(), CLOCK)

    def logged(level: str) -> Callable[[], float]:
        def with_logs() -> float:
            settings = Settings(log="json", log_level=level)  # type: ignore[arg-type] # one of them
            with logging_as(settings, io.StringIO()):
                return measure(LoggedHops.wanted(CLOCK), questions)

        return with_logs

    cases: dict[str, Callable[[], float]] = {
        "nobody wants to know": lambda: measure(None, questions),
        "metrics": lambda: measure(Metrics(CLOCK), questions),
        "logs, outcomes": logged("info"),
        "logs, each hop": logged("debug"),
        "traces, made and queued": lambda: measure(spans, questions),
    }
    for name, case in cases.items():
        print(f"{name:>25}  {case():8.2f} us a question of 5 hops")
    spans.close()


if __name__ == "__main__":
    main()
