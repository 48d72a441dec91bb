"""Health of the server, for anyone who asks."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from core.errors import Unavailable
from core.portable import Model
from core.tool import ANYONE, Empty, tool
from engine.context import Check, Ctx

CHECK_TIMEOUT_S = 5.0


class Health(Model):
    """All parts work."""

    status: Literal["ok"] = Field(description="Always `ok`; a part that fails makes this an error.")
    checks: dict[str, str] = Field(description="Each part that was checked, and `ok`.")


class Pong(Model):
    """The server is there."""

    time: datetime = Field(description="The server's clock (UTC).")
    version: str = Field(description="Version of Headwater.")


@tool("GET /health", "GET //health", needs=ANYONE, effect="read")
async def health(ctx: Ctx, request: Empty) -> Health:
    """Check that every part of the server works; if not, fail naming the parts that do not."""
    checks = ctx.engine.checks
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(passes(check)) for name, check in checks.items()}
    failing = sorted(name for name, task in tasks.items() if not task.result())
    if failing:
        raise Unavailable(f"Failing checks: {', '.join(failing)}.", hint="`headwater doctor` on the server says more.")
    return Health(status="ok", checks=dict.fromkeys(checks, "ok"))


@tool("GET /ping", needs=ANYONE, effect="read")
async def ping(ctx: Ctx, request: Empty) -> Pong:
    """Answer with the server's time and version, without checking anything."""
    return Pong(time=datetime.fromtimestamp(time.time(), UTC), version=ctx.engine.version)


async def passes(check: Check) -> bool:
    """Whether a check succeeds in time; whatever it raises is a failure of its part."""
    running = asyncio.ensure_future(check())
    done, _ = await asyncio.wait([running], timeout=CHECK_TIMEOUT_S)
    if not done:
        running.cancel()
        return False
    return not running.cancelled() and running.exception() is None
