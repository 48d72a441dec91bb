"""kill -9 in the middle of a run: the task ends, whoever asks and wherever."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.agents.served import HOLD_S

pytestmark = [pytest.mark.slow, pytest.mark.asyncio]


class Standing:
    """A server in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, base: str, token: str):
        self.process = process
        headers = {"authorization": f"Bearer {token}", "a2a-version": "1.0"}
        self.web = httpx.AsyncClient(base_url=f"{base}/a2a/headwater", headers=headers, timeout=30)

    async def state(self, task: str) -> str:
        return str((await self.web.get(f"/tasks/{task}")).json()["status"]["state"])

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()
        await self.web.aclose()


async def stand(home: Path) -> Standing:
    command = [sys.executable, "-W", "ignore", "-m", "tests.gateway.serving.standing", str(home)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    told = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
    return Standing(process, told["base"], told["token"])


def saying(text: str, **more: Any) -> dict[str, Any]:
    configuration = {"returnImmediately": True}
    message = {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": text}], **more}
    return {"message": message, "configuration": configuration}


async def test_a_run_that_was_killed_has_failed_and_a_question_still_takes_its_answer(tmp_path: Path) -> None:
    first = await stand(tmp_path / "home")
    running = (await first.web.post("/message:send", json=saying("wait"))).json()["task"]["id"]
    asked = (await first.web.post("/message:send", json={"message": saying("ask")["message"]})).json()["task"]
    assert asked["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    stream = first.web.stream("POST", f"/tasks/{running}:subscribe")
    async with stream as following:
        lines = following.aiter_lines()
        await anext(lines)
        await first.kill()
        with pytest.raises(httpx.HTTPError):
            [line async for line in lines]
    killed_at = time.monotonic()
    second = await stand(tmp_path / "home")
    answer = saying("EU", taskId=asked["id"])["message"]
    answered = (await second.web.post("/message:send", json={"message": answer})).json()["task"]
    assert answered["status"]["message"]["parts"][0]["text"] == "region: EU"
    while (state := await second.state(running)) == "TASK_STATE_WORKING" or state == "TASK_STATE_SUBMITTED":
        assert time.monotonic() - killed_at < HOLD_S + 20
        await asyncio.sleep(0.5)
    assert state == "TASK_STATE_FAILED"
    await second.kill()
