"""Whose an agent's tasks and conversations are: the agent knows only us, so who began one is kept here."""

import hashlib
import time
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from core.context import Principal
from core.errors import NotFound
from engine.store.db import Store
from engine.store.tables import agent_tasks

KEEP_S = 90 * 86_400.0
MAX_KEPT = 50_000
Key = tuple[str, str, str]


class TaskNotFound(NotFound):
    """No task by that id is yours."""


class Ownership:
    """Tasks and contexts by owner. Each belongs to whoever was first, and to nobody else."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time):
        self._store = store
        self._clock = clock
        self._known: dict[Key, str] = {}

    async def check(self, by: Principal, agent_id: str, tasks: Iterable[str], contexts: Iterable[str] = ()) -> None:
        """Let pass what is the caller's own, and conversations that nobody has begun. Raises TaskNotFound."""
        wanted = {_key("task", item) for item in tasks}
        talks = {_key("context", item) for item in contexts}
        if not wanted and not talks:
            return
        owners = await self._owners(by.tenant, agent_id, wanted | talks)
        if any(owners.get(key) != by.subject for key in wanted):
            raise _not_yours()
        if any(owners.get(key, by.subject) != by.subject for key in talks):
            raise _not_yours()

    async def owned(self, by: Principal, agent_id: str, tasks: Iterable[str]) -> set[str]:
        """Which of these tasks are the caller's."""
        keys = {_key("task", item): item for item in tasks}
        owners = await self._owners(by.tenant, agent_id, set(keys))
        return {item for key, item in keys.items() if owners.get(key) == by.subject}

    async def claim(self, by: Principal, agent_id: str, found: Any) -> None:
        """Write down the task and the conversation of an agent's answer as the caller's.

        Raises TaskNotFound where the agent answers with somebody else's."""
        tasks, contexts = ids_of(found)
        keys = {_key("task", item) for item in tasks} | {_key("context", item) for item in contexts}
        new = {key for key in keys if self._known.get((by.tenant, agent_id, key)) != by.subject}
        if not new:
            return
        rows = [
            {"tenant_id": by.tenant, "agent_id": agent_id, "task_key": key, "owner": by.subject} for key in sorted(new)
        ]
        now = self._clock()

        def work(connection: Connection) -> dict[str, str]:
            module = postgresql if connection.dialect.name == "postgresql" else sqlite
            statement = module.insert(agent_tasks).on_conflict_do_nothing()
            connection.execute(statement, [{**row, "created_at": now} for row in rows])
            return _read(connection, by.tenant, agent_id, new)

        owners = await self._store.write(work)
        self._remember(by.tenant, agent_id, owners)
        if any(owner != by.subject for owner in owners.values()):
            raise _not_yours()

    async def purge(self) -> None:
        """Forget what is older than 90 days."""
        old = delete(agent_tasks).where(agent_tasks.c.created_at < self._clock() - KEEP_S)
        await self._store.write(lambda connection: connection.execute(old))

    async def _owners(self, tenant: str, agent_id: str, keys: set[str]) -> dict[str, str]:
        known = {key: self._known[tenant, agent_id, key] for key in keys if (tenant, agent_id, key) in self._known}
        rest = keys - known.keys()
        if rest:
            found = await self._store.read(lambda connection: _read(connection, tenant, agent_id, rest))
            self._remember(tenant, agent_id, found)
            known |= found
        return known

    def _remember(self, tenant: str, agent_id: str, owners: dict[str, str]) -> None:
        if len(self._known) >= MAX_KEPT:
            self._known.clear()
        self._known.update({(tenant, agent_id, key): owner for key, owner in owners.items()})


def ids_of(found: Any) -> tuple[list[str], list[str]]:
    """The tasks and contexts that an answer or one event of a stream is about, in either version's form."""
    if not isinstance(found, dict):
        return [], []
    tasks, contexts = [], []
    for item in (found, *(found.get(name) for name in ("task", "message", "statusUpdate", "artifactUpdate"))):
        if not isinstance(item, dict):
            continue
        is_task = "status" in item and isinstance(item.get("id"), str)
        tasks += [item["id"]] if is_task else []
        tasks += [item["taskId"]] if isinstance(item.get("taskId"), str) and item["taskId"] else []
        contexts += [item["contextId"]] if isinstance(item.get("contextId"), str) and item["contextId"] else []
    return tasks, contexts


def _read(connection: Connection, tenant: str, agent_id: str, keys: set[str]) -> dict[str, str]:
    query = select(agent_tasks.c.task_key, agent_tasks.c.owner).where(
        agent_tasks.c.tenant_id == tenant, agent_tasks.c.agent_id == agent_id, agent_tasks.c.task_key.in_(keys)
    )
    return {row.task_key: row.owner for row in connection.execute(query)}


def _key(kind: str, item: str) -> str:
    return hashlib.sha256(f"{kind}\0{item}".encode("utf-8", "replace")).hexdigest()


def _not_yours() -> TaskNotFound:
    return TaskNotFound("No such task or conversation of yours.", hint="Use ids that the agent gave you.")
