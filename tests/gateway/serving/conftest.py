"""Callers of our own agents, over each binding, with the SDK's own client."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
import pytest_asyncio
from a2a.client import Client, ClientConfig
from a2a.client.client_factory import ClientFactory
from a2a.types import AgentCard, Message, Part, Role, SendMessageRequest, StreamResponse
from google.protobuf.json_format import ParseDict

from gateway.serving.host import Host
from gateway.serving.own import OwnAgents
from tests.gateway.conftest import House
from tests.gateway.serving.scripted import Told

BINDINGS = ["JSONRPC", "HTTP+JSON", "GRPC"]


def _with_token(details: Any, token: str) -> Any:
    return details._replace(metadata=[*(details.metadata or ()), ("authorization", f"Bearer {token}")])


class _Bearer(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    def __init__(self, token: str):
        self._token = token

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(_with_token(client_call_details, self._token), request)


class _StreamBearer(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]
    def __init__(self, token: str):
        self._token = token

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(_with_token(client_call_details, self._token), request)


@dataclass
class Served:
    """Our own agents behind a house's faces."""

    house: House
    own: OwnAgents
    host: Host
    told: Told
    channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)
    webs: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    @property
    def grpc_at(self) -> str:
        return self.own.grpc_at(self.house.rest)

    def web(self, who: str = "vera", version: str = "1.0") -> httpx.AsyncClient:
        """An HTTP client with somebody's token."""
        if who + version not in self.webs:
            self.webs[who + version] = self.house.client(who)
            self.webs[who + version].headers["a2a-version"] = version
        return self.webs[who + version]

    def channel(self, who: str = "vera") -> grpc.aio.Channel:
        if who not in self.channels:
            token = self.house.tokens.get(who, who)
            bearers: Any = [_Bearer(token), _StreamBearer(token)]
            self.channels[who] = grpc.aio.insecure_channel(self.grpc_at, interceptors=bearers)
        return self.channels[who]

    async def client(
        self, binding: str, who: str = "vera", agent: str = "headwater", *, streams: bool = True, version: str = "1.0"
    ) -> Client:
        """The SDK's client, which goes by the card."""
        shown = (await self.web().get(f"/a2a/{agent}/.well-known/agent-card.json")).json()
        listed = shown["supportedInterfaces"]
        shown["supportedInterfaces"] = [each for each in listed if each["protocolVersion"] == version]
        card = ParseDict(shown, AgentCard(), ignore_unknown_fields=True)
        config = ClientConfig(
            httpx_client=self.web(who, version),
            supported_protocol_bindings=[binding],
            streaming=streams,
            grpc_channel_factory=lambda url: self.channel(who),
        )
        return ClientFactory(config).create(card)


def asking(text: str, **more: Any) -> SendMessageRequest:
    """A message with a text."""
    return SendMessageRequest(message=Message(message_id="m1", role=Role.ROLE_USER, parts=[Part(text=text)], **more))


async def send(client: Client, request: SendMessageRequest) -> list[StreamResponse]:
    return [event async for event in client.send_message(request)]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served(house: House) -> AsyncIterator[Served]:
    own = house.desk.platform.own_agents
    assert own is not None
    told = Told()
    host = Host(own.agents, told, own.extended_card)
    own.use(host)
    found = Served(house, own, host, told)
    yield found
    for channel in found.channels.values():
        await channel.close(None)
    for web in found.webs.values():
        await web.aclose()
