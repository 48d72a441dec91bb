import asyncio

import pytest

from core.dispatch import NOBODY
from core.errors import Unavailable
from tests.fixtures_catalog import Caller, Desk
from tools.system import health


async def works() -> None:
    return None


async def fails() -> None:
    raise RuntimeError("secret detail")


async def hangs() -> None:
    await asyncio.sleep(60)


async def test_health_answers_anyone(call: Caller, desk: Desk) -> None:
    desk.checks.update(store=works, lake=works)
    answer = await call("health", by=NOBODY)
    assert answer.model_dump() == {"status": "ok", "checks": {"store": "ok", "lake": "ok"}}


async def test_failing_checks_are_named_without_details(
    call: Caller, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT_S", 0.05)
    desk.checks.update(store=works, lake=fails, worker=hangs)
    with pytest.raises(Unavailable) as caught:
        await call("health", by=NOBODY)
    assert caught.value.message == "Failing checks: lake, worker."


async def test_ping_checks_nothing(call: Caller, desk: Desk) -> None:
    desk.checks.update(store=fails)
    assert (await call("ping", by=NOBODY)).version == "1.2.3"
