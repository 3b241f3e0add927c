"""Questions that come over HTTP belong to the trace of the request that brings them."""

import json
import logging
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from http_service import service
from tamiz.clock import SystemClock
from tamiz.telemetry.spans import Spans
from waiting import until

ABOVE: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ROWS: Final = "".join(json.dumps({"question": f"What is {n}?"}) + "\n" for n in range(3))
NO_ROW: Final = "{broken\n"


async def hand_in(folder: Path, body: str, header: str | None, spans: Spans | None) -> list[str]:
    """Hand a data set in, wait until all of it has ended, and give its questions' ids."""
    told = {"content-type": "application/jsonl"} | ({} if header is None else {"traceparent": header})
    async with service(folder, spans=spans) as running, running.client() as client:
        answer = await client.post("/datasets", content=body, headers=told)
        await until(lambda: not len(running.embedded.queue), "all to end")
    return [row["message_id"] for row in map(json.loads, answer.text.splitlines()) if "message_id" in row]


def fields(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """Give what is logged of the request."""
    (found,) = (record.fields for record in caplog.records if record.name == "tamiz.http")  # type: ignore[attr-defined]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("header", [ABOVE, None])
async def test_rows_are_below_the_request_that_brings_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, header: str | None
) -> None:
    """All in one trace: the caller's, or one that begins with the request. The log tells it of the request too."""
    caplog.set_level(logging.INFO, "tamiz.http")
    exporter = InMemorySpanExporter()
    spans = Spans(exporter, SystemClock())
    ids = await hand_in(tmp_path, ROWS + NO_ROW, header, spans)
    spans.close()
    found = exporter.get_finished_spans()
    (request,) = (span for span in found if span.name == "POST /datasets")
    assert (_above(request), _trace(request)) == ((ABOVE[36:52], ABOVE[3:35]) if header else (None, _trace(request)))
    questions = {
        span.attributes["tamiz.message_id"]: span for span in found if span.attributes and span.name == "question"
    }
    assert sorted(map(str, questions)) == sorted(ids)
    assert {_above(span) for span in questions.values()} == {f"{request.context.span_id:016x}"}
    assert {_trace(span) for span in found} == {_trace(request)}
    assert fields(caplog)["trace_id"] == _trace(request)
    assert "message_id" not in fields(caplog)


async def test_without_a_trace_each_row_has_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells of no single row; of a request that brings one it does."""
    caplog.set_level(logging.INFO, "tamiz.http")
    await hand_in(tmp_path, ROWS, None, None)
    assert not {"trace_id", "message_id"} & set(fields(caplog))
    caplog.clear()
    (only,) = await hand_in(tmp_path, '{"question": "Alone?"}\n', None, None)
    assert fields(caplog)["message_id"] == only
    assert len(fields(caplog)["trace_id"]) == 32


def _trace(span: ReadableSpan) -> str:
    return f"{span.context.trace_id:032x}"


def _above(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"
