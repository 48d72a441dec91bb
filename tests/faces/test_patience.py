"""A client that never sends its body does not hold a connection for ever."""

import asyncio
from typing import Any

import pytest

from api.errors import BodyTooLate, status_of
from api.rest_calls import read_all
from core.errors import Timeout
from mcp_server.auth import read_body


async def silent() -> Any:
    await asyncio.sleep(30)


async def test_rest_gives_up_on_a_body_that_does_not_come() -> None:
    with pytest.raises(BodyTooLate) as caught:
        await read_all(silent, patience_s=0.05)
    assert status_of(caught.value) == 408


async def test_mcp_gives_up_on_a_body_that_does_not_come() -> None:
    with pytest.raises(Timeout):
        await read_body(silent, 100, patience_s=0.05)
