"""Spans of calls, as an exporter gets them."""

from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pytest import raises

from core.dispatch import Call, Dispatcher, Ports
from core.errors import NotFound, Unavailable
from core.registry import Registry
from core.settings import TelemetrySettings
from engine.telemetry.logs import request_id
from engine.telemetry.traces import EXPORTER, Tracing
from tests.fakes.gate import FakeGate

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def make_call(tool: str, **changes: Any) -> Call:
    return Call(tool, {"secret": "value"}, "rest", "req_1", **changes)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> Tracing:
    return Tracing(TelemetrySettings(), exporter=exporter)


def spans(tracing: Tracing, exporter: InMemorySpanExporter) -> list[Any]:
    tracing.close()
    return list(exporter.get_finished_spans())


def test_a_call_is_a_span_named_by_its_tool_and_holds_no_arguments(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    with tracing.scope(make_call("list_tables")):
        assert request_id.get() == "req_1"
    assert request_id.get() == ""
    (span,) = spans(tracing, exporter)
    assert span.name == "list_tables"
    assert dict(span.attributes) == {
        "headwater.face": "rest",
        "headwater.request_id": "req_1",
        "headwater.code": "OK",
    }


def test_a_nested_call_is_a_child_and_the_callers_trace_goes_on(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    with tracing.scope(make_call("outer", traceparent=PARENT)), tracing.scope(make_call("inner", is_nested=True)):
        pass
    inner, outer = spans(tracing, exporter)
    assert format(outer.context.trace_id, "032x") == PARENT.split("-")[1]
    assert format(outer.parent.span_id, "016x") == PARENT.split("-")[2]
    assert inner.parent.span_id == outer.context.span_id


@pytest.mark.parametrize(("error", "is_error"), [(NotFound("secret"), False), (Unavailable("secret"), True)])
def test_a_failed_call_says_its_code_and_not_its_message(
    tracing: Tracing, exporter: InMemorySpanExporter, error: Exception, is_error: bool
) -> None:
    with raises(type(error)), tracing.scope(make_call("list_tables")):
        raise error
    (span,) = spans(tracing, exporter)
    assert span.attributes["headwater.code"] == error.code  # type: ignore[attr-defined]
    assert (span.status.status_code.name == "ERROR") is is_error
    assert "secret" not in span.to_json()


def test_a_name_that_is_no_tools_is_not_exported(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    with tracing.scope(make_call("select 'secret'")):
        pass
    assert spans(tracing, exporter)[0].name == "unknown"


def test_a_broken_traceparent_starts_a_trace(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    with tracing.scope(make_call("list_tables", traceparent="00-zz-zz-01")):
        pass
    assert spans(tracing, exporter)[0].parent is None


def test_without_an_endpoint_only_log_lines_know_the_request() -> None:
    tracing = Tracing(TelemetrySettings())
    with tracing.scope(make_call("list_tables")):
        assert request_id.get() == "req_1"
    tracing.close()


def test_an_endpoint_without_the_exporter_is_explained() -> None:
    try:
        __import__(EXPORTER)
    except ImportError:
        with raises(Unavailable, match="exporter is not installed") as refused:
            Tracing(TelemetrySettings(otlp_endpoint="http://127.0.0.1:4318"))
        assert "headwater[otlp]" in refused.value.hint
    else:
        Tracing(TelemetrySettings(otlp_endpoint="http://127.0.0.1:4318")).close()


async def test_the_gate_opens_the_span(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    fake: Any = FakeGate()
    ports = Ports(
        verify=fake.verify,
        limits=fake,
        visibility=fake,
        approvals=fake,
        idempotency=fake,
        jobs=fake,
        audit=fake,
    )
    dispatcher: Dispatcher[None] = Dispatcher(Registry([]), None, ports, scope=tracing.scope)
    with raises(NotFound):
        await dispatcher.call(make_call("no_such_tool", token="viewer-token"))
    (span,) = spans(tracing, exporter)
    assert (span.name, span.attributes["headwater.code"]) == ("no_such_tool", "NOT_FOUND")
