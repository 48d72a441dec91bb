"""Records of the audit as OpenTelemetry logs, at a real HTTP server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from core.settings import EgressSettings
from engine.audit.otlp import CAPACITY, AuditFeed
from tests.engine.audit.records import make_record


class Collector(ThreadingHTTPServer):
    """Takes OTLP logs; answers `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Door)
        self.status, self.bodies, self.paths = 200, list[Any](), list[str]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def records(self) -> list[dict[str, Any]]:
        return [
            record
            for body in self.bodies
            for resource in body["resourceLogs"]
            for scope in resource["scopeLogs"]
            for record in scope["logRecords"]
        ]


class _Door(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.server.status == 200:
            self.server.bodies.append(body)
        self.server.paths.append(self.path)
        self.send_response(self.server.status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: Any) -> None:
        return None


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


async def test_every_record_is_sent_once_with_who_what_and_how_it_ended(collector: Collector) -> None:
    feed = AuditFeed(collector.url, EgressSettings(), version="1.2.3")
    feed.put([make_record(request_id=f"req_{number}", decision="refused", code="NOT_FOUND") for number in range(1200)])
    await feed.close()
    assert len(collector.records) == 1200 and set(collector.paths) == {"/v1/logs"}
    record = collector.records[0]
    told = {item["key"]: item["value"] for item in record["attributes"]}
    assert told["headwater.subject"] == {"stringValue": "alice"}
    assert told["headwater.tenant"] == {"stringValue": "acme"}
    assert told["headwater.resources"] == {"arrayValue": {"values": [{"stringValue": "table:db.events"}]}}
    assert (record["severityText"], record["timeUnixNano"]) == ("WARN", "1795262400123456000")
    assert (
        len(
            {
                item["value"]["stringValue"]
                for r in collector.records
                for item in r["attributes"]
                if item["key"] == "headwater.request_id"
            }
        )
        == 1200
    )


async def test_what_nobody_takes_waits_up_to_a_bound(collector: Collector) -> None:
    collector.status = 503
    feed = AuditFeed(collector.url, EgressSettings(), version="1.2.3")
    feed.put([make_record(request_id=f"req_{number}") for number in range(CAPACITY + 5)])
    assert not await feed.flush()
    collector.status = 200
    await feed.close()
    assert len(collector.records) == CAPACITY


async def test_a_feed_without_a_server_ends_with_the_process() -> None:
    feed = AuditFeed("http://127.0.0.1:9", EgressSettings(), version="1.2.3")
    feed.start()
    feed.put([make_record()])
    await feed.close()
