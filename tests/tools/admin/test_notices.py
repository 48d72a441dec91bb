"""Notices through the gate: where they go, who says so, and what became of them."""

import json
from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from tests.fixtures_town import Town, town

__all__ = ["town"]


async def test_a_tenant_says_where_its_notices_go(town: Town) -> None:
    hook = await town.call("create_notice_destination", name="ops", url="https://hooks.example.org/x")
    mail = await town.call(
        "create_notice_destination", name="people", addresses=["a@example.org"], events=["approval.opened"]
    )
    assert hook.secret.startswith("whsec_") and mail.secret is None
    listed = (await town.call("list_notice_destinations")).destinations
    assert [(item.id, item.kind, item.url, item.addresses, item.events) for item in listed] == [
        (hook.id, "webhook", "https://hooks.example.org/x", [], []),
        (mail.id, "email", None, ["a@example.org"], ["approval.opened"]),
    ]
    assert await town.call("get_notice_destination", destination_id=mail.id) == listed[1]
    assert "whsec_" not in json.dumps([item.model_dump(mode="json") for item in listed])
    rotated = await town.call("rotate_notice_secret", destination_id=hook.id)
    assert rotated.secret.startswith("whsec_") and rotated.secret != hook.secret
    with pytest.raises(Conflict):
        await town.call("rotate_notice_secret", destination_id=mail.id)
    await town.call("delete_notice_destination", destination_id=hook.id)
    assert (await town.call("list_notice_destinations")).total_count == 1


async def test_both_sides_of_a_request_are_told_and_nobody_else(town: Town) -> None:
    for by in ("cora", "olga", "tess"):
        await town.call("create_notice_destination", by, name="ops", addresses=["a@example.org"])
    await town.shared()
    told = {
        by: [item.event for item in (await town.call("list_notices", by)).notices] for by in ("cora", "olga", "tess")
    }
    assert told == {"cora": ["approval.decided", "approval.opened"], "olga": ["approval.decided"], "tess": []}
    sent = (await town.call("list_notices", "cora", status="sent")).total_count
    assert (sent, (await town.call("list_notices", "cora", status="pending")).total_count) == (0, 2)


async def test_another_tenants_destinations_do_not_exist(town: Town) -> None:
    made = await town.call("create_notice_destination", name="ops", addresses=["a@example.org"])
    for tool in ("get_notice_destination", "rotate_notice_secret", "delete_notice_destination"):
        with pytest.raises(NotFound):
            await town.call(tool, "olga", destination_id=made.id)
    assert (await town.call("list_notice_destinations", "olga")).total_count == 0
    for tool in ("list_notice_destinations", "list_notices"):
        with pytest.raises(Unauthorized):
            await town.call(tool, "lea")


@pytest.mark.parametrize(
    "wrong",
    [
        {"addresses": ["a@b.org\r\nBcc: c@d.org"]},
        {"addresses": ["no address"]},
        {"url": "ftp://x.example.org/"},
        {"url": "https://x.example.org/a\r\nX: y"},
        {"name": "a\nb", "addresses": ["a@example.org"]},
        {"addresses": ["a@example.org"], "events": ["everything"]},
    ],
)
async def test_a_destination_that_cannot_be_is_refused(town: Town, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await town.call("create_notice_destination", **{"name": "ops", **wrong})


@pytest.mark.parametrize("url", ["http://127.0.0.1:80/", "http://169.254.169.254/latest/meta-data", "http://db:5432/"])
async def test_a_webhook_into_the_house_is_refused(town: Town, url: str) -> None:
    with pytest.raises(Conflict):
        await town.call("create_notice_destination", name="ops", url=url)
