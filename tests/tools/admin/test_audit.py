"""verify_audit_log through the gate, over a real log in a real store."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest import raises
from sqlalchemy import select, update

from core.context import Principal
from core.dispatch import Call, Dispatcher, Ports
from core.errors import InvalidArgument, NotFound, Unauthorized
from core.pages import PageSigner
from core.registry import Registry
from engine.approvals.none import NoApprovals
from engine.audit.log import AuditLog
from engine.audit.search import AuditSearch
from engine.store.db import Store
from engine.store.tables import audit, audit_terms
from engine.visibility.objects import ObjectVisibility
from tests.engine.audit.records import DIGEST_KEY, make_record
from tests.fakes.gate import FakeGate
from tests.fixtures_store import new_sqlite
from tools.admin.audit import AuditEvents, AuditLogVerification

AUDITOR = Principal("ann", "acme", permissions=frozenset({"audit.read"}))
OPERATOR = Principal("olga", "acme", permissions=frozenset({"audit.read", "platform.operate"}))


@dataclass
class Parts:
    """The part of the engine that the tool uses."""

    audit: AuditLog
    audit_search: AuditSearch
    pages: PageSigner


class Caller:
    """Calls through the gate, whose audit is the log under test."""

    def __init__(self, log: AuditLog, store: Store):
        fake: Any = FakeGate()
        ports = Ports(
            verify=fake.verify,
            limits=fake,
            visibility=ObjectVisibility({}),
            approvals=NoApprovals(),
            idempotency=fake,
            jobs=fake,
            audit=log,
        )
        registry = Registry.walk(["tools.admin.audit"])
        self._dispatcher = Dispatcher(registry, Parts(log, AuditSearch(store, log), PageSigner(b"k" * 32)), ports)

    async def __call__(self, by: Principal = AUDITOR, **arguments: Any) -> AuditLogVerification:
        result = await self._dispatcher.call(Call("verify_audit_log", arguments, "test", "req_1", principal=by))
        assert isinstance(result, AuditLogVerification)
        return result

    async def search(self, by: Principal = AUDITOR, **arguments: Any) -> AuditEvents:
        call = Call("search_audit", arguments, "test", "req_2", principal=by, form="json")
        result = await self._dispatcher.call(call)
        assert isinstance(result, AuditEvents)
        return result


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(new_sqlite(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
async def log(store: Store) -> AsyncIterator[AuditLog]:
    opened = AuditLog(store, seal=lambda tenant, data: data, unseal=lambda tenant, data: data, digest_key=DIGEST_KEY)
    yield opened
    await opened.close()


@pytest.fixture
def call(log: AuditLog, store: Store) -> Caller:
    return Caller(log, store)


async def settle(log: AuditLog, count: int) -> None:
    """Let the records of reads, which nobody waits for, be written."""
    while (await log.verify("acme")).head_seq < count:
        pass


async def test_calls_are_in_a_chain_that_verifies(call: Caller, log: AuditLog) -> None:
    assert (await call()).checked_count == 0
    await settle(log, 1)
    found = await call()
    assert (found.is_valid, found.checked_count, found.head.partition(":")[0], found.reason) == (True, 1, "1", "")


async def test_an_edited_record_is_named(call: Caller, log: AuditLog, store: Store) -> None:
    for count in (1, 2):
        await call()
        await settle(log, count)
    await store.write(lambda c: c.execute(update(audit).where(audit.c.seq == 2).values(record=b"other")))
    found = await call()
    assert (found.is_valid, found.first_bad_seq, found.reason) == (False, 2, "The record was changed.")


async def test_a_noted_head_must_still_be_there(call: Caller, log: AuditLog) -> None:
    await call()
    await settle(log, 1)
    noted = await call()
    assert (await call(noted_head=noted.head)).is_valid
    found = await call(noted_head=f"{noted.head.partition(':')[0]}:{'0' * 64}")
    assert (found.is_valid, found.first_bad_seq) == (False, 1)
    assert not (await call(noted_head=f"1000:{'0' * 64}")).is_valid


async def test_another_tenants_chain_is_not_looked_at(call: Caller, log: AuditLog, store: Store) -> None:
    await call()
    await settle(log, 1)
    await store.write(lambda c: c.execute(update(audit).values(record=b"other")))
    stranger = Principal("sam", "other", permissions=frozenset({"audit.read"}))
    assert (await call(stranger)).is_valid


async def test_the_platforms_chain_is_for_operators(call: Caller) -> None:
    with raises(Unauthorized):
        await call(platform=True)
    assert (await call(OPERATOR, platform=True)).is_valid


async def test_who_lacks_the_permission_is_refused_and_that_is_recorded(call: Caller, log: AuditLog) -> None:
    with raises(Unauthorized):
        await call(Principal("vic", "acme"))
    await settle(log, 1)
    (entry,) = await log.read("acme")
    assert entry.record is not None
    assert (entry.record.subject, entry.record.decision, entry.record.code) == ("vic", "refused", "UNAUTHORIZED")


@pytest.mark.parametrize(
    "arguments", [{"noted_head": "3"}, {"noted_head": "3:zz"}, {"noted_head": "-1:" + "0" * 64}, {"tenant": "other"}]
)
async def test_bad_arguments_are_refused(call: Caller, arguments: dict[str, Any]) -> None:
    with raises(InvalidArgument):
        await call(**arguments)


async def fill(log: AuditLog) -> None:
    """Nine calls of two people on two tables, every third refused."""
    for number in range(9):
        refused = {"decision": "refused", "code": "QUERY_UNAUTHORIZED"} if number % 3 == 2 else {}
        record = make_record(
            at=datetime(2026, 11, 20 + number // 3, tzinfo=UTC),
            subject="bob" if number % 2 else "alice",
            tool="get_records" if number < 3 else "execute_query",
            resources=(f"table:lakehouse/shop.{'orders' if number % 2 else 'people'}",),
            request_id=f"req_{number}",
            **refused,
        )
        await log.record(record, wait=True)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({"user_id": "bob"}, [7, 5, 3, 1]),
        ({"tool": "get_records"}, [2, 1, 0]),
        ({"table": "shop.orders", "decision": "refused"}, [5]),
        ({"decision": "refused"}, [8, 5, 2]),
        ({"code": "QUERY_UNAUTHORIZED", "user_id": "alice"}, [8, 2]),
        ({"decision": "allowed", "user_id": "alice", "tool": "execute_query"}, [6, 4]),
        ({"request_id": "req_5"}, [5]),
        ({"since": "2026-11-21T00:00:00Z", "until": "2026-11-22T00:00:00Z"}, [5, 4, 3]),
        ({"resource": "table:lakehouse/shop.people", "since": "2026-11-22T00:00:00Z"}, [8, 6]),
        ({"face": "mcp", "user_id": "nobody"}, []),
        ({"table": "shop.orders", "connection_id": "other"}, []),
    ],
)
async def test_calls_are_found_by_who_what_which_and_when(
    call: Caller, log: AuditLog, wanted: dict[str, Any], numbers: list[int]
) -> None:
    await fill(log)
    found = await call.search(**wanted)
    assert [event.request_id for event in found.events] == [f"req_{number}" for number in numbers]
    assert found.items == found.events and found.next_page_token is None and found.total_count is None


async def test_pages_stay_as_they_are_while_calls_are_recorded(call: Caller, log: AuditLog) -> None:
    await fill(log)
    first = await call.search(page_size=4, face="mcp")
    await fill(log)
    rest = await call.search(page_size=10, face="mcp", page_token=first.next_page_token)
    assert [event.seq for event in [*first.events, *rest.events]] == list(range(9, 0, -1))
    skipped = await call.search(skip=2, limit=2, face="mcp", user_id="bob")
    assert len(skipped.events) == 2


async def test_a_search_shows_no_arguments_and_no_other_tenant(call: Caller, log: AuditLog) -> None:
    await fill(log)
    stranger = Principal("sam", "other", permissions=frozenset({"audit.read"}))
    assert (await call.search(stranger, user_id="bob")).events == []
    token = (await call.search(page_size=1, face="mcp")).next_page_token
    with raises(NotFound):
        await call.search(stranger, page_size=1, face="mcp", page_token=token)
    with raises(Unauthorized):
        await call.search(Principal("vic", "acme"))
    with raises(Unauthorized):
        await call.search(platform=True)
    assert (await call.search(OPERATOR, platform=True)).total_count is not None


async def test_what_is_found_stands_in_the_store_in_no_readable_form(log: AuditLog, store: Store) -> None:
    await fill(log)
    rows = await store.read(lambda c: c.execute(select(audit_terms)).all())
    other = log.terms.of("other", "subject:bob")
    assert len(rows) > 30 and log.terms.of("acme", "subject:bob") in {row.term for row in rows}
    assert other not in {row.term for row in rows}


@pytest.mark.parametrize("arguments", [{"decision": "maybe"}, {"since": "yesterday"}, {"code": "ok"}, {"page_size": 0}])
async def test_what_cannot_be_looked_for_is_refused(call: Caller, arguments: dict[str, Any]) -> None:
    with raises(InvalidArgument):
        await call.search(**arguments)
