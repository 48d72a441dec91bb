"""Which way a request over gRPC goes: to one of our own agents, or to one of others'."""

from core.errors import Conflict
from core.registry import Registry
from gateway.door import OPERATIONS
from gateway.grpc_others import OtherRpc
from gateway.grpc_service import NEW, OLD, A2aService, RpcAsked, Way
from gateway.serving.face import OPERATIONS as OWN_OPERATIONS
from gateway.serving.own import OwnAgents
from gateway.serving.rpc import OwnRpc


class A2aWays:
    """Chooses by who asks: agents' ids belong to tenants."""

    def __init__(self, own: OwnAgents):
        self._own = own
        self._others = Way(
            Registry.walk(OPERATIONS),
            "read_from_agent",
            "send_to_agent",
            lambda asked: OtherRpc(own.agents, asked, own.base_url),
        )
        self._ours = Way(
            Registry.walk(OWN_OPERATIONS),
            "read_from_own_agent",
            "send_to_own_agent",
            lambda asked: OwnRpc(own, asked, own.base_url),
        )

    def services(self) -> list[A2aService]:
        """In 1.0 for every agent, in 0.3 for our own."""
        new = A2aService(self._own.dispatcher, self._choose, NEW)
        return [new, A2aService(self._own.dispatcher, self._choose, OLD)]

    async def _choose(self, asked: RpcAsked) -> Way:
        if await self._own.is_own(asked.agent_id, asked.token, asked.at):
            return self._ours
        if asked.is_old:
            raise Conflict("Agents of others are reached over gRPC in 1.0.", hint="Use JSON-RPC or REST for 0.3.")
        return self._others
