"""Talking with agents: the chat that everybody has, and agents of the tenant's own."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from agents.parts import AgentPart
from agents.turns import Told, Wish, take_turn
from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.runs.run import Cost

MAX_PROMPT = 64_000
SESSION = r"^[A-Za-z0-9_.:@-]{1,128}$"
SESSION_TEXT = "Conversation to go on with; left out, a new one begins. Sessions are yours alone."
APPROVAL_TEXT = "Id of the approval that is answered, as `approval` of the answer before has it."
DECISION_TEXT = "What you answer to it; `yes` or `no` as the prompt says the same."
Decide = Literal["approve", "reject"]


class ChatMessage(Model):
    """One earlier turn."""

    role: Literal["system", "user", "assistant"] = Field(description="Who said it.")
    content: str = Field(max_length=MAX_PROMPT, description="What was said.")


class Chat(Model):
    """What you want to know, and who should answer."""

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT, description="Your question or wish, in your own words.")
    provider: str | None = Field(
        None, max_length=64, description="Provider of the model, where its name is not enough."
    )
    model: str | None = Field(
        None,
        max_length=255,
        description="A model of list_models; `none` for the planner. Default the tenant's.",
    )
    api_base: str | None = Field(
        None, max_length=2000, description="Where the model is; only an address that an administrator has listed."
    )
    session_id: str | None = Field(None, pattern=SESSION, description=SESSION_TEXT)
    approval_id: str | None = Field(None, max_length=64, description=APPROVAL_TEXT)
    decision: Decide | None = Field(None, description=DECISION_TEXT)
    connection_id: Annotated[str | None, Refers("connection")] = Field(
        None, max_length=64, description="Connection that the question is about; default the lakehouse."
    )
    messages: list[ChatMessage] = Field([], max_length=200, description="Earlier turns that you keep yourself.")
    keep: bool = Field(True, description="Whether the turn is kept as a session.")


class RunAgent(Model):
    """What an agent is asked."""

    agent_id: Annotated[str, Refers("agent")] = Field(max_length=64, description="Its id; list_agents shows them.")
    message: str = Field(min_length=1, max_length=MAX_PROMPT, description="What you say to it.")
    session_id: str | None = Field(None, pattern=SESSION, description=SESSION_TEXT)
    approval_id: str | None = Field(None, max_length=64, description=APPROVAL_TEXT)
    decision: Decide | None = Field(None, description=DECISION_TEXT)
    messages: list[ChatMessage] = Field([], max_length=200, description="Earlier turns that you keep yourself.")
    keep: bool = Field(True, description="Whether the turn is kept as a session.")


class ToolCall(Model):
    """A tool that was called for the answer."""

    tool: str = Field(description="Its name.")
    arguments_json: str = Field(description="Its arguments, as JSON.")
    result_json: str = Field(description="What it answered, as JSON; long results are cut. An `error` where it failed.")


class ModelUsage(Model):
    """What models used."""

    tokens_in: int = Field(description="Tokens read.")
    tokens_out: int = Field(description="Tokens written.")
    total_tokens: int = Field(description="Both.")
    usd: Decimal = Field(description="Cost in US dollars, as the model is priced.")


class WaitingCall(Model):
    """A call that waits for your yes."""

    approval_id: str = Field(description="Give it with `decision`, or say yes or no in the next turn.")
    tool: str = Field(description="The tool.")
    arguments_json: str = Field(description="Its arguments, as JSON: a yes holds for just these.")
    reason: str = Field(description="Why it needs a person.")


class ChatAnswer(Model):
    """What came of it."""

    success: bool = Field(True, description="Always true: a failure is an error.")
    response: str = Field(description="The answer, a question back, or what waits for your yes.")
    tool_calls: list[ToolCall] = Field(description="What was called for it, in order.")
    run_id: str = Field(description="Id of this run; get_agent_run shows its trace.")
    session_id: str = Field(description="Give it to go on with the conversation.")
    status: Literal["completed", "waiting"] = Field(description="waiting: it goes on with your next turn.")
    question: str = Field(description="What it asks back; empty: nothing.")
    approval: WaitingCall | None = Field(description="The call that waits for your yes.")
    answered_by: str = Field(description="The model that answered, or `planner`.")
    usage: ModelUsage = Field(description="What models used for it.")


@tool("POST /agent/chat", needs="agents.run", effect="write", emits=AgentPart)
async def chat(ctx: Ctx, request: Chat) -> ChatAnswer:
    """Ask in plain words; tools that you may call are called for you, and named in the answer.

    Without a model the built-in planner answers, and says so. Whatever destroys something, or changes or sends out
    something after data was read, stops and asks you first: say yes in the next turn, or give `decision`."""
    return show_answer(await take_turn(ctx, _wish(request, request.prompt)))


@tool("POST /agents/{agent_id}/run", needs="agents.run", effect="write", emits=AgentPart)
async def run_agent(ctx: Ctx, request: RunAgent) -> ChatAnswer:
    """Send a message to an agent of your own tenant and get its answer.

    It calls tools as you, with at most your rights and only those that it is made for. For an agent of others use
    route_to_agent."""
    return show_answer(await take_turn(ctx, _wish(request, request.message)))


@tool("POST /agents/{agent_id}/run/stream", needs="agents.run", effect="write", emits=AgentPart)
async def run_agent_stream(ctx: Ctx, request: RunAgent) -> ChatAnswer:
    """Send a message to an agent and follow its answer as it comes: tokens, tool calls, questions.

    The same as run_agent with a stream; the last event is the whole answer."""
    return show_answer(await take_turn(ctx, _wish(request, request.message)))


def show_answer(told: Told) -> ChatAnswer:
    approval, waits = told.approval, told.approval.waits if told.approval is not None else None
    return ChatAnswer(
        response=told.text,
        tool_calls=[
            ToolCall(tool=item.tool, arguments_json=item.arguments_json, result_json=item.result_json)
            for item in told.called
        ],
        run_id=told.run.run_id,
        session_id=told.session_id,
        status="waiting" if told.run.status == "waiting" else "completed",
        question=told.question,
        approval=None
        if approval is None
        else WaitingCall(
            approval_id=told.approval_id,
            tool=approval.tool,
            arguments_json=approval.arguments_json,
            reason=waits.why if waits is not None else "",
        ),
        answered_by=told.answered_by,
        usage=show_usage(told.run.cost),
    )


def show_usage(cost: Cost) -> ModelUsage:
    return ModelUsage(
        tokens_in=cost.tokens_in,
        tokens_out=cost.tokens_out,
        total_tokens=cost.tokens_in + cost.tokens_out,
        usd=Decimal(cost.nano) / 10**9,
    )


def _wish(request: Chat | RunAgent, prompt: str) -> Wish:
    given = request.model_dump(include={"provider", "model", "api_base", "connection_id"})
    return Wish(
        prompt=prompt,
        agent_id=getattr(request, "agent_id", ""),
        session_id=request.session_id or "",
        approval_id=request.approval_id or "",
        decision=request.decision,
        history=[item.model_dump() for item in request.messages],
        is_kept=request.keep,
        **{name: value or "" for name, value in given.items()},
    )
