"""Spans of exchanges, kept in memory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from rightsmanager import __version__
from rightsmanager.app import build
from rightsmanager.errors import InternalError, ServiceSpecific
from rightsmanager.hooks.facts import Progress
from rightsmanager.keyring import create, rng_for
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.monitoring.tracing import SpanMaker, make_provider
from rightsmanager.protocol.wire import Kid
from rightsmanager.server import Runtime
from rightsmanager.settings import Settings, TracingSettings
from rightsmanager.store.schema import upgrade
from tests.monitoring.conftest import exchange

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from rightsmanager.hooks.exchange import Exchange

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
DAY = 1_700_000_000


def spans(*exchanges: Exchange) -> tuple[ReadableSpan, ...]:
    """Return the spans that exchanges make, in the order of their end."""
    exporter = InMemorySpanExporter()
    provider = make_provider(exporter)
    # The exchange's clock showed 2.0 at the time DAY + 2.
    observe = SpanMaker(provider, lambda: DAY + 2.0, lambda: 2.0)
    for each in exchanges:
        observe(each)
    provider.shutdown()
    return exporter.get_finished_spans()


def offsets(span: ReadableSpan) -> tuple[float, float]:
    """Return the start and the end of a span in seconds after DAY + 1, when exchanges begin."""
    assert span.start_time is not None
    assert span.end_time is not None
    begun = (DAY + 1) * 1_000_000_000
    # Times of 1e18 ns are exact to a microsecond as floats of seconds.
    return round((span.start_time - begun) / 1e9, 5), round((span.end_time - begun) / 1e9, 5)


def test_a_request_is_a_span_with_one_for_each_stage() -> None:
    progress = Progress(
        device="a-device",
        kids=(Kid(bytes(16)),),
        verified=1.015625,
        decided=1.0234375,
        recorded=1.02734375,
    )
    *stages, request = spans(exchange(progress=progress))
    assert (request.name, request.kind) == ("AcquireLicense", SpanKind.SERVER)
    assert request.attributes == {
        "rpc.system": "soap",
        "rpc.method": "AcquireLicense",
        "http.response.status_code": 200,
        "rightsmanager.outcome": "ok",
        "rightsmanager.request_id": "an-id",
        "rightsmanager.kids": 1,
        "rightsmanager.device": "a-device",
    }
    assert [each.name for each in stages] == ["read", "verify", "decide", "record", "seal"]
    assert [each.parent for each in stages] == [request.context] * 5
    assert offsets(request) == (0.0, 0.03125)
    assert [offsets(each)[0] for each in stages] == [0.0, 0.00781, 0.01562, 0.02344, 0.02734]
    assert offsets(stages[-1])[1] == 0.03125


def test_a_span_continues_the_callers_trace() -> None:
    traceparent = f"00-{TRACE}-{CALLER}-01"
    *_, request = spans(exchange(HTTP_TRACEPARENT=traceparent, HTTP_TRACESTATE="vendor=1"))
    assert request.context is not None
    assert request.parent is not None
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == CALLER
    assert request.context.trace_state.get("vendor") == "1"


@pytest.mark.parametrize("header", ["", "garbage", f"00-{'0' * 32}-{CALLER}-01", "00-" * 5000])
def test_an_invalid_trace_begins_a_new_one(header: str) -> None:
    *_, request = spans(exchange(HTTP_TRACEPARENT=header))
    assert request.parent is None


def test_a_trace_that_the_caller_does_not_sample_has_no_spans() -> None:
    assert spans(exchange(HTTP_TRACEPARENT=f"00-{TRACE}-{CALLER}-00")) == ()


def test_only_the_servers_own_faults_are_errors() -> None:
    made = spans(
        exchange(refusal=ServiceSpecific("no"), progress=Progress(verified=1.015625)),
        exchange("", refusal=InternalError("no")),
    )
    found = {span.name: span for span in made}
    refused, failed = found["AcquireLicense"], found["unknown"]
    assert refused.attributes is not None
    assert refused.attributes["rightsmanager.outcome"] == "0x8004c604"
    assert refused.attributes["http.response.status_code"] == 500
    assert refused.status.status_code == StatusCode.UNSET
    assert failed.status.status_code == StatusCode.ERROR


def test_variables_name_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_provider(InMemorySpanExporter()).resource.attributes["service.name"] == (
        "rightsmanager"
    )
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    attributes = make_provider(InMemorySpanExporter()).resource.attributes
    assert (attributes["service.name"], attributes["service.version"]) == ("mine", __version__)


def test_the_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(KeyFiles(tmp_path, None), rng_for("tracing"))
    settings = Settings(data=tmp_path, tracing=TracingSettings(enabled=True))
    upgrade(settings.effective_database_url)
    monkeypatch.delitem(sys.modules, "rightsmanager.monitoring.tracing")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(InternalError, match=r"pip install '\.\[otel\]'"):
        build(settings, Runtime())
