"""`confirm()`: the person behind an MCP client says yes before something is destroyed.

Legacy connections with a way back (stdio) are asked there and then. From 2026-07-28 on the call is
answered with a question, and asked again with the answer and a sealed state; the SDK seals it with a
key that replicas share and binds it to the tool, its arguments, the principal and an expiry. Inside it
stand the gate's digests of what was agreed to, and an idempotency key, so that sending the same answer
again repeats the stored result and nothing else. A client that cannot ask is refused."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp.server.session import ServerSession
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, ValidationError

from core.context import JobRun, Principal
from core.errors import Conflict, Unauthorized
from core.tool import Tool

QUESTION = "confirm"
ANSWER = "answer"
GOES_ON = {
    "chat": ("session_id", "prompt"),
    "run_agent": ("session_id", "message"),
    "run_agent_stream": ("session_id", "message"),
    "run_workflow": ("task_id", "clarification"),
}
"""Tools that may ask back: what of the result goes on, and which argument takes the answer."""

CALLING = frozenset({"call_tool", "call_write_tool"})
"""Tools that call another by its name, with its arguments inside their own."""

DECISIONS = frozenset({"approve_request", "reject_request"})
MAX_ARGUMENT_CHARS = 600
_SCHEMA = {
    "type": "object",
    "properties": {"confirm": {"type": "boolean", "title": "Yes, go ahead", "default": False}},
    "required": ["confirm"],
}


_ANSWER_SCHEMA = {
    "type": "object",
    "properties": {ANSWER: {"type": "string", "title": "Your answer", "maxLength": 1000}},
    "required": [ANSWER],
}


class NotAnswered(Conflict):
    """The person did not answer the question."""


class NeedsPerson(Unauthorized):
    """This destroys something, and nobody has agreed to it."""


class MustAsk(NeedsPerson):
    """The answer to this call is a question to the person; `question` goes to the client."""

    def __init__(self, message: str, question: InputRequiredResult):
        super().__init__(message)
        self.question = question


class Sealed(BaseModel):
    """What the client carries back unread: what was asked, what was agreed to before, the key of the run.

    `answers` names the argument that takes the person's words; `carried` are arguments that go on from there."""

    asked: str
    agreed: list[str] = []
    idempotency_key: str
    answers: str = ""
    carried: dict[str, str] = {}


@dataclass(slots=True)
class Confirmation:
    """The confirmations of one call and of the calls inside it; stands at the gate (`Call.confirm`)."""

    session: ServerSession
    idempotency_key: str = ""
    agreed: list[str] = field(default_factory=list)
    was_declined: bool = False
    carried: dict[str, str] = field(default_factory=dict)

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
        if self._is_modern():
            raise MustAsk(f"{tool.name} waits for a person's confirmation.", self._ask_back(about, text))
        if not is_yes(await self.session.elicit_form(text, _SCHEMA)):
            raise NeedsPerson(f"{tool.name} was not confirmed.", hint="Do not try again unless the person asks for it.")
        self.agreed.append(about)
        return True

    def _refuse_the_mute(self, tool: Tool) -> None:
        if self._is_able() and (self._is_modern() or self.session.can_send_request):
            return
        raise NeedsPerson(
            f"{tool.name} needs a person's yes; this client cannot ask the person to confirm it.",
            hint=f"A person can run `headwater call {tool.name}` or use REST; a client with elicitation can ask.",
        )

    def question_back(self, tool: str, result: BaseModel) -> InputRequiredResult | None:
        """A question of a run, for the person: their answer goes on with it. None where the client cannot ask so."""
        asked = question_in(tool, result)
        if asked is None or not self._is_able() or not self._is_modern():
            return None
        text, name, value, answers = asked
        carried = {**self.carried, name: value}
        sealed = Sealed(asked="", idempotency_key=secrets.token_hex(16), answers=answers, carried=carried)
        params = ElicitRequestFormParams(message=text, requested_schema=_ANSWER_SCHEMA)
        requests = {ANSWER: ElicitRequest(params=params)}
        return InputRequiredResult(input_requests=requests, request_state=sealed.model_dump_json())

    async def answer_now(self, tool: str, result: BaseModel) -> bool:
        """Ask a question of a run there and then, where the connection has a way back: whether it goes on."""
        asked = question_in(tool, result)
        if asked is None or not self._is_able() or self._is_modern() or not self.session.can_send_request:
            return False
        text, name, value, answers = asked
        try:
            said = said_in(await self.session.elicit_form(text, _ANSWER_SCHEMA))
        except NotAnswered:  # the question stands in the answer; the model may put it in its own words
            return False
        self.carried, self.idempotency_key = {**self.carried, name: value, answers: said}, ""
        return True

    def _is_modern(self) -> bool:
        return self.session.protocol_version in MODERN_PROTOCOL_VERSIONS

    def _is_able(self) -> bool:
        capabilities = self.session.client_capabilities
        return bool(capabilities and capabilities.elicitation)

    def _ask_back(self, about: str, text: str) -> InputRequiredResult:
        key = self.idempotency_key or secrets.token_hex(16)
        sealed = Sealed(asked=about, agreed=self.agreed, idempotency_key=key, carried=self.carried)
        params = ElicitRequestFormParams(message=text, requested_schema=_SCHEMA)
        requests = {QUESTION: ElicitRequest(params=params)}
        return InputRequiredResult(input_requests=requests, request_state=sealed.model_dump_json())


