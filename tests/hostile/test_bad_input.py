"""Bad arguments, sent through every face: a clear error of the right code, a request id, and nothing leaks."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from google.protobuf import json_format

from tests.faces.served import Served
from tests.hostile.wire import (
    DEADLINE_S,
    FACES,
    LITERAL,
    ROW_VALUE,
    SECRET,
    Doors,
    Reply,
    methods,
    problems,
    still_answers,
)

INVALID, MISSING, DENIED = "INVALID_ARGUMENT", "NOT_FOUND", "QUERY_UNAUTHORIZED"
UNREADABLE = (INVALID, DENIED, "CONFLICT")
UNFIT = (INVALID, "CONFLICT")  # of the right form, but nothing that means something
TYPED = ("grpc", "grpc_web")
TRAVERSALS = (
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "/etc/passwd",
    "....//....//etc/passwd",
    "C:\\Windows\\win.ini",
    "file:///etc/passwd",
    "https://127.0.0.1/x",
    "~/.ssh/id_rsa",
    ".",
    "..",
)
INJECTIONS = (
    "' OR '1'='1",
    '"; DROP TABLE users; --',
    "{{7*7}}",
    "${jndi:ldap://x}",
    "$(id)",
    "%s%s%n",
    "\r\nX-Evil: 1",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One bad call, and the codes that are right for it."""

    name: str
    tool: str
    arguments: dict[str, Any]
    codes: tuple[str, ...] = (INVALID,)
    role: str = "admin"
    is_typed: bool = True  # False: a client of a typed face would turn it into something else

    def __str__(self) -> str:
        return f"{self.tool}: {self.name}"


def sql(name: str, text: str, *codes: str, connection_id: str = "lakehouse") -> Case:
    return Case(name, "execute_query", {"sql": text, "connection_id": connection_id}, codes or UNREADABLE)


def wrong_types() -> Iterator[Case]:
    for case in mistyped():
        yield replace(case, is_typed=False)
    yield Case("an unknown choice", "list_jobs", {"status": "exploded"})
    yield Case("an unknown kind", "create_connection", {"name": "x", "kind": "oracle"})
    yield Case("everything missing", "execute_query", {})
    yield Case("everything missing", "create_connection", {})


def mistyped() -> Iterator[Case]:
    for name, value in {"number": 7, "list": ["SELECT 1"], "object": {"a": 1}, "boolean": True, "null": None}.items():
        yield Case(f"a {name} for a text", "execute_query", {"sql": value})
    for wrong in ("many", 1.5, True, [1], {"a": 1}, "", "0x10", "1e2", "\u0661"):
        yield Case(f"{wrong!r} for a whole number", "list_tables", {"page_size": wrong})
    yield Case("a text for an object", "execute_query", {"sql": "SELECT 1", "parameters": "x"})
    yield Case("a list for an object", "execute_query", {"sql": "SELECT 1", "parameters": [1]})
    yield Case("a nested value for a text", "execute_query", {"sql": "SELECT 1", "parameters": {"a": {"b": 1}}})
    yield Case("a text for a list", "create_token", {"name": "x", "permissions": "query.run"})
    yield Case("an unknown field", "execute_query", {"sql": "SELECT 1", "sqll": "x"})
    yield Case("a field of Python", "execute_query", {"sql": "SELECT 1", "__class__": "x", "model_config": {}})


def numbers() -> Iterator[Case]:
    for value in (-1, 0, 1001, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, -(10**400)):
        yield Case(f"page_size {str(value)[:24]}", "list_tables", {"page_size": value})
    for value in (-1, -(2**63), 2**64):
        yield Case(f"skip {value}", "list_tables", {"skip": value})
    for value in (-1, 3601, 2**31 - 1):
        yield Case(f"timeout_seconds {value}", "execute_query", {"sql": "SELECT 1", "timeout_seconds": value})
    yield Case("max_rows beyond all", "execute_query", {"sql": "SELECT 1", "max_rows": 2**40})
    yield Case("days below nothing", "create_token", {"name": "x", "expires_in_days": -1})
    yield Case("days without end", "create_token", {"name": "x", "expires_in_days": 10**12})
    yield Case("an event before the first", "watch_job", {"job_id": "x", "after": -5})
    yield Case("no results wanted", "search_catalog", {"q": "orders", "limit": 0})


