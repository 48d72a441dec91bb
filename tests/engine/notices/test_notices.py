"""Notices: stored with what they tell of, signed, sent once, and given up in the end."""

import asyncio
import json
from typing import Any

import pytest

from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from core.settings import NoticeSettings
from engine.notices.mail import ADDRESS, Mail, Mailer, compose, read_server
from engine.notices.outbox import MAX_ATTEMPTS, announce
from engine.notices.webhook import Refused, sign
from tests.engine.notices.conftest import ADMIN, Inbox, Post

TOLD = {
    "approval_id": "apr_1",
    "kind": "tool_call",
    "status": "pending",
    "title": "Delete dataset",
    "expires_at": 1.8e9,
}


async def tell(post: Post, event: str = "approval.opened", tenant: str = "acme", **data: Any) -> None:
    await post.store.write(lambda connection: announce(connection, tenant, event, {**TOLD, **data}, now=post.clock.now))


async def statuses(post: Post) -> list[tuple[str, int]]:
    found, _ = await post.outbox.listing("acme")
    return [(item.status, item.attempts) for item in found]


async def test_a_webhook_gets_a_signed_notice_once(post: Post) -> None:
    made, secret = await post.destinations.create(ADMIN, "ops", url=post.receiver.url)
    await tell(post)
    assert await post.after(1) == 1 and await post.after(3600) == 0
    [(headers, body)] = post.receiver.got
    expected = sign(secret, headers["webhook-id"], headers["webhook-timestamp"], body)
    assert headers["webhook-signature"] == expected
    assert sign(secret, headers["webhook-id"], "1", body) != expected != sign(b"x", headers["webhook-id"], "1", body)
    assert json.loads(body)["event"] == "approval.opened" and json.loads(body)["data"] == TOLD
    assert made.secret == secret[::-1]
    assert await statuses(post) == [("sent", 1)]


async def test_what_a_receiver_does_not_take_is_sent_again_more_slowly_and_given_up(post: Post) -> None:
    await post.destinations.create(ADMIN, "ops", url=post.receiver.url)
    await tell(post)
    post.receiver.answers[:] = [503] * 100
    assert await post.after(0) == 1 and await post.after(1) == 0 and await post.after(5) == 1
    for _ in range(MAX_ATTEMPTS + 2):
        await post.after(5 * 3600)
    assert await statuses(post) == [("failed", MAX_ATTEMPTS)]
    assert len({headers["webhook-id"] for headers, _ in post.receiver.got}) == 1
    assert len({headers["webhook-timestamp"] for headers, _ in post.receiver.got}) == MAX_ATTEMPTS


async def test_a_receiver_that_says_no_is_not_asked_again(post: Post) -> None:
    await post.destinations.create(ADMIN, "ops", url=post.receiver.url)
    await tell(post)
    post.receiver.answers[:] = [410]
    assert await post.after(0) == 1 and await post.after(9999) == 0
    assert await statuses(post) == [("failed", 1)]


async def test_of_many_senders_one_sends(post: Post) -> None:
    await post.destinations.create(ADMIN, "ops", url=post.receiver.url)
    for _ in range(5):
        await tell(post)
    await asyncio.gather(*(post.outbox.deliver() for _ in range(4)))
    assert len(post.receiver.got) == 5 == len({headers["webhook-id"] for headers, _ in post.receiver.got})


async def test_mail_says_what_waits_and_nothing_more(post: Post) -> None:
    await post.destinations.create(ADMIN, "ops", addresses=["a@example.org", "b@example.org"])
    await tell(post, tenant_id="acme", requested_by="ada")
    assert await post.after(0) == 1
    [(to, message)] = post.inbox
    assert to == ["a@example.org", "b@example.org"] and message["From"] == "headwater@example.org"
    assert message["Subject"] == "[Headwater] Waits for a decision: Delete dataset"
    assert "Approval: apr_1" in message.get_payload() and "Requested by: ada (acme)" in message.get_payload()


async def test_mail_that_the_server_puts_off_is_sent_later(post: Post, mail_server: tuple[Inbox, int]) -> None:
    await post.destinations.create(ADMIN, "ops", addresses=["a@example.org"])
    await tell(post)
    mail_server[0].refuses = 1
    await post.after(0)
    assert await statuses(post) == [("pending", 1)]
    await post.after(60)
    assert await statuses(post) == [("sent", 2)] and len(post.inbox) == 1


