"""Spans of requests for OpenTelemetry: one for the request, and one below it for each stage.

They are made after the reply from the times of its exchange, so that the service has no calls for
them. The span continues the trace of the request's `traceparent`. The library's own OTEL_ variables
name the service, choose the sampler, and say where spans are sent by OTLP over HTTP.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from rightsmanager import __version__
from rightsmanager.errors import InternalError
from rightsmanager.hooks.exchange import STAGES, Exchange
from rightsmanager.hooks.facts import KEY_PROTOCOLS
from rightsmanager.monitoring.layout import OK, UNKNOWN

_NANOSECONDS: Final = 1_000_000_000
_CARRIED: Final = {"HTTP_TRACEPARENT": "traceparent", "HTTP_TRACESTATE": "tracestate"}
_PROPAGATOR: Final = TraceContextTextMapPropagator()

Clock = Callable[[], float]


def make_provider(exporter: SpanExporter | None = None) -> TracerProvider:
    """Return the source of spans; without an exporter they are sent as OTEL_ variables say."""
    given: dict[str, Any] = {SERVICE_VERSION: __version__}
    if SERVICE_NAME not in OTELResourceDetector().detect().attributes:
        given[SERVICE_NAME] = "rightsmanager"
    provider = TracerProvider(resource=Resource.create(given))
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
    return provider


class SpanMaker:
    """An observer that makes the spans of each exchange."""

    def __init__(
        self,
        provider: TracerProvider,
        wall_clock: Clock = time.time,
        clock: Clock = time.perf_counter,
    ) -> None:
        """Take the clock of spans, and the one that exchanges are timed by."""
        self._tracer = provider.get_tracer("rightsmanager", __version__)
        self._wall_clock = wall_clock
        self._clock = clock

    def __call__(self, exchange: Exchange) -> None:
        """Make the spans of an exchange."""
        offset = self._wall_clock() - self._clock()

        def at(moment: float) -> int:
            return int((moment + offset) * _NANOSECONDS)

        span = self._tracer.start_span(
            exchange.operation or UNKNOWN,
            context=_parent(exchange.environ),
            kind=SpanKind.SERVER,
            attributes=_attributes(exchange),
            start_time=at(exchange.begun),
        )
        if span.is_recording():
            # Other refusals are the client's error, as an HTTP status of 400 is.
            if isinstance(exchange.refusal, InternalError):
                span.set_status(Status(StatusCode.ERROR))
            self._add_stages(exchange, set_span_in_context(span), at)
        span.end(at(exchange.ended))

    def _add_stages(self, exchange: Exchange, parent: Context, at: Callable[[float], int]) -> None:
        begun = exchange.begun
        for stage, seconds in zip(STAGES, exchange.stages(), strict=False):
            child = self._tracer.start_span(stage, context=parent, start_time=at(begun))
            begun += seconds
            child.end(at(begun))


def _parent(environ: Mapping[str, Any]) -> Context:
    """Return the context of the caller's span; empty without a valid `traceparent`."""
    carrier = {name: environ[key] for key, name in _CARRIED.items() if key in environ}
    return _PROPAGATOR.extract(carrier, context=Context())


def _attributes(exchange: Exchange) -> dict[str, str | int]:
    refusal, progress = exchange.refusal, exchange.progress
    found: dict[str, str | int] = {
        **({} if exchange.operation in KEY_PROTOCOLS else {"rpc.system": "soap"}),
        "rpc.method": exchange.operation or UNKNOWN,
        "http.response.status_code": int(exchange.http_status[:3]),
        "rightsmanager.outcome": OK if refusal is None else refusal.status.hex,
        "rightsmanager.request_id": exchange.request_id,
        "rightsmanager.kids": len(progress.kids),
    }
    if progress.device:
        found["rightsmanager.device"] = progress.device
    return found