def texts() -> Iterator[Case]:
    yield Case("NUL", "execute_query", {"sql": "SELECT 'a\0b'"})
    yield Case("NUL", "get_table", {"table": "shop.\0orders"})
    yield Case("NUL in a name", "execute_query", {"sql": "SELECT 1", "parameters": {"a\0": "x"}})
    yield Case("NUL", "search_catalog", {"q": "\0"})
    for half in ("\ud800", "\udfff", "x\udc80y"):
        yield Case(f"half a character {half!a}", "execute_query", {"sql": f"SELECT '{half}'"})
        yield Case(f"half a character {half!a}", "describe_table", {"table": "shop.orders", "description": half})
        yield Case(f"half a character {half!a}", "create_token", {"name": half})
    yield Case("a very long id", "execute_query", {"sql": "SELECT 1", "connection_id": "x" * 100_000})
    yield Case("a long id", "get_job", {"job_id": "j" * 65}, (INVALID, MISSING))
    yield Case("a very long table", "get_table", {"table": "t" * 5_000})
    yield Case("a very long name", "create_connection", {"name": "n" * 10_000, "kind": "sqlite", "options": {}})
    yield Case("a very long description", "describe_table", {"table": "shop.orders", "description": "d" * 100_000})
    yield Case("an empty table", "execute_query", {"sql": ""})
    yield Case("an empty search", "search_catalog", {"q": ""})
    yield Case("an empty name", "create_connection", {"name": "", "kind": "sqlite", "options": {}})
    yield Case("201 parameters", "execute_query", {"sql": "SELECT 1", "parameters": {f"p{n}": "1" for n in range(201)}})


def places() -> Iterator[Case]:
    for value in (*TRAVERSALS, *INJECTIONS):
        yield Case(f"id {value!r}", "list_tables", {"connection_id": value}, (MISSING, INVALID))
        yield Case(f"id {value!r}", "get_query_status", {"query_id": value}, (MISSING, INVALID))
        yield Case(f"id {value!r}", "get_job", {"job_id": value}, (MISSING, INVALID))
        yield Case(f"id {value!r}", "get_table", {"table": value}, (MISSING, INVALID))
        yield Case(f"id {value!r}", "get_table_schema", {"table": f'shop."{value}"'}, (MISSING, INVALID))
        yield sql(f"table {value!r}", f"SELECT * FROM '{value}'")
        yield Case(f"time zone {value!r}", "create_schedule", schedule(time_zone=value), UNFIT)
    for path in (*TRAVERSALS, "/", "/proc/self/environ", "/dev/zero", "\0", "", "relative.db"):
        arguments = {"name": "x", "kind": "sqlite", "options": {"path": path}}
        yield Case(f"path {path!r}", "create_connection", arguments, ("UNAUTHORIZED", "CONFLICT", MISSING, INVALID))
        config = {"warehouse": path}
        yield Case(f"warehouse {path!r}", "set_catalog_config", config, ("UNAUTHORIZED", "CONFLICT", INVALID))
    for host in ("169.254.169.254", "10.0.0.1", "localhost", "[::1]", "0x7f000001", "evil host", "\u2488"):
        options = {"host": host, "database": "d", "user": "u", "port": "5432"}
        arguments = {"name": "x", "kind": "postgresql", "options": options}
        yield Case(f"host {host!r}", "create_connection", arguments, ("UNAUTHORIZED", "CONFLICT", MISSING, INVALID))


def schedule(**changes: Any) -> dict[str, Any]:
    arguments = {"connection_id": "lakehouse"}
    return {"name": "x", "tool": "refresh_schema", "arguments": arguments, "cron": "0 3 * * *", **changes}


