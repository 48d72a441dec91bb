"""verify_audit_log through the gate, over a real log in a real store."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest import raises
from sqlalchemy import update

from core.context import Principal
from core.dispatch import Call, Dispatcher, Ports
from core.errors import InvalidArgument, Unauthorized
from core.registry import Registry
from engine.approvals.none import NoApprovals
from engine.audit.log import AuditLog
from engine.store.db import Store
from engine.store.tables import audit
from engine.visibility.objects import ObjectVisibility
from tests.engine.audit.records import DIGEST_KEY
from tests.fakes.gate import FakeGate
from tests.fixtures_store import new_sqlite
from tools.admin.audit import AuditLogVerification

AUDITOR = Principal("ann", "acme", permissions=frozenset({"audit.read"}))
OPERATOR = Principal("olga", "acme", permissions=frozenset({"audit.read", "platform.operate"}))


@dataclass
class Parts:
    """The part of the engine that the tool uses."""

    audit: AuditLog


class Caller:
    """Calls through the gate, whose audit is the log under test."""

    def __init__(self, log: AuditLog):
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
        self._dispatcher = Dispatcher(registry, Parts(log), ports)

    async def __call__(self, by: Principal = AUDITOR, **arguments: Any) -> AuditLogVerification:
        result = await self._dispatcher.call(Call("verify_audit_log", arguments, "test", "req_1", principal=by))
        assert isinstance(result, AuditLogVerification)
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
def call(log: AuditLog) -> Caller:
    return Caller(log)


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
