"""A client that never sends its body does not hold a connection for ever."""

import asyncio
from typing import Any

import pytest

from api.errors import BodyTooLate, status_of
from core.callers import read_body
from core.errors import Timeout


async def silent() -> Any:
    await asyncio.sleep(30)


async def test_rest_gives_up_on_a_body_that_does_not_come() -> None:
    with pytest.raises(BodyTooLate) as caught:
        await read_body(silent, patience_s=0.05, too_late=BodyTooLate)
    assert status_of(caught.value) == 408


async def test_mcp_gives_up_on_a_body_that_does_not_come() -> None:
    with pytest.raises(Timeout):
        await read_body(silent, limit_bytes=100, patience_s=0.05)
