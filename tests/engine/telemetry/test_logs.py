"""What may reach a log line, and what never does."""

import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from core.settings import TelemetrySettings
from engine.telemetry.logs import configure_logging, request_id, take_over
from engine.telemetry.redact import redact

JWT = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLXdpdGgtYnl0ZXM"
SECRET = "hunter2-S3cr3t"
log = logging.getLogger("headwater.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What the process would write to stderr; the loggers are put back afterwards."""
    root = logging.root
    handlers, level = root.handlers[:], root.level
    output = io.StringIO()
    configure_logging(TelemetrySettings(log_level="debug"), stream=output)
    yield output
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def as_json(stream: io.StringIO) -> None:
    configure_logging(TelemetrySettings(log_json=True), stream=stream)


LEAKS = [
    f"GET /v1/tables Authorization: Bearer {SECRET}",
    f"headers={{'authorization': 'Bearer {SECRET}'}}",
    f"Authorization: Basic {SECRET}",
    f"bearer {SECRET}",
    f"postgresql://headwater:{SECRET}@db.internal:5432/x",
    f"could not open redis://:{SECRET}@cache:6379/0",
    f"postgresql://u:p@{SECRET}/odd@host/db",
    f"hwt_{SECRET}",
    f"the client secret hws_{SECRET} was refused",
    f"client_secret={SECRET}&grant_type=client_credentials",
    f'{{"password": "{SECRET}"}}',
    f"{{'api_key': '{SECRET} with spaces'}}",
    f"x-api-key: {SECRET}",
    f"AWS_SECRET_ACCESS_KEY={SECRET}",
    f"https://host/cb?access_token={SECRET}&x=1",
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
    f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}",
    f"[SQL: INSERT INTO t VALUES (?)]\n[parameters: ('{SECRET}', 'it]s')]\n(Background on this error)",
    f"duplicate key\nDETAIL:  Key (email)=({SECRET}) already exists.",
    f"Cookie: session={SECRET}",
]


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_never_reaches_a_line(stream: io.StringIO, leak: str, form: str) -> None:
    if form == "json":
        as_json(stream)
    log.warning("it happened: %s", leak)
    try:
        raise ValueError(leak)
    except ValueError:
        log.exception("it failed")
    assert "it happened" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_tokens_never_reach_a_line_even_from_chained_exceptions(stream: io.StringIO) -> None:
    try:
        try:
            raise KeyError(JWT)
        except KeyError as error:
            raise RuntimeError(f"token {JWT}") from error
    except RuntimeError:
        log.error("failed for %s", JWT, exc_info=True, stack_info=True)
    assert "eyJ" not in stream.getvalue()
    assert "RuntimeError" in stream.getvalue()


def test_parameters_of_a_failed_statement_never_reach_a_line(stream: io.StringIO) -> None:
    values = {"a": "row value", "b": "other value"}
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        try:
            connection.execute(text("INSERT INTO nowhere VALUES (:a, :b)"), values)
        except SQLAlchemyError:
            log.exception("failed")
    engine.dispose()
    assert "nowhere" in stream.getvalue()
    assert "row value" not in stream.getvalue()
    assert "other value" not in stream.getvalue()


@pytest.mark.parametrize(
    "line",
    [
        "listening on http://127.0.0.1:8000/v1 and grpc://127.0.0.1:50051",
        "job 17 took 3.2 s, attempt 2 of 5",
        "postgresql://headwater@db.internal:5432/headwater does not answer",
        "the token expired 3 s ago",
        "max_tokens=400, prompt tokens: 12",
    ],
)
def test_ordinary_lines_stay_as_they_are(line: str) -> None:
    assert redact(line) == line


@pytest.mark.parametrize("unit", ["://:", "a-", "token", "eyJ", "[parameters: ", "bearer ", "DETAIL:\n"])
def test_a_line_made_to_be_slow_is_not(unit: str) -> None:
    started = time.process_time()
    redact(unit * 100_000)
    assert time.process_time() - started < 1.0


def test_what_is_around_a_secret_stays_readable() -> None:
    assert redact(f"postgresql://me:{SECRET}@db/x") == "postgresql://me:[redacted]@db/x"
    assert redact(f"a={1} password={SECRET}, b=2") == "a=1 password=[redacted], b=2"


def test_a_message_cannot_forge_a_second_line(stream: io.StringIO) -> None:
    log.info("tool %s", "x\n2026-01-01T00:00:00.000Z INFO headwater all is well\x1b[2J\r")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_lines_bear_the_request_id(stream: io.StringIO) -> None:
    token = request_id.set("req_42")
    log.info("inside")
    request_id.reset(token)
    log.info("outside")
    inside, outside = stream.getvalue().splitlines()
    assert "[req_42] inside" in inside
    assert "req_42" not in outside


def test_json_lines_are_one_object_each(stream: io.StringIO) -> None:
    as_json(stream)
    log.info("hello", extra={"request_id": "req_1"})
    entry = json.loads(stream.getvalue())
    assert entry.pop("time").endswith("Z")
    assert entry == {"level": "info", "logger": "headwater.test", "request_id": "req_1", "message": "hello"}


def test_other_libraries_are_tamed(stream: io.StringIO) -> None:
    own = io.StringIO()
    for name in ("uvicorn.access", "sqlalchemy.engine.Engine", "fastmcp"):
        logging.getLogger(name).addHandler(logging.StreamHandler(own))
        logging.getLogger(name).propagate = False
    take_over(TelemetrySettings(log_level="info"))
    logging.getLogger("uvicorn.access").info("GET /?token=x")
    logging.getLogger("sqlalchemy.engine.Engine").info("SELECT 1")
    logging.getLogger("httpx").info("HTTP Request: GET https://x")
    assert (stream.getvalue(), own.getvalue()) == ("", "")
    logging.getLogger("fastmcp").warning("password=%s", SECRET)
    assert "password=[redacted]" in stream.getvalue()
    assert own.getvalue() == ""


def test_logging_needs_no_heavy_library() -> None:
    code = "import engine.telemetry.logs, engine.telemetry.traces, engine.telemetry.metrics, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"opentelemetry", "prometheus_client", "sqlalchemy", "redis"} & set(loaded)
