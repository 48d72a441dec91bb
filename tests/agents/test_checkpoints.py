"""Checkpoints on SQLite and PostgreSQL: a graph goes on where it stood, sealed, and what is over is pruned."""

from types import SimpleNamespace
from typing import Any, TypedDict

import pytest

from agents.checkpoints import open_checkpoints, prune_checkpoints, thread_of
from core.context import Principal
from engine.runs.run import Beginning, Outcome, Run
from engine.runs.runs import Runs
from engine.store.db import Store
from tests.fixtures_store import store, store_url

__all__ = ["store", "store_url"]
ADA = Principal("ada", "acme")


class Count(TypedDict, total=False):
    told: str
    seen: list[str]


def turned(tenant: str, data: bytes) -> bytes:
    return bytes(byte ^ 0x5A for byte in data)


async def drive(ctx: Any, run: Run, *, fails: bool) -> dict[str, Any]:
    from langgraph.graph import END, START, StateGraph

    async def first(state: Count) -> Count:
        return {"seen": [*state.get("seen", []), "first"]}

    async def second(state: Count) -> Count:
        if fails:
            raise ConnectionError("killed")
        return {"seen": [*state.get("seen", []), "second"]}

    async with open_checkpoints(ctx, "acme") as saver:
        await saver.setup()  # type: ignore[attr-defined]
        graph = StateGraph(Count)
        graph.add_node("first", first)
        graph.add_node("second", second)
        graph.add_edge(START, "first")
        graph.add_edge("first", "second")
        graph.add_edge("second", END)
        config: Any = thread_of(run)
        compiled = graph.compile(checkpointer=saver)
        stands = await compiled.aget_state(config)
        begin: Any = None if stands.values else {"told": "a private question"}
        return dict(await compiled.ainvoke(begin, config))


async def test_a_graph_goes_on_where_it_stood_and_is_pruned_when_over(store: Store) -> None:
    runs = Runs(store, seal=turned, unseal=turned)
    ctx = SimpleNamespace(engine=SimpleNamespace(store=store, runs=runs))
    run = (await runs.start(ADA, Beginning("workflow", "t1", {"task": "x"}))).run
    with pytest.raises(ConnectionError):
        await drive(ctx, run, fails=True)
    assert await prune_checkpoints(store) == 0  # it may still go on
    assert await drive(ctx, run, fails=False) == {"told": "a private question", "seen": ["first", "second"]}
    await runs.finish(run, Outcome("completed"))
    assert await prune_checkpoints(store) == 1
    assert await prune_checkpoints(store) == 0


def test_threads_name_no_person() -> None:
    run: Any = SimpleNamespace(tenant="acme", uid="0a1b", owner="ada", run_id="ada_2026")
    assert thread_of(run)["configurable"] == {"thread_id": "acme/0a1b"}
