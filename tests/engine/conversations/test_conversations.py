"""Conversations: kept sealed, by owner, for a while; what waits in one is taken once."""

import asyncio

import pytest
from sqlalchemy import select

from core.context import Principal
from core.errors import Conflict, NotFound
from core.pages import Window
from engine.conversations.conversations import (
    MAX_MESSAGES,
    PENDING_S,
    RETENTION_S,
    Conversations,
    Message,
    Pending,
    Turn,
)
from engine.store.db import Store
from engine.store.tables import conversation_messages, conversations
from tests.fixtures_store import empty_url, store, store_url

__all__ = ["empty_url", "store", "store_url"]

ADA = Principal("ada", "acme")
BOB = Principal("bob", "acme")
EVE = Principal("ada", "other")  # the same name in another tenant
FEW = Window(0, 100)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def talks(store: Store, clock: Clock) -> Conversations:
    def turn(tenant: str, data: bytes) -> bytes:
        return bytes(byte ^ 0x5A for byte in data)

    return Conversations(store, seal=turn, unseal=turn, clock=clock)


def said(*texts: str, **more: object) -> Turn:
    return Turn([Message("user", text) for text in texts], title=texts[0] if texts else "", **more)  # type: ignore[arg-type]


async def begin(talks: Conversations, by: Principal = ADA, session: str = "s", turn: Turn | None = None) -> None:
    await talks.add(await talks.open(by, "", session), turn or said("Hello."))


async def test_what_was_said_is_read_in_order_and_in_slices(talks: Conversations) -> None:
    await begin(talks)
    await begin(talks, turn=said("Two.", "Three."))
    found = await talks.get(ADA, "", "s")
    assert (found.title, found.message_count) == ("Hello.", 3)
    assert [item.text for item in await talks.messages(found, FEW)] == ["Hello.", "Two.", "Three."]
    assert [item.text for item in await talks.latest(found, 2)] == ["Two.", "Three."]


@pytest.mark.parametrize("by", [BOB, EVE])
async def test_others_have_sessions_of_their_own(talks: Conversations, by: Principal) -> None:
    await begin(talks)
    with pytest.raises(NotFound):
        await talks.get(by, "", "s")
    with pytest.raises(NotFound):
        await talks.delete(by, "", "s")
    assert await talks.page(by, "", FEW) == ([], 0)
    await begin(talks, by, turn=said("Mine."))
    assert (await talks.get(ADA, "", "s")).message_count == 1


async def test_nothing_of_it_lies_open_in_the_store(talks: Conversations, store: Store) -> None:
    await begin(talks, turn=said("A secret.", pending=Pending("ask_1", {"about": "A secret."})))
    rows = await store.read(
        lambda connection: [
            *connection.execute(select(conversations)),
            *connection.execute(select(conversation_messages)),
        ]
    )
    assert rows and "secret" not in str(rows)


async def test_that_data_was_read_is_never_forgotten(talks: Conversations) -> None:
    await begin(talks, turn=said("One.", has_read=True))
    await begin(talks, turn=said("Two."))
    assert (await talks.get(ADA, "", "s")).has_read


async def test_what_waits_is_taken_once_and_by_its_owner(talks: Conversations) -> None:
    await begin(talks, turn=said("Drop it.", pending=Pending("ask_1", {"rest": [1]})))
    assert await talks.find_pending(BOB, "", "ask_1") is None
    found = await talks.find_pending(ADA, "", "ask_1")
    assert found is not None and await talks.find_pending(ADA, "", "") is None
    assert await talks.take_pending(found, "ask_2") is None
    taken = await asyncio.gather(*(talks.take_pending(found, "ask_1") for _ in range(3)))
    assert sorted(map(str, taken)) == ["None", "None", "{'rest': [1]}"]


async def test_what_waits_too_long_is_gone(talks: Conversations, clock: Clock) -> None:
    await begin(talks, turn=said("Drop it.", pending=Pending("ask_1", {})))
    clock.now += PENDING_S + 1
    found = await talks.get(ADA, "", "s")
    assert await talks.take_pending(found, "ask_1") is None


async def test_turns_at_the_same_moment_are_all_kept(talks: Conversations) -> None:
    opened = await talks.open(ADA, "", "s")
    await asyncio.gather(*(talks.add(opened, said(f"{number}.")) for number in range(4)))
    found = await talks.get(ADA, "", "s")
    assert sorted(item.text for item in await talks.messages(found, FEW)) == ["0.", "1.", "2.", "3."]


async def test_a_session_has_an_end_and_goes_after_a_while(talks: Conversations, clock: Clock, store: Store) -> None:
    await begin(talks, turn=Turn([Message("user", ".")] * MAX_MESSAGES))
    with pytest.raises(Conflict, match="holds"):
        await begin(talks, turn=said("One more."))
    await begin(talks, session="young")
    clock.now += RETENTION_S / 2
    await begin(talks, session="young")
    clock.now += RETENTION_S / 2 + 1
    await talks.purge()
    assert [item.session_id for item in (await talks.page(ADA, "", FEW))[0]] == ["young"]
    left = await store.read(lambda connection: len(connection.execute(select(conversation_messages.c.uid)).all()))
    assert left == 2
