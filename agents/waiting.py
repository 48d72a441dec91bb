"""Calls that wait for a person: what is kept of a run meanwhile, and what the person answered."""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agents.bound import Called, Wanted
from agents.guard import Guard
from agents.loop import Loop, Message
from engine.conversations.conversations import Pending

Decision = Literal["approve", "reject"]
YES = frozenset({"yes", "y", "yes please", "approve", "approved", "go ahead", "do it", "ok", "okay", "confirm"})
NO = frozenset({"no", "n", "no thanks", "reject", "rejected", "stop", "do not", "don't", "cancel"})
MAX_STATE_CHARS = 400_000
MAX_SHOWN = 600


@dataclass(frozen=True, slots=True)
class Held:
    """A run that waits, read back: the call that asks is the first of `rest`."""

    about: str
    model: str
    messages: list[Message]
    rest: tuple[Wanted, ...]


def answer_of(prompt: str) -> Decision | None:
    """What a person says in a word or two; None where it is anything else."""
    said = " ".join(prompt.lower().strip(" .!\n\t").split())
    return "approve" if said in YES else "reject" if said in NO else None


def new_id() -> str:
    return f"ask_{secrets.token_hex(12)}"


def id_of_request(request: Mapping[str, Any]) -> str:
    """The id under which a client finds its run again that calls once more with the same arguments."""
    text = json.dumps(dict(request), sort_keys=True, default=str)
    return f"ask_{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:32]}"


def hold(loop: Loop, about: str, rest: Sequence[Wanted], *, model: str, pending_id: str) -> Pending | None:
    """Everything that it takes to go on; None where that is too much to keep."""
    state = {
        "about": about,
        "model": model,
        "messages": loop.messages,
        "rest": [[item.call_id, item.name, item.arguments] for item in rest],
    }
    return Pending(pending_id, state) if len(json.dumps(state)) <= MAX_STATE_CHARS else None


def read_held(state: Mapping[str, Any]) -> Held:
    return Held(state["about"], state["model"], list(state["messages"]), tuple(Wanted(*item) for item in state["rest"]))


def decide(guard: Guard, held: Held, decision: Decision | None) -> None:
    """Let the call that asked pass once, or not. Without a decision the person's own client is asked."""
    if decision == "approve":
        guard.agreed.add(held.about)
    elif decision == "reject":
        guard.declined.add(held.about)


def told(called: Called) -> str:
    """What the person reads who is asked."""
    arguments = json.dumps(called.waits.arguments if called.waits else {}, ensure_ascii=False)
    shown = arguments if len(arguments) <= MAX_SHOWN else arguments[:MAX_SHOWN] + "..."
    why = called.waits.why if called.waits else ""
    return f"I would call {called.tool} with {shown}. This needs your yes, because {why}. Answer yes or no."
