"""Which calls need an approval in a tenant: part of its configuration, at most two seconds old where it is read."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, Unauthorized
from core.tool import Tool
from engine.store.db import Store
from engine.store.flights import TenantCache
from engine.store.tables import approval_rules as table

T = table.c
NEVER = frozenset({"approve_request", "reject_request"})  # or nothing could be decided any more


@dataclass(frozen=True, slots=True)
class Rule:
    """Calls that need an approval: by name or by effect, of everybody or of some roles."""

    name: str
    tools: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    except_roles: tuple[str, ...] = ()

    def covers(self, tool: Tool, by: Principal) -> bool:
        is_named = tool.name in self.tools or tool.effect in self.effects
        is_meant = not self.roles or bool(by.roles & set(self.roles))
        return is_named and is_meant and not by.roles & set(self.except_roles)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of a tenant. Version 0: none were ever set."""

    rules: tuple[Rule, ...] = ()
    version: int = 0
    updated_by: str = ""
    updated_at: float = 0.0

    def asks(self, tool: Tool, by: Principal) -> Rule | None:
        """The rule by which the call needs an approval."""
        if tool.name in NEVER or tool.delegates or (tool.domain == "approvals" and tool.effect == "read"):
            return None
        return next((rule for rule in self.rules if rule.covers(tool, by)), None)


class ApprovalRules:
    """Reads and replaces the rules of each tenant."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time):
        self._store = store
        self._clock = clock
        self._cache: TenantCache[RuleSet] = TenantCache(self._load)

    async def of(self, tenant: str) -> RuleSet:
        return await self._cache.get(tenant)

    async def set(self, by: Principal, rules: Sequence[Rule], *, expected_version: int | None = None) -> RuleSet:
        """Replace all of them. Raises Unauthorized for agents, Conflict when they were changed meanwhile."""
        if by.via == "agent":
            raise Unauthorized("Agents do not say what needs an approval.", hint="Ask the person to do it themselves.")
        before = await self._load(by.tenant, None)
        if expected_version not in (None, before.version):
            raise _stale()
        made = RuleSet(tuple(rules), before.version + 1, by.subject, self._clock())
        row = {
            "rules": json.dumps([asdict(rule) for rule in rules]),
            "version": made.version,
            "updated_by": by.subject,
            "updated_at": made.updated_at,
        }

        def work(connection: Connection) -> None:
            if before.version == 0:
                connection.execute(insert(table).values(tenant_id=by.tenant, **row))
                return
            statement = update(table).where(T.tenant_id == by.tenant, T.version == before.version)
            if connection.execute(statement.values(row)).rowcount == 0:
                raise _stale()

        try:
            await self._store.write(work)
        except IntegrityError:
            raise _stale() from None
        finally:
            self._cache.forget(by.tenant)
        return made

    async def _load(self, tenant: str, previous: RuleSet | None) -> RuleSet:
        query = select(table).where(T.tenant_id == tenant)
        row = await self._store.read(lambda connection: connection.execute(query).first())
        if row is None:
            return RuleSet()
        found = [
            Rule(item["name"], *(tuple(item[name]) for name in ("tools", "effects", "roles", "except_roles")))
            for item in json.loads(row.rules)
        ]
        return RuleSet(tuple(found), row.version, row.updated_by, row.updated_at)


def _stale() -> Conflict:
    return Conflict("The rules were changed meanwhile.", hint="Read them again, then retry.")
