"""Our own agents, served: who they are, what answers for them, and the SDK's server once somebody calls."""

import asyncio
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from core.dispatch import Dispatcher
from core.errors import PlatformError, Unavailable
from engine.agents.agents import Agents
from engine.agents.registry import HEADWATER
from gateway.serving.asks import Answerer, Visit
from gateway.serving.cards import Places, own_card
from gateway.serving.roster import Roster

if TYPE_CHECKING:
    from gateway.serving.host import Host


class OwnAgents:
    """One for all faces of a process, so that a task is the same one on each of them."""

    def __init__(self, dispatcher: Dispatcher[Any], agents: Agents, answerer: Answerer, *, version: str):
        self.dispatcher = dispatcher
        self.agents = agents
        self.roster = Roster(agents)
        self.base_url = agents.public_url
        self._grpc_port = 0
        self.started_at = formatdate(time.time(), usegmt=True)
        self.answerer = answerer
        self._version = version
        self._host: Host | None = None
        self._opening = asyncio.Lock()
        self._is_closed = False

    def listen(self, base_url: str, grpc_port: int) -> None:
        """Say where the faces are: cards name them from now on. A public address goes before `base_url`."""
        self.base_url = self.agents.public_url or base_url
        self._grpc_port = grpc_port

    def grpc_at(self, base_url: str) -> str:
        """Our gRPC address for those who reach us at a base URL, or nothing."""
        return self._places(base_url).grpc

    async def is_own(self, agent_id: str, token: str | None, at: str) -> bool:
        """Whether a caller means one of our own agents. Strangers' ids mean none: the gate refuses them elsewhere."""
        if agent_id == HEADWATER:
            return True
        try:
            principal = await self.dispatcher.authenticate(token, at)
        except PlatformError:
            return False
        return await self.roster.is_own(principal.tenant, agent_id)

    def public_card(self, base_url: str) -> dict[str, Any]:
        """What strangers may read."""
        return own_card(self.roster.public, self._places(base_url), self._version)

    async def card(self, visit: Visit) -> dict[str, Any]:
        """The card of an agent as a caller may read it. Raises NotFound."""
        profile = await self.roster.find(visit.principal, visit.agent_id)
        return own_card(profile, self._places(visit.base_url), self._version)

    async def extended_card(self, visit: Visit) -> Mapping[str, Any]:
        """The same with what only callers of the tenant may know. Raises NotFound."""
        profile = await self.roster.extended(visit.principal, visit.agent_id)
        return own_card(profile, self._places(visit.base_url), self._version)

    async def host(self) -> "Host":
        """The SDK's server, made with the first request. Raises Unavailable when all is closing."""
        if self._host is None:
            async with self._opening:
                if self._host is None:
                    self._host = await self._open()
        return self._host

    def use(self, host: "Host") -> None:
        """Serve with a host that was made elsewhere, from the first request on."""
        self._host = host

    async def close(self) -> None:
        self._is_closed = True
        if self._host is not None:
            await self._host.close()

    async def _open(self) -> "Host":
        if self._is_closed:
            raise Unavailable("The server is stopping.")
        await asyncio.to_thread(_load)  # half a second, in which other calls go on
        from gateway.serving.host import Host  # lazily: see above

        return Host(self.agents, self.answerer, self.extended_card)

    def _places(self, base_url: str) -> Places:
        return Places(base_url, self._grpc_port)


def _load() -> None:
    import gateway.serving.host  # noqa: F401
