"""What an agent of our own was told to be, version by version."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select

from core.context import Principal
from core.errors import NotFound
from core.pages import Window
from engine.store.db import Store
from engine.store.tables import agent_prompts

T = agent_prompts.c


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """One version of an agent's prompt; `rolled_back_to` is the one that it repeats."""

    agent_id: str
    prompt_version: int
    system_prompt: str
    author: str
    rolled_back_to: int | None
    created_at: float


class AgentPrompts:
    """Reads the versions; the registry writes them, with the agent that they belong to."""

    def __init__(self, store: Store):
        self._store = store

    async def page(self, by: Principal, agent_id: str, window: Window) -> tuple[list[PromptVersion], int]:
        """A slice of an agent's versions, the newest first, and how many there are."""
        where = (T.tenant_id == by.tenant, T.agent_id == agent_id)
        query = select(agent_prompts).where(*where).order_by(T.prompt_version.desc())
        counted = select(func.count()).select_from(agent_prompts).where(*where)

        def work(connection: Connection) -> tuple[Sequence[Any], int]:
            rows = connection.execute(query.offset(window.offset).limit(window.size)).all()
            return rows, connection.execute(counted).scalar_one()

        rows, total = await self._store.read(work)
        return [_version(row) for row in rows], total

    async def get(self, by: Principal, agent_id: str, prompt_version: int) -> PromptVersion:
        """Raises NotFound."""
        where = (T.tenant_id == by.tenant, T.agent_id == agent_id, T.prompt_version == prompt_version)
        row = await self._store.read(lambda connection: connection.execute(select(agent_prompts).where(*where)).first())
        if row is None:
            raise NotFound(
                f"The agent has no prompt of version {prompt_version}.", hint="list_agent_prompts shows those it has."
            )
        return _version(row)


def add_prompt(
    connection: Connection, by: Principal, agent_id: str, system_prompt: str, *, now: float, rolled_back_to: int | None
) -> None:
    """Write down what an agent is told from now on, in the transaction that changes it."""
    where = (T.tenant_id == by.tenant, T.agent_id == agent_id)
    last = connection.execute(select(func.coalesce(func.max(T.prompt_version), 0)).where(*where)).scalar_one()
    row = {
        "tenant_id": by.tenant,
        "agent_id": agent_id,
        "prompt_version": last + 1,
        "system_prompt": system_prompt,
        "author": by.subject,
        "rolled_back_to": rolled_back_to,
        "created_at": now,
    }
    connection.execute(insert(agent_prompts).values(row))


def _version(row: Any) -> PromptVersion:
    return PromptVersion(
        row.agent_id, row.prompt_version, row.system_prompt, row.author, row.rolled_back_to, row.created_at
    )
