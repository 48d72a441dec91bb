"""Runs of the chat and of agents under one kind of id."""

from core.context import Principal
from core.errors import NotFound
from engine.runs.run import Run
from engine.runs.runs import Runs


async def find_talk(runs: Runs, by: Principal, run_id: str) -> Run:
    """A run of the caller's own, of the chat or of an agent. Raises NotFound."""
    try:
        return await runs.get(by, run_id, "chat")
    except NotFound:
        return await runs.get(by, run_id, "agent")
