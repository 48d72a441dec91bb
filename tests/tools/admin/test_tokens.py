"""Personal tokens, through the gate."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.context import Principal
from core.dispatch import Call
from core.errors import InvalidArgument, NotFound, Unauthenticated, Unauthorized
from tests.tools.admin.desk import Desk, opened_desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened_desk(tmp_path) as opened:
        yield opened


async def test_a_created_token_works_and_its_secret_is_shown_once(desk: Desk) -> None:
    viewer = await desk.identity.mint(role="viewer")
    made = await desk.call("create_token", viewer, name="laptop", permissions=["query.run"], expires_in_days=7)
    assert (made.expires_at - made.created_at).days == 7
    me = await desk.call("get_current_user", made.token)
    assert (me.id, me.via, me.permissions) == ("viewer", "token", ["query.run"])
    listed = await desk.call("list_tokens", viewer)
    assert [item.name for item in listed.tokens] == ["laptop"] and listed.items == listed.tokens
    assert made.token not in listed.model_dump_json() and listed.items[0].last_used_at is not None


async def test_a_revoked_token_no_longer_works(desk: Desk) -> None:
    viewer = await desk.identity.mint(role="viewer")
    made = await desk.call("create_token", viewer, name="laptop")
    await desk.call("get_current_user", made.token)
    await desk.call("revoke_token", viewer, token_id=made.token_id)
    with pytest.raises(Unauthenticated):
        await desk.call("get_current_user", made.token)
    assert (await desk.call("list_tokens", viewer)).total_count == 0


async def test_tokens_of_others_do_not_exist(desk: Desk) -> None:
    await desk.identity.directory.create_tenant("Other", tenant_id="other")
    made = await desk.call("create_token", await desk.identity.mint(role="viewer"), name="mine")
    for token in (await desk.identity.mint(), await desk.identity.mint(role="viewer", tenant="other")):
        with pytest.raises(NotFound):
            await desk.call("revoke_token", token, token_id=made.token_id)
        assert (await desk.call("list_tokens", token)).total_count == 0


async def test_a_token_or_an_agent_does_not_create_tokens(desk: Desk) -> None:
    made = await desk.call("create_token", await desk.identity.mint(role="viewer"), name="mine")
    with pytest.raises(Unauthorized):
        await desk.call("create_token", made.token, name="child")
    agent = Principal("viewer", "default", via="agent")
    with pytest.raises(Unauthorized):
        await desk.dispatcher.call(Call("create_token", {"name": "x"}, "test", "r1", principal=agent))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"name": ""},
        {"name": "x", "expires_in_days": 0},
        {"name": "x", "expires_in_days": 366},
        {"name": "x", "subject": "admin"},
        {"name": "x\0"},
    ],
)
async def test_a_bad_request_is_refused(desk: Desk, arguments: dict[str, Any]) -> None:
    viewer = await desk.identity.mint(role="viewer")
    with pytest.raises(InvalidArgument):
        await desk.call("create_token", viewer, **arguments)


async def test_a_token_cannot_have_a_permission_that_its_owner_lacks(desk: Desk) -> None:
    viewer = await desk.identity.mint(role="viewer")
    with pytest.raises(Unauthorized, match=r"users\.manage"):
        await desk.call("create_token", viewer, name="x", permissions=["users.manage"])


async def test_nobody_needs_tools_without_signing_in(desk: Desk) -> None:
    for tool in ("create_token", "list_tokens", "revoke_token", "get_current_user"):
        with pytest.raises(Unauthenticated):
            await desk.call(tool, "")


async def test_tokens_come_in_pages(desk: Desk) -> None:
    viewer = await desk.identity.mint(role="viewer")
    for number in range(3):
        await desk.call("create_token", viewer, name=f"token {number}")
    first = await desk.call("list_tokens", viewer, page_size=2)
    rest = await desk.call("list_tokens", viewer, page_size=2, page_token=first.next_page_token)
    assert (len(first.items), len(rest.items), rest.next_page_token, rest.total_count) == (2, 1, None, 3)