def resume(
    session: ServerSession, *, state: str | None, answers: Mapping[str, object], idempotency_key: str
) -> Confirmation:
    """The confirmations that a call comes with: none on the first try, else those in the unsealed state.

    Raises NotAnswered where the state is that of a question, and no answer came."""
    if state is None:
        return Confirmation(session, idempotency_key)
    try:
        sealed = Sealed.model_validate_json(state)
    except ValidationError:
        return Confirmation(session, idempotency_key)
    if sealed.answers:
        said = said_in(answers.get(ANSWER), go_on=f"{json.dumps(sealed.carried)} and {sealed.answers!r}")
        carried = {**sealed.carried, sealed.answers: said}
        return Confirmation(session, sealed.idempotency_key, carried=carried)
    answer, kept = answers.get(QUESTION), sealed.carried
    if not isinstance(answer, ElicitResult):
        return Confirmation(session, sealed.idempotency_key, sealed.agreed, carried=kept)
    if not is_yes(answer):
        return Confirmation(session, sealed.idempotency_key, sealed.agreed, was_declined=True, carried=kept)
    return Confirmation(session, sealed.idempotency_key, [*sealed.agreed, sealed.asked], carried=kept)


def said_in(answer: object, go_on: str = "what they say") -> str:
    """What the person wrote. Raises NotAnswered, which tells with what arguments it goes on nevertheless."""
    content = answer.content if isinstance(answer, ElicitResult) and answer.action == "accept" else None
    text = (content or {}).get(ANSWER)
    if not isinstance(text, str) or not text.strip():
        raise NotAnswered(hint=f"Ask the person in your own words, and call again with {go_on}.")
    return text


def question_in(tool: str, result: BaseModel) -> tuple[str, str, str, str] | None:
    """What a run asks back: the question, the argument that goes on with its value, and the one for the answer."""
    told: Mapping[str, Any] = dict(result)
    if tool in CALLING:
        tool, told = told.get("tool", ""), told.get("result")  # type: ignore[assignment]
    if tool not in GOES_ON or not isinstance(told, Mapping) or not told.get("question"):
        return None
    name, answers = GOES_ON[tool]
    return str(told["question"]), name, str(told[name]), answers


def onward(tool: str, arguments: Mapping[str, Any], carried: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of a call with what goes on after a question."""
    inner = arguments.get("arguments")
    if carried and tool in CALLING:
        return {**arguments, "arguments": {**(inner if isinstance(inner, Mapping) else {}), **carried}}
    return {**arguments, **carried}


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
