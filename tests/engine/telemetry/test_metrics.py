"""Metrics of calls: bounded series, and gauges read at the scrape."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from core.ports import AuditRecord
from engine.telemetry.metrics import Metrics

RECORD = AuditRecord(
    request_id="req_1",
    at=datetime(2026, 11, 21, tzinfo=UTC),
    tenant="acme",
    subject="alice",
    via="client",
    credential_id="",
    face="mcp",
    tool="execute_query",
    effect="read",
    argument_digest="",
    decision="allowed",
    code="OK",
    duration_ms=20.0,
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(max_tenants=2)


def page(metrics: Metrics) -> str:
    body, media_type = metrics.render()
    assert media_type.startswith("text/plain")
    return body.decode()


def test_calls_are_counted_and_timed(metrics: Metrics) -> None:
    for code in ("OK", "OK", "NOT_FOUND"):
        metrics.observe(replace(RECORD, code=code))
    text = page(metrics)
    assert 'headwater_calls_total{code="OK",face="mcp",tenant="acme",tool="execute_query"} 2.0' in text
    assert 'headwater_calls_total{code="NOT_FOUND",face="mcp",tenant="acme",tool="execute_query"} 1.0' in text
    assert 'headwater_call_seconds_bucket{face="mcp",le="0.025",tool="execute_query"} 3.0' in text
    assert 'headwater_call_seconds_bucket{face="mcp",le="0.01",tool="execute_query"} 0.0' in text


def test_tenants_beyond_the_cap_count_as_other(metrics: Metrics) -> None:
    for number in range(50):
        metrics.observe(replace(RECORD, tenant=f"tenant{number}"))
    text = page(metrics)
    assert 'tenant="tenant1"' in text
    assert 'tenant="tenant2"' not in text
    assert 'tenant="other",tool="execute_query"} 48.0' in text


def test_gauges_are_read_when_scraped(metrics: Metrics) -> None:
    jobs = {"running": 1.0}
    metrics.watch("headwater_jobs", "Jobs by status.", "status", lambda: jobs)
    assert 'headwater_jobs{status="running"} 1.0' in page(metrics)
    jobs["pending"] = 7.0
    assert 'headwater_jobs{status="pending"} 7.0' in page(metrics)


def test_two_sets_of_metrics_do_not_share(metrics: Metrics) -> None:
    metrics.observe(RECORD)
    assert "execute_query" not in page(Metrics())