def others() -> Iterator[Case]:
    for cron in (
        "",
        "* * * *",
        "99 * * * *",
        "* * * * * * *",
        "@reboot",
        "*/0 * * * *",
        "1-99999999 * * * *",
        "x" * 9999,
    ):
        yield Case(f"cron {cron[:20]!r}", "create_schedule", schedule(cron=cron), UNFIT)
    yield Case("a tool that is none", "create_schedule", schedule(tool="no_such_tool"), (*UNFIT, MISSING))
    yield Case("a tool that is no job", "create_schedule", schedule(tool="list_tables", arguments={}), UNFIT)
    yield Case("bad arguments inside", "create_schedule", schedule(arguments={"nope": 1}), UNFIT)
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    yield Case("arguments 64 deep", "create_schedule", schedule(arguments={"a": deep}))
    yield Case("unknown permissions", "create_token", {"name": "x", "permissions": ["root"]}, (*UNFIT, "UNAUTHORIZED"))
    yield Case("two paging styles", "list_tables", {"page_size": 1, "skip": 1})
    yield Case("two paging styles", "list_jobs", {"page_size": 1, "limit": 1})
    yield Case("a catalog elsewhere", "set_catalog_config", {"uri": "http://169.254.169.254/"}, (INVALID, "CONFLICT"))
    for token in ("", "x", "A" * 31, "A" * 129, "A" * 50_000, "%%%%", "../../" * 8, "\u00e9" * 40, "=" * 40):
        yield Case(f"page token {token[:12]!r}", "list_tables", {"page_token": token})
    for token in ("A" * 64, "-" * 44, "eyJsYXN0X2lkIjogMTAwfQeyJsYXN0X2lkIjogMTAwfQ"):
        yield Case(f"page token {token[:12]!r}", "list_tables", {"page_token": token}, (MISSING,))


def statements() -> Iterator[Case]:
    for text in (
        " ",
        ";",
        "--",
        "/* */",
        "\ufeff",
        "SELEC 1",
        "SELECT",
        "SELECT 1 FROM",
        "(" * 10_000,
        "SELECT " + "(" * 500,
    ):
        yield sql(repr(text[:20]), text)
    yield sql("10 MB of numbers", "SELECT " + "1," * 5_000_000 + "1")
    yield sql("10 MB of one text", f"SELECT '{LITERAL * 1_250_000}'")
    yield sql("a quote that does not end", f"SELECT '{LITERAL}")
    yield sql("a comment that does not end", f"SELECT 1 /* {LITERAL}")
    yield sql("a text that is no number", f"SELECT CAST('{LITERAL}' AS INTEGER)")
    yield sql("rows that are no numbers", "SELECT sum(CAST(name AS INTEGER)) FROM shop.orders")
    yield sql("rows of SQLite that are no JSON", "SELECT json_extract(name, '$.a') FROM people", connection_id="side")
    yield sql("a number without end", "SELECT 1" + "0" * 5_000, *UNREADABLE, "OK")
    yield sql("a division by zero", "SELECT 1 % 0, error('x') FROM shop.orders")
    yield sql("another's table", "SELECT * FROM theirs.people", DENIED)
    yield sql("two statements", f"SELECT 1; SELECT '{LITERAL}'", DENIED)
    yield sql("a write", f"INSERT INTO shop.orders VALUES (1, '{LITERAL}')", DENIED)
    yield sql("a file", f"SELECT * FROM read_csv('/etc/{LITERAL}')", DENIED)
    yield Case("a parameter too few", "execute_query", {"sql": "SELECT $a", "parameters": {}}, UNREADABLE)
    yield Case(
        "a parameter too many", "execute_query", {"sql": "SELECT 1", "parameters": {"b": LITERAL}}, (*UNREADABLE, "OK")
    )


