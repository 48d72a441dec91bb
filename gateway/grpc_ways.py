"""Which way a request over gRPC goes: to one of our own agents, or to one of others'."""

from core.registry import Registry
from gateway.door import OPERATIONS
from gateway.grpc_others import OtherRpc
from gateway.grpc_service import A2aService, RpcAsked, Way
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

    def service(self) -> A2aService:
        return A2aService(self._own.dispatcher, self._choose)

    async def _choose(self, asked: RpcAsked) -> Way:
        is_own = await self._own.is_own(asked.agent_id, asked.token, asked.at)
        return self._ours if is_own else self._others
