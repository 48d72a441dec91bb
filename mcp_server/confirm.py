"""`confirm()`: the person behind an MCP client says yes before something is destroyed.

Legacy connections with a way back (stdio) are asked there and then. From 2026-07-28 on the call is
answered with a question, and asked again with the answer and a sealed state; the SDK seals it with a
key that replicas share and binds it to the tool, its arguments, the principal and an expiry. Inside it
stand the gate's digests of what was agreed to, and an idempotency key, so that sending the same answer
again repeats the stored result and nothing else. A client that cannot ask is refused."""

import json
import secrets
from dataclasses import dataclass, field

from mcp.server.session import ServerSession
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, ValidationError

from core.context import JobRun, Principal
from core.errors import Unauthorized
from core.tool import Tool

QUESTION = "confirm"
DECISIONS = frozenset({"approve_request", "reject_request"})
MAX_ARGUMENT_CHARS = 600
_SCHEMA = {
    "type": "object",
    "properties": {"confirm": {"type": "boolean", "title": "Yes, go ahead", "default": False}},
    "required": ["confirm"],
}


class NeedsPerson(Unauthorized):
    """This destroys something, and nobody has agreed to it."""


class MustAsk(NeedsPerson):
    """The answer to this call is a question to the person; `question` goes to the client."""

    def __init__(self, message: str, question: InputRequiredResult):
        super().__init__(message)
        self.question = question


class Sealed(BaseModel):
    """What the client carries back unread: what was asked, what was agreed to before, the key of the run."""

    asked: str
    agreed: list[str] = []
    idempotency_key: str


@dataclass(slots=True)
class Confirmation:
    """The confirmations of one call and of the calls inside it; stands at the gate (`Call.confirm`)."""

    session: ServerSession
    idempotency_key: str = ""
    agreed: list[str] = field(default_factory=list)
    was_declined: bool = False

    async def check(
        self, principal: Principal, tool: Tool, request: BaseModel, argument_digest: str, *, job: JobRun | None = None
    ) -> bool:
        """Return when the call may go on. Raises NeedsPerson or MustAsk."""
        if not is_asked(tool) or getattr(request, "dry_run", False):
            return False  # a dry run destroys nothing
        about = f"{tool.name}:{argument_digest}"
        if about in self.agreed:
            return True
        if self.was_declined:
            raise NeedsPerson(f"{tool.name} was not confirmed.", hint="Do not try again unless the person asks for it.")
        self._refuse_the_mute(tool)
        text = question_text(tool, request)
        if self.session.protocol_version in MODERN_PROTOCOL_VERSIONS:
            raise MustAsk(f"{tool.name} waits for a person's confirmation.", self._ask_back(about, text))
        if not is_yes(await self.session.elicit_form(text, _SCHEMA)):
            raise NeedsPerson(f"{tool.name} was not confirmed.", hint="Do not try again unless the person asks for it.")
        self.agreed.append(about)
        return True

    def _refuse_the_mute(self, tool: Tool) -> None:
        capabilities = self.session.client_capabilities
        is_modern = self.session.protocol_version in MODERN_PROTOCOL_VERSIONS
        if capabilities and capabilities.elicitation and (is_modern or self.session.can_send_request):
            return
        raise NeedsPerson(
            f"{tool.name} needs a person's yes; this client cannot ask the person to confirm it.",
            hint=f"A person can run `headwater call {tool.name}` or use REST; a client with elicitation can ask.",
        )

    def _ask_back(self, about: str, text: str) -> InputRequiredResult:
        sealed = Sealed(asked=about, agreed=self.agreed, idempotency_key=self.idempotency_key or secrets.token_hex(16))
        params = ElicitRequestFormParams(message=text, requested_schema=_SCHEMA)
        requests = {QUESTION: ElicitRequest(params=params)}
        return InputRequiredResult(input_requests=requests, request_state=sealed.model_dump_json())


def resume(session: ServerSession, *, state: str | None, answer: object, idempotency_key: str) -> Confirmation:
    """The confirmations that a call comes with: none on the first try, else those in the unsealed state."""
    if state is None:
        return Confirmation(session, idempotency_key)
    try:
        sealed = Sealed.model_validate_json(state)
    except ValidationError:
        return Confirmation(session, idempotency_key)
    if not isinstance(answer, ElicitResult):
        return Confirmation(session, sealed.idempotency_key, sealed.agreed)
    if not is_yes(answer):
        return Confirmation(session, sealed.idempotency_key, sealed.agreed, was_declined=True)
    return Confirmation(session, sealed.idempotency_key, [*sealed.agreed, sealed.asked])


def is_asked(tool: Tool) -> bool:
    """What destroys, and what decides in a person's name, takes their word."""
    return (tool.effect == "destroy" and not tool.delegates) or tool.name in DECISIONS


def is_yes(answer: ElicitResult) -> bool:
    return answer.action == "accept" and answer.content is not None and answer.content.get("confirm") is True


def question_text(tool: Tool, request: BaseModel) -> str:
    """What the person reads: the tool, what it does, and the exact arguments."""
    arguments = json.dumps(request.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
    if len(arguments) > MAX_ARGUMENT_CHARS:
        arguments = arguments[:MAX_ARGUMENT_CHARS] + "..."
    return f"{tool.title}: {tool.summary}\nArguments: {arguments}\nThis may not be undone. Go ahead?"