def dead_sources() -> Iterator[Case]:
    for connection in ("dead", "gone", "broken"):
        of = {"connection_id": connection}
        for tool in ("list_tables", "get_schema", "check_connection"):
            yield Case(f"{connection} source", tool, of, ("UNAVAILABLE",))
        for tool in ("get_table", "list_columns", "get_table_schema"):
            yield Case(f"{connection} source", tool, {"table": "people", **of}, ("UNAVAILABLE",))
        for tool in ("execute_query", "execute_query_stream", "explain_query", "validate_query"):
            yield Case(f"{connection} source", tool, {"sql": f"SELECT '{LITERAL}' FROM people", **of}, ("UNAVAILABLE",))


GROUPS = {
    "wrong types": wrong_types,
    "numbers": numbers,
    "texts": texts,
    "places": places,
    "others": others,
    "statements": statements,
    "dead sources": dead_sources,
}


def can_send(face: str, case: Case) -> bool:
    """Whether a typed face can encode the call at all."""
    if face not in TYPED:
        return True
    if not case.is_typed:
        return False
    try:
        json_format.ParseDict(case.arguments, methods()[case.tool].request()).SerializeToString()
    except (json_format.ParseError, UnicodeEncodeError, TypeError, ValueError, RecursionError):
        return False
    return True


def faults(case: Case, reply: Reply, house: Served) -> list[str]:
    return problems(reply, house, allowed=case.codes, private=(LITERAL, ROW_VALUE))


@pytest.fixture(autouse=True)
def still_serves(house: Served, doors: Doors) -> Iterator[None]:
    yield
    still_answers(house, doors)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("group", GROUPS)
def test_bad_arguments_are_refused(house: Served, doors: Doors, group: str, face: str) -> None:
    found, slow = {}, {}
    for case in GROUPS[group]():
        if not can_send(face, case):
            continue
        started = time.monotonic()
        reply = doors[face].call(case.tool, case.arguments, house.tokens[case.role])
        took_s = time.monotonic() - started
        wrong = faults(case, reply, house)
        if wrong:
            found[str(case)] = wrong
        if took_s > DEADLINE_S / 2:
            slow[str(case)] = took_s
    assert (found, slow) == ({}, {})


def test_a_page_token_holds_for_one_caller_tool_and_set_of_arguments(house: Served, doors: Doors) -> None:
    first = doors.rest.call("list_tables", {"page_size": 1}, house.tokens["viewer"]).value
    token = first["next_page_token"]
    good = {"page_size": 1, "page_token": token}
    for face in FACES:
        assert doors[face].call("list_tables", good, house.tokens["viewer"]).code == "OK"
        tries: list[tuple[str, dict[str, Any], str]] = [
            ("list_tables", good, "editor"),
            ("list_tables", good, "other"),
            ("list_tables", {**good, "namespace": "shop"}, "viewer"),
            ("list_tables", {**good, "connection_id": "side"}, "viewer"),
            ("list_columns", {**good, "table": "shop.orders"}, "viewer"),
            ("list_connections", good, "viewer"),
            ("list_tables", {**good, "page_token": ("A" if token[0] != "A" else "B") + token[1:]}, "viewer"),
            ("list_tables", {**good, "page_token": token[:-2] + "AA"}, "viewer"),
            ("list_tables", {**good, "page_token": token + "AAAA"}, "viewer"),
        ]
        for tool, arguments, principal in tries:
            reply = doors[face].call(tool, arguments, house.tokens[principal])
            assert problems(reply, house, allowed=(MISSING,)) == [], (face, tool, principal)


def test_a_job_on_a_dead_source_is_handed_back_when_the_wait_is_over(house: Served, doors: Doors) -> None:
    started = time.monotonic()
    path = "/v1/catalog/schemas/dead/refresh?wait_s=0.2"
    reply = doors.rest.send("POST", path, b"{}", house.tokens["admin"])
    assert (reply.status, reply.value["status"] in ("pending", "running")) == (202, True)
    assert time.monotonic() - started < 3
    assert SECRET not in reply.text
    doors.rest.send("POST", f"/v1/jobs/{reply.value['job_id']}/cancel", b"", house.tokens["admin"])
