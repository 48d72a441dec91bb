"""Two platforms with a shop, for all tests of chats: one whose model calls tools natively, one whose model is small."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from agents.litellm_client import _load
from tests.agents.desk import AgentDesk, opened_desk
from tests.faces.world import load_shop

PRICED = "price: {input_usd_per_million: 1, output_usd_per_million: 2}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def strong(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AgentDesk]:
    await asyncio.to_thread(_load)  # takes longer than a twin's call may
    more = f"strength: strong, {PRICED}"
    async with opened_desk(tmp_path_factory.mktemp("strong"), more=more, load=load_shop) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AgentDesk]:
    await asyncio.to_thread(_load)
    async with opened_desk(tmp_path_factory.mktemp("small"), more="strength: small", load=load_shop) as opened:
        yield opened
