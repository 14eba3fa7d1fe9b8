"""Traces over HTTP: a collector receives the spans of a server's requests."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from rightsmanager.crypto.random import system_random
from rightsmanager.protocol.wire import Kid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

    from tests.e2e.conftest import Enrol, HeaderOf, Start


class Collector:
    """A collector of OpenTelemetry that keeps what it receives."""

    def __init__(self) -> None:
        received = self.received = list[tuple[str, bytes]]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                received.append((self.path, self.rfile.read(length)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def resources(self) -> list[ResourceSpans]:
        return [
            spans
            for _, body in self.received
            for spans in ExportTraceServiceRequest.FromString(body).resource_spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


def test_a_request_arrives_at_the_collector(
    start: Start, enrol: Enrol, header_of: HeaderOf, collector: Collector, tmp_path: Path
) -> None:
    server = start(
        tmp_path / "data",
        RIGHTSMANAGER_TRACING__ENABLED="true",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_COMPRESSION="none",
        OTEL_SERVICE_NAME="licences",
    )
    client = enrol(server.data)
    trace, caller = system_random(16).hex(), system_random(8).hex()
    body = client.challenge(header_of(Kid(system_random(16)).base64))
    assert server.post(body, traceparent=f"00-{trace}-{caller}-01").status == 200
    # The worker sends what it has before it ends.
    assert server.stop() == 0

    assert {path for path, _ in collector.received} == {"/v1/traces"}
    (found,) = collector.resources()
    names = {each.key: each.value.string_value for each in found.resource.attributes}
    assert names["service.name"] == "licences"
    spans = {span.name: span for scope in found.scope_spans for span in scope.spans}
    assert set(spans) == {"AcquireLicense", "read", "verify", "decide", "record", "seal"}
    assert {span.trace_id.hex() for span in spans.values()} == {trace}
    assert spans["AcquireLicense"].parent_span_id.hex() == caller
    attributes = {each.key: each.value for each in spans["AcquireLicense"].attributes}
    device = client.device.chain.leaf.device_id
    assert attributes["rightsmanager.device"].string_value == device
    assert attributes["rightsmanager.outcome"].string_value == "ok"
