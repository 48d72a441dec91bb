"""A workflow's own CPU without its model's, and what asking a model through us costs above litellm alone."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agents.litellm_client import load_litellm
from agents.models import Ask, complete
from bench._measure import Process, show
from bench._platform import registry_of, settings_of
from core.context import Cancellation, Context, Principal
from core.dispatch import Call, _Nested
from headwater.build import Platform, build

ROUNDS = 8
BUDGET_MS, OVERHEAD_MS = 150.0, 50.0
PLAIN = "total amount by region"
UNKNOWN = "How many unicorns were born in Paris?"
OPEN = "what part of the amount comes from the eu region"
HELLO = [{"role": "user", "content": "hello"}]


async def fill(platform: Platform) -> None:
    import pyarrow as pa

    from engine.lake.warehouse import TABLE_DEFAULTS

    rows = pa.table({"id": list(range(1000)), "region": ["eu", "us"] * 500, "amount": [1.5] * 1000})

    def work(catalog: Any) -> None:
        catalog.create_namespace_if_not_exists("shop")
        catalog.create_table("shop.orders", schema=rows.schema, properties=TABLE_DEFAULTS).append(rows)

    await platform.engine.lake.commit("default", work)


async def cpu_ms(work: Callable[[], Awaitable[object]]) -> list[float]:
    """CPU of each of some rounds, after two that warm up."""
    taken = []
    for _ in range(ROUNDS + 2):
        began = time.process_time()
        await work()
        taken.append((time.process_time() - began) * 1000)
    return taken[2:]


async def measure(platform: Platform, by: Principal, url: str) -> None:
    async def ask(task: str, workflow: str, model: str) -> None:
        arguments = {"task": task, "workflow": workflow, "model": model}
        await platform.dispatcher.call(Call("run_workflow", arguments, "bench", "r", principal=by, timeout_s=120))

    for workflow in ("fixed", "reflection", "nl2sql", "metric_to_sql"):
        show(f"{workflow}, planner", "ms CPU", await cpu_ms(lambda name=workflow: ask(PLAIN, name, "none")), BUDGET_MS)  # type: ignore[misc]
    show("fixed, a refusal", "ms CPU", await cpu_ms(lambda: ask(UNKNOWN, "fixed", "none")), BUDGET_MS)
    await load_litellm()
    show("fixed, two calls of a model", "ms CPU", await cpu_ms(lambda: ask(OPEN, "fixed", "twin")), BUDGET_MS)
    await compare(platform, by, url)


async def compare(platform: Platform, by: Principal, url: str) -> None:
    """One answer of the same model, with and without us around litellm."""
    import litellm
    import openai

    call = Call("run_workflow", {}, "bench", "r", principal=by)
    nested = _Nested(platform.dispatcher, call, by)
    ctx = Context(by, "r", "bench", platform.engine, nested, cancelled=Cancellation())
    client = openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0)

    async def alone() -> None:
        await litellm.acompletion(model="openai/twin", messages=HELLO, api_key="none", api_base=url, client=client)

    mine = await cpu_ms(lambda: complete(ctx, Ask(HELLO)))
    theirs = await cpu_ms(alone)
    show("one answer through litellm alone", "ms CPU", theirs)
    show("one answer through us, above that", "ms CPU", [max(0.0, value - min(theirs)) for value in mine], OVERHEAD_MS)


async def run() -> None:
    with tempfile.TemporaryDirectory() as folder, Process("bench._model_twin") as twin:
        settings, url = settings_of(Path(folder)), twin.facts["url"]
        settings.home.mkdir(parents=True)
        text = f"models: [{{name: twin, model: openai/twin, api_base: '{url}', timeout_s: 60}}]\ndefault: twin\n"
        (settings.home / "models.yml").write_text(text)
        platform = await build(settings, registry=registry_of("tools"))
        try:
            await fill(platform)
            await measure(platform, await platform.engine.identity.local_owner(), url)
        finally:
            await platform.close()


if __name__ == "__main__":
    asyncio.run(run())
