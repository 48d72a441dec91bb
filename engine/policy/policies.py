"""Every tenant's policies: stored, changed by those who may, at most two seconds old wherever they are read."""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, NotFound, Unauthorized
from engine.connectors.connector import RelationInfo
from engine.policy.index import PolicySet, Stamp
from engine.policy.policy import Policy, Rule, from_document, to_document
from engine.store.db import Store
from engine.store.flights import DEFAULT_TTL_S, TenantCache
from engine.store.tables import policies as table

MANAGE = "policies.manage"
T = table.c


class Policies:
    """Reads and changes policies. Changes take effect at once in this process."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: f"pol_{secrets.token_hex(8)}",
        first_version: Callable[[], int] = lambda: 1 + secrets.randbelow(2**30),
        ttl_s: float = DEFAULT_TTL_S,
    ):
        self._store = store
        self._clock = clock
        self._new_id = new_id
        # Random, or a policy that was deleted and made again would look unchanged to other processes.
        self._first_version = first_version
        self._cache: TenantCache[PolicySet] = TenantCache(self._load, ttl_s=ttl_s)

    async def all(self, tenant: str) -> PolicySet:
        """Every policy of the tenant, put in order for decisions."""
        return await self._cache.get(tenant)

    async def listing(self, by: Principal) -> list[Policy]:
        """All of them, by name. Raises Unauthorized."""
        _check_may(by, MANAGE)
        found = await self.all(by.tenant)
        return sorted(found.policies.values(), key=lambda item: (item.name, item.policy_id))

    async def get(self, by: Principal, policy_id: str) -> Policy:
        """Raises NotFound, also for those who may not manage policies."""
        found = (await self.all(by.tenant)).policies.get(policy_id) if by.may(MANAGE) else None
        if found is None:
            raise NotFound(f"No policy {policy_id[:64]!r}.", hint="list_policies shows the policies.")
        return found

    async def create(
        self,
        by: Principal,
        rule: Rule,
        *,
        name: str,
        description: str = "",
        policy_id: str = "",
        is_enabled: bool = True,
        expires_at: float | None = None,
    ) -> Policy:
        """Raises Unauthorized, Conflict."""
        check_change(by)
        policy = self.draft(rule, name=name, description=description, policy_id=policy_id, expires_at=expires_at)
        policy = replace(policy, is_enabled=is_enabled)
        try:
            await self._change(by.tenant, lambda connection: insert_policy(connection, by.tenant, policy))
        except IntegrityError as error:
            raise Conflict(f"There is a policy {policy.policy_id!r} already.", hint="Choose another id.") from error
        return policy

    def draft(
        self, rule: Rule, *, name: str, description: str = "", policy_id: str = "", expires_at: float | None = None
    ) -> Policy:
        """A policy that is on once `insert_policy` has stored it and `forget` was called."""
        at = self._clock()
        return Policy(
            policy_id=policy_id or self._new_id(),
            name=name,
            description=description,
            rule=rule,
            is_enabled=True,
            expires_at=expires_at,
            version=self._first_version(),
            created_at=at,
            updated_at=at,
        )

    async def update(self, by: Principal, policy: Policy) -> Policy:
        """Store a policy that was read and changed. Raises Unauthorized, Conflict when it changed meanwhile."""
        check_change(by)
        return await self._store_changed(by.tenant, policy)

    async def _store_changed(self, tenant: str, policy: Policy) -> Policy:
        changed = replace(policy, version=policy.version + 1, updated_at=self._clock(), is_unreadable=False)
        where = (T.tenant_id == tenant, T.policy_id == policy.policy_id, T.version == policy.version)
        count = await self._change(
            tenant,
            lambda connection: connection.execute(update(table).where(*where).values(_row(changed))).rowcount,
        )
        if count == 0:
            raise Conflict("The policy was changed or deleted meanwhile.", hint="Read it again, then retry.")
        return changed

    async def delete(self, by: Principal, policy_id: str) -> None:
        """Raises Unauthorized, NotFound."""
        check_change(by)
        await self.get(by, policy_id)
        where = (T.tenant_id == by.tenant, T.policy_id == policy_id)
        await self._change(by.tenant, lambda connection: connection.execute(delete(table).where(*where)))

    async def hold(self, tenant: str, connection_id: str, relation: RelationInfo) -> None:
        """Tie policies that bind the relation by its name alone to what it and its columns are.

        Raises Conflict when one of them cannot be read, and so could not follow another name."""
        name = relation.name.lower()
        for policy in (await self.all(tenant)).policies.values():
            rule = policy.rule
            if rule.connection_id != connection_id or rule.table.lower() != name:
                continue
            if policy.is_unreadable:
                raise Conflict("A policy on this table cannot be read.", hint="Whoever manages policies deletes it.")
            held = rule.held(relation.identity, {column.name.lower(): column.field_id for column in relation.columns})
            if held != rule:
                await self._store_changed(tenant, replace(policy, rule=held))

    def forget(self, tenant: str) -> None:
        self._cache.forget(tenant)

    async def _change(self, tenant: str, work: Callable[[Connection], Any]) -> Any:
        try:
            return await self._store.write(work)
        finally:
            self._cache.forget(tenant)

    async def _load(self, tenant: str, previous: PolicySet | None) -> PolicySet:
        def work(connection: Connection) -> PolicySet:
            stamp = _stamp(connection, tenant)
            if previous is not None and previous.stamp == stamp:
                return previous
            rows = connection.execute(select(table).where(T.tenant_id == tenant))
            return PolicySet(stamp, {row.policy_id: _policy(row) for row in rows})

        return await self._store.read(work)


def insert_policy(connection: Connection, tenant: str, policy: Policy) -> None:
    """Store a new policy within a transaction."""
    row = {"tenant_id": tenant, "policy_id": policy.policy_id, "created_at": policy.created_at, **_row(policy)}
    connection.execute(insert(table).values(row))


def check_change(by: Principal) -> None:
    """Agents never change policies, whatever the person behind them may do. Raises Unauthorized."""
    _check_may(by, MANAGE)
    if by.via == "agent":
        raise Unauthorized("Agents do not change policies.", hint="Ask the person to do it themselves.")


def _check_may(by: Principal, permission: str) -> None:
    if not by.may(permission):
        raise Unauthorized(hint=f"It takes the permission {permission}.")


def _stamp(connection: Connection, tenant: str) -> Stamp:
    query = select(func.count(), func.sum(T.version), func.max(T.updated_at)).where(T.tenant_id == tenant)
    count, versions, latest = connection.execute(query).one()
    return count, int(versions or 0), float(latest or 0)


def _row(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "description": policy.description,
        "connection_id": policy.rule.connection_id,
        "table_name": policy.rule.table,
        "tag": policy.rule.tag,
        "rule": json.dumps(to_document(policy.rule)),
        "is_enabled": int(policy.is_enabled),
        "expires_at": policy.expires_at,
        "version": policy.version,
        "updated_at": policy.updated_at,
    }


def _policy(row: Row[Any]) -> Policy:
    rule, is_unreadable = Rule("column", row.connection_id, row.table_name, tag=row.tag, privacy="hidden"), False
    try:
        document = json.loads(row.rule)
        rule = from_document(document, connection_id=row.connection_id, table=row.table_name, tag=row.tag)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        is_unreadable = True
    return Policy(
        policy_id=row.policy_id,
        name=row.name,
        description=row.description,
        rule=rule,
        is_enabled=bool(row.is_enabled),
        expires_at=row.expires_at,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        is_unreadable=is_unreadable,
    )
