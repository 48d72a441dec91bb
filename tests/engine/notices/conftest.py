"""An outbox on the store of the test, with a real receiver of webhooks and a real mail server to send to."""

import asyncio
import email
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from core.context import Principal
from core.settings import EgressSettings, NoticeSettings
from engine.egress.client import EgressClient
from engine.notices.destinations import Destinations
from engine.notices.mail import Mailer
from engine.notices.outbox import Outbox
from engine.notices.webhook import Webhooks
from engine.store.db import Store
from tests.fixtures_store import empty_url, store, store_url

__all__ = ["empty_url", "store", "store_url"]

ADMIN = Principal("cora", "acme", frozenset({"admin"}))


def backwards(tenant: str, data: bytes) -> bytes:
    """A seal that shows whether it was put on."""
    return bytes(data)[::-1]


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Receiver:
    """Answers POSTs with the next of `answers`, else 200, and keeps what it was sent."""

    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {
            name.lower(): value for line in head.split("\r\n")[1:] if line for name, value in [line.split(": ", 1)]
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.got.append((headers, body))
        status = self.answers.pop(0) if self.answers else 200
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@dataclass
class Post:
    """An outbox, and all that it sends to."""

    outbox: Outbox
    destinations: Destinations
    receiver: Receiver
    inbox: list[tuple[list[str], Message]]
    clock: Clock
    store: Store

    async def after(self, seconds: float) -> int:
        self.clock.now += seconds
        return await self.outbox.deliver()


@dataclass
class Inbox:
    """What aiosmtpd was given."""

    mails: list[tuple[list[str], Message]] = field(default_factory=list)
    refuses: int = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuses:
            self.refuses -= 1
            return "451 later"
        self.mails.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return "250 OK"


@pytest.fixture
async def mail_server() -> AsyncIterator[tuple[Inbox, int]]:
    inbox = Inbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(inbox, hostname="test"), "127.0.0.1", 0)
    async with server:
        yield inbox, server.sockets[0].getsockname()[1]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver


@pytest.fixture
async def post(store: Store, mail_server: tuple[Inbox, int]) -> AsyncIterator[Post]:
    inbox, port = mail_server
    clock = Clock()
    async with receiving() as receiver:
        egress = EgressClient(EgressSettings(allowed_private_hosts=[f"127.0.0.1:{receiver.port}"], timeout_s=5))
        webhooks = Webhooks(egress, clock=clock)
        mailer = Mailer(NoticeSettings(smtp_url=f"smtp://127.0.0.1:{port}?from=headwater@example.org"))
        outbox = Outbox(store, webhooks, mailer, seal=backwards, unseal=backwards, clock=clock)
        destinations = Destinations(store, webhooks, seal=backwards, clock=clock)
        yield Post(outbox, destinations, receiver, inbox.mails, clock, store)
        await egress.aclose()
