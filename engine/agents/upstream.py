"""A call on its way to an agent: limits, a breaker, a credential, deadlines; no store is held while it waits."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from core.context import Principal
from core.deadline import Deadline
from core.errors import InvalidArgument, PlatformError, Timeout, Unauthorized, Unavailable
from engine.agents.breaker import Breakers
from engine.agents.credentials import Credentials, Proof
from engine.agents.frames import EVENTS
from engine.agents.limits import AgentLimits
from engine.agents.live import Live
from engine.egress.addresses import NotSent
from engine.egress.client import EgressClient, Incoming

LANE = "agents"
HIDDEN = b"***"
REFUSED = 401
PATIENCE = "x-request-timeout"  # seconds that the agent has to answer, for those who read it
HEAD_S = 55.0
IDLE_S = 120.0
MAX_ANSWER_BYTES = 32 * 2**20
MAX_STREAM_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is sent. Of the caller's own request only what stands here; never its credentials or cookies."""

    method: str
    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_safe: bool = False  # may be sent again
    is_look: bool = False  # ours, to see what the agent says: not counted, also in quarantine
    head_s: float = HEAD_S
    idle_s: float = IDLE_S
    max_bytes: int = MAX_ANSWER_BYTES
    subject: str | None = None  # whose credential; "" the agent's own


class Upstream:
    """Calls agents."""

    def __init__(self, egress: EgressClient, limits: AgentLimits, breakers: Breakers, credentials: Credentials):
        self._egress = egress
        self._limits = limits
        self._breakers = breakers
        self._credentials = credentials

    @asynccontextmanager
    async def open(self, by: Principal, live: Live, out: Outgoing) -> AsyncIterator[Incoming]:
        """An agent's answer, while inside. Leaving early ends the call at the agent's side too.

        Raises RateLimited, Conflict in quarantine, Unauthorized for an address that may not be called,
        Timeout and Unavailable."""
        agent = live.agent
        if not out.is_look:
            live.check_open()
            await self._limits.take(agent.tenant, agent.agent_id, live.limit)
        proof = await self._credentials.proof(by, agent.agent_id, subject=out.subject)
        async with self._limits.slot(agent.tenant, agent.agent_id), AsyncExitStack() as stack:
            if not out.is_look:
                self._breakers.admit(live.key)
            watched = _Watched(self._breakers, live.key)
            with watched:
                incoming = await self._send(stack, out, proof)
                if incoming.status == REFUSED and self._credentials.forget(proof):  # it has done nothing: ask again
                    proof = await self._credentials.proof(by, agent.agent_id, subject=out.subject)
                    incoming = await self._send(stack, out, proof)
                watched.is_fault = incoming.status >= 500
                total_s = None if incoming.media_type == EVENTS else out.head_s
                chunks = watched.read(incoming.chunks, out.idle_s, total_s)
                yield replace(incoming, chunks=without(proof.secret, chunks), headers=_clean(incoming, proof))

    async def _send(self, stack: AsyncExitStack, out: Outgoing, proof: Proof) -> Incoming:
        try:
            with Deadline(out.head_s):
                try:
                    return await self._try(stack, out, proof)
                except NotSent:
                    return await self._try(stack, out, proof)
                except Unavailable:
                    if not out.is_safe:
                        raise
                    return await self._try(stack, out, proof)
        except TimeoutError:
            raise Timeout("The agent did not answer in time.", hint="Retry later.") from None
        except InvalidArgument as error:
            raise Unauthorized(error.message, hint=error.hint) from None

    async def _try(self, stack: AsyncExitStack, out: Outgoing, proof: Proof) -> Incoming:
        async with AsyncExitStack() as attempt:
            incoming = await attempt.enter_async_context(
                self._egress.open(
                    out.method,
                    out.url,
                    body=out.body,
                    headers={PATIENCE: f"{out.head_s:g}", **out.headers, **proof.headers},
                    max_bytes=out.max_bytes,
                    lane=LANE,
                    certificate=proof.certificate,
                )
            )
            stack.push_async_callback(attempt.pop_all().aclose)
            return incoming
        raise AssertionError("unreachable: an answer or an error")


async def without(secret: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks with a credential taken out, should the agent send back what it was sent."""
    if not secret:
        async for chunk in chunks:
            yield chunk
        return
    kept = b""
    async for chunk in chunks:
        text = (kept + chunk).replace(secret, HIDDEN)
        size = next((size for size in range(len(secret) - 1, 0, -1) if text.endswith(secret[:size])), 0)
        kept = text[len(text) - size :]
        if len(text) > size:
            yield text[: len(text) - size]
    if kept:
        yield kept


def _clean(incoming: Incoming, proof: Proof) -> Mapping[str, str]:
    secret = proof.secret.decode("ascii")
    if not secret:
        return incoming.headers
    return {name: value.replace(secret, HIDDEN.decode()) for name, value in incoming.headers.items()}


class _Watched:
    """Tells the breaker how a call went."""

    __slots__ = ("_breakers", "_key", "is_fault")

    def __init__(self, breakers: Breakers, key: tuple[str, str]):
        self._breakers = breakers
        self._key = key
        self.is_fault = False

    def __enter__(self) -> "_Watched":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Unavailable | Timeout) or self.is_fault:
            self._breakers.fail(self._key)
        elif error is None or isinstance(error, PlatformError):
            self._breakers.succeed(self._key)
        else:  # the caller went away
            self._breakers.release(self._key)

    async def read(self, chunks: AsyncIterator[bytes], idle_s: float, total_s: float | None) -> AsyncIterator[bytes]:
        """The chunks, each of which must come within `idle_s`; and all, of what is no stream, within `total_s`."""
        end = None if total_s is None else time.monotonic() + total_s
        while True:
            limit_s = idle_s if end is None else max(0.001, min(idle_s, end - time.monotonic()))
            try:
                with Deadline(limit_s):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Unavailable("The agent has fallen silent.") from None
            yield chunk
