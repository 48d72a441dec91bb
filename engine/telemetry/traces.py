"""Traces: a span per call, exported over OTLP where an endpoint is set; else only log lines know the request."""

import importlib
from contextlib import AbstractContextManager
from contextvars import Token
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from core.dispatch import Call
from core.errors import Cancelled, Internal, PlatformError, Unavailable
from core.settings import TelemetrySettings
from engine.telemetry.logs import request_id

EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class Tracing:
    """Gives the gate its `scope`: what surrounds each call. Spans name the tool, never its arguments."""

    def __init__(self, settings: TelemetrySettings, *, version: str = "", exporter: Any = None):
        self._provider: Any = None
        if settings.otlp_endpoint and exporter is None:
            exporter = _load_exporter(settings.otlp_endpoint)
        if exporter is not None:
            self._open(exporter, version)

    def scope(self, call: Call) -> AbstractContextManager[None]:
        """Surround one call: its log lines bear the request id, and its span, if any, is the current one."""
        return _Scope(call.request_id) if self._provider is None else _Span(self, call)

    def close(self) -> None:
        """Export what is left. Blocks for as long as that takes."""
        if self._provider is not None:
            self._provider.shutdown()

    def start(self, call: Call) -> Any:
        """A started span for a call: below the caller's, where a face handed in a W3C traceparent."""
        context = self._propagator.extract({"traceparent": call.traceparent}) if call.traceparent else None
        attributes = {"headwater.face": call.face, "headwater.request_id": call.request_id}
        name = call.tool if call.tool.isidentifier() and len(call.tool) <= 64 else "unknown"
        kind = self._api.SpanKind.INTERNAL if call.is_nested else self._api.SpanKind.SERVER
        return self._tracer.start_span(name, context=context, kind=kind, attributes=attributes)

    def enter(self, span: Any) -> AbstractContextManager[Any]:
        """Make a span the current one; our own text, not the exception's, says how it ended."""
        entered: AbstractContextManager[Any] = self._api.use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        )
        return entered

    def mark(self, span: Any, code: str) -> None:
        span.set_attribute("headwater.code", code)
        if code in (Internal.code, Unavailable.code):
            span.set_status(self._api.Status(self._api.StatusCode.ERROR, code))

    def _open(self, exporter: Any, version: str) -> None:
        # Loaded only where traces are wanted: 0.1 s, and nothing at all otherwise.
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        # A provider of our own, not the global one: spans of other libraries may hold arguments.
        resource = Resource.create({"service.name": "headwater", "service.version": version})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._api: Any = trace
        self._tracer: Any = self._provider.get_tracer("headwater", version)
        self._propagator: Any = TraceContextTextMapPropagator()


class _Scope(AbstractContextManager[None]):
    """A call without a span."""

    __slots__ = ("_request_id", "_token")
    _token: Token[str]

    def __init__(self, call_id: str):
        self._request_id = call_id

    def __enter__(self) -> None:
        self._token = request_id.set(self._request_id)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        request_id.reset(self._token)


class _Span(AbstractContextManager[None]):
    """A call with a span."""

    __slots__ = ("_call", "_entered", "_span", "_token", "_tracing")
    _token: Token[str]

    def __init__(self, tracing: Tracing, call: Call):
        self._tracing = tracing
        self._call = call

    def __enter__(self) -> None:
        self._token = request_id.set(self._call.request_id)
        self._span = self._tracing.start(self._call)
        self._entered = self._tracing.enter(self._span)
        self._entered.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = "OK" if error is None else error.code if isinstance(error, PlatformError) else Cancelled.code
        self._tracing.mark(self._span, code)
        self._entered.__exit__(None, None, None)
        request_id.reset(self._token)


def _load_exporter(endpoint: str) -> Any:
    try:
        module = importlib.import_module(EXPORTER)
    except ImportError:
        raise Unavailable(
            "telemetry.otlp_endpoint is set, but the OTLP exporter is not installed.",
            hint="pip install 'headwater[otlp]', or leave the endpoint empty.",
        ) from None
    has_path = urlsplit(endpoint).path.strip("/")
    return module.OTLPSpanExporter(endpoint=endpoint if has_path else endpoint.rstrip("/") + "/v1/traces")