async def test_a_mail_to_one_person_is_sealed_until_it_is_sent(post: Post) -> None:
    mail = Mail(("new@example.org",), "You are invited", "Open https://hw.example.org/#invite=s3cret")
    await post.outbox.mail("acme", mail, event="user.invited")
    query = "SELECT payload FROM notice"
    [kept] = await post.store.read(lambda connection: connection.exec_driver_sql(query).scalars().all())
    assert b"s3cret" not in bytes(kept) and b"s3cret"[::-1] in bytes(kept)
    await post.after(0)
    [kept] = await post.store.read(lambda connection: connection.exec_driver_sql(query).scalars().all())
    assert bytes(kept) == b"" and "s3cret" in post.inbox[0][1].get_payload()


@pytest.mark.parametrize(
    "title",
    [
        "Delete\r\nBcc: all@example.org",
        "x\n\n.\r\nMAIL FROM:<a@b.c>",
        "x\u2028Bcc: y@example.org",
        "\x00\x1b[31mred",
        "=?utf-8?q?=0D=0ABcc:_z@example.org?=",
        "\u202eetadpu",
    ],
)
async def test_no_text_writes_headers_or_commands_of_its_own(post: Post, title: str) -> None:
    await post.destinations.create(ADMIN, "ops", addresses=["a@example.org"])
    await tell(post, title=title, requested_by="eve\r\nCc: b@example.org")
    await post.after(0)
    [(to, message)] = post.inbox
    assert to == ["a@example.org"] and message["Bcc"] is None and message["Cc"] is None
    assert len(message.keys()) == len(set(message.keys())) and not message.is_multipart()


@pytest.mark.parametrize(
    "to", ["a@b\r\nBcc: c@d", "a@b>,c@d", "a b@c", "@b", "a@", "", "a@b c", "a@\u00e9.org", "<a@b>"]
)
def test_what_is_no_address_gets_no_mail(to: str) -> None:
    with pytest.raises(Refused):
        compose(Mail((to,), "x", "y"), "headwater@example.org")


async def test_destinations_hear_of_what_they_asked_for_and_of_their_own_tenant(post: Post) -> None:
    await post.destinations.create(ADMIN, "ops", url=post.receiver.url, events=["approval.expired"])
    await tell(post)
    await tell(post, tenant="other")
    await tell(post, "approval.expired")
    assert await post.after(0) == 1
    assert json.loads(post.receiver.got[0][1])["event"] == "approval.expired"


async def test_a_destination_that_was_deleted_gets_nothing(post: Post) -> None:
    made, _ = await post.destinations.create(ADMIN, "ops", url=post.receiver.url)
    await tell(post)
    await post.destinations.delete(ADMIN, made.destination_id)
    await post.after(0)
    assert (await statuses(post), post.receiver.got) == ([("failed", 1)], [])


async def test_webhooks_may_not_point_into_private_networks(post: Post) -> None:
    for url in ("http://127.0.0.1:1/x", "http://169.254.169.254/latest", "http://10.0.0.1/"):
        with pytest.raises(Conflict):
            await post.destinations.create(ADMIN, "ops", url=url)
    await post.destinations.create(ADMIN, "ops", url="https://[::1]/")
    await tell(post)
    await post.after(0)
    assert await statuses(post) == [("failed", 1)]
    with pytest.raises(Conflict):
        await post.destinations.create(ADMIN, "ops")


async def test_agents_and_strangers_change_no_destination(post: Post) -> None:
    agent = Principal("cora", "acme", via="agent")
    with pytest.raises(Unauthorized):
        await post.destinations.create(agent, "ops", addresses=["a@example.org"])
    made, _ = await post.destinations.create(ADMIN, "ops", addresses=["a@example.org"])
    with pytest.raises(NotFound):
        await post.destinations.delete(Principal("cora", "other"), made.destination_id)
    with pytest.raises(Conflict):
        await post.destinations.rotate(ADMIN, made.destination_id)


@pytest.mark.parametrize(
    "url", ["smtp://h", "http://h?from=a@b.org", "smtp://?from=a@b.org", "smtp://h?from=a", "smtp://h:x?from=a@b.org"]
)
def test_an_address_of_a_mail_server_that_is_wrong_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Mailer(NoticeSettings(smtp_url=url))
    assert url not in refused.value.message


def test_a_password_goes_over_tls_only() -> None:
    assert read_server("smtp://u:p%40ss@h?from=a@b.org").start_tls is True
    assert read_server("smtp://h?from=a@b.org").start_tls is None
    server = read_server("smtps://u:p%40ss@h?from=a@b.org")
    assert (server.use_tls, server.port, server.password, server.sender) == (True, 465, "p@ss", "a@b.org")


def test_addresses_have_one_form() -> None:
    assert "\\r" not in ADDRESS and ADDRESS.startswith("^") and ADDRESS.endswith("$")
