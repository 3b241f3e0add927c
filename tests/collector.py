"""A collector of traces: what OTLP over HTTP brings, as it came."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["Collector", "Got", "collecting"]


class Got(NamedTuple):
    """A span."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent: str
    message_id: str


class Collector:
    """Takes spans from any number of processes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: list[str] = []
        """What stood in the headers of requests."""
        self._spans: list[Got] = []
        self._lock = threading.Lock()

    def take(self, body: bytes) -> None:
        """Take a request's spans."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            for group in request.resource_spans:
                service = next(
                    each.value.string_value for each in group.resource.attributes if each.key == "service.name"
                )
                for span in (span for scope in group.scope_spans for span in scope.spans):
                    told = {each.key: each.value.string_value for each in span.attributes}
                    ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
                    self._spans.append(Got(service, span.name, *ids, told.get("tamiz.message_id", "")))

    @property
    def spans(self) -> list[Got]:
        """All that came."""
        with self._lock:
            return [*self._spans]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run one for the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.headers.append(str(self.headers))
            assert self.path == "/v1/traces", self.path
            collector.take(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, name="collector")
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join(10)
