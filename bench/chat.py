"""What a chat costs before its first word: CPU until the first token, beside litellm alone on the same server.

The same model server answers both, in a process of its own. The chat checks rights, opens a session with a history,
begins a run, offers the person's tools, and asks; litellm only asks."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bench._measure import Process, show
from bench._platform import settings_of
from core.dispatch import Call
from headwater.build import Platform, build

ROUNDS, CALLS = 7, 12
BUDGET_MS = 50.0
MODELS = "models:\n  - {{name: twin, model: openai/twin, api_base: '{url}', strength: strong}}\ndefault: twin\n"


async def chat(platform: Platform, token: str, session: str) -> float:
    """Milliseconds of CPU until the first token."""
    started, first = time.process_time(), 0.0

    async def emit(part: BaseModel) -> None:
        nonlocal first
        if getattr(part, "event", "") == "token" and not first:
            first = time.process_time()

    given = {"prompt": "Hello?", "session_id": session}
    told: Any = await platform.dispatcher.call(Call("chat", given, "bench", "r", token=token, emit=emit))
    assert told.answered_by == "twin"
    return (first - started) * 1e3


async def alone(client: Any) -> float:
    import litellm

    started, first = time.process_time(), 0.0
    messages = [{"role": "user", "content": "Hello?"}]
    answer = await litellm.acompletion("openai/twin", messages, client=client, api_key="none", stream=True)
    async for chunk in answer:
        if not first and chunk.choices[0].delta.content:
            first = time.process_time()
    return (first - started) * 1e3


async def main() -> None:
    import openai

    with Process("bench._model") as server, tempfile.TemporaryDirectory() as folder:
        url = server.facts["url"]
        settings = settings_of(Path(folder))
        settings.home.mkdir()
        (settings.home / "models.yml").write_text(MODELS.format(url=url))
        platform = await build(settings)
        token = await platform.engine.identity.mint(role="admin")
        client = openai.AsyncOpenAI(api_key="none", base_url=url)
        for number in range(CALLS):  # warms up, and gives the session a history
            await chat(platform, token, f"s{number % 4}")
            await alone(client)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(sum([await chat(platform, token, f"s{number % 4}") for number in range(CALLS)]) / CALLS)
            theirs.append(sum([await alone(client) for _ in range(CALLS)]) / CALLS)
        await client.close()
        await platform.close()
    show("CPU until the first token of a chat", "ms", ours)
    show("CPU until the first token of litellm alone", "ms", theirs)
    show("a chat's own part", "ms", [mine - other for mine, other in zip(ours, theirs, strict=True)], BUDGET_MS)


if __name__ == "__main__":
    asyncio.run(main())
