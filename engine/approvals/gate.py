"""The approval hook of the gate: a call that a tenant's rule names passes once for each approval of just that call."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from core.context import JobRun, Principal
from core.errors import Unauthorized
from core.tool import Tool
from engine.approvals.approval import DAY_S, DECIDE, TOOL_CALL, Kind, Opening
from engine.approvals.approvals import Approvals
from engine.approvals.rules import ApprovalRules, Rule

USE_WITHIN_S = DAY_S
MAX_SHOWN = 64 * 1024
_SECRET = ("password", "secret", "token", "credential", "api_key", "private_key", "authorization")

CALLS = Kind(TOOL_CALL, decides=DECIDE, use_within_s=USE_WITHIN_S)
Seal = Callable[[str, bytes], bytes]


class NeedsApproval(Unauthorized):
    """This call waits for somebody else's decision."""


class ApprovalGate:
    """Implements the gate's `Approvals`. Arguments are sealed, and shown to whoever decides without secrets."""

    def __init__(self, approvals: Approvals, rules: ApprovalRules, *, seal: Seal):
        self._approvals = approvals
        self._rules = rules
        self._seal = seal

    async def check(
        self, principal: Principal, tool: Tool, request: BaseModel, argument_digest: str, *, job: JobRun | None = None
    ) -> bool:
        """Whether somebody has approved just this call, which uses that up; false where no rule asks for it.

        A job that starts was approved when it was submitted. Raises NeedsApproval, naming the approval that waits."""
        rule = await self._asked(principal, tool, request)
        if rule is None:
            return False
        if job is not None:
            return await self._check_start(principal, tool, argument_digest)
        if await self._approvals.use(principal, tool.name, argument_digest) is not None:
            return True
        opening = Opening(
            kind=TOOL_CALL,
            title=f"{tool.title} ({rule.name})" if rule.name else tool.title,
            key=f"{tool.name}:{argument_digest}",
            subject={"rule": rule.name, "effect": tool.effect, "via": principal.via},
            tool=tool.name,
            argument_digest=argument_digest,
            arguments=await asyncio.to_thread(self._seal, principal.tenant, show_arguments(request)),
        )
        waiting = await self._approvals.open(principal, opening)
        raise NeedsApproval(
            f"{tool.name} needs an approval; {waiting.approval_id} waits for a decision.",
            hint="Somebody else decides it with approve_request. Then make exactly the same call again, within a day.",
        )

    async def _check_start(self, principal: Principal, tool: Tool, argument_digest: str) -> bool:
        if await self._approvals.was_used(principal, tool.name, argument_digest):
            return True
        raise NeedsApproval(
            f"{tool.name} needs an approval by now, and was submitted without.",
            hint="Submit it again: that asks for the approval.",
        )

    async def _asked(self, principal: Principal, tool: Tool, request: BaseModel) -> Rule | None:
        if not principal.tenant or getattr(request, "dry_run", False):
            return None  # a dry run changes nothing
        return (await self._rules.of(principal.tenant)).asks(tool, principal)


def show_arguments(request: BaseModel) -> bytes:
    """The arguments as JSON, with secrets taken out."""
    shown = json.dumps(_without_secrets(request.model_dump(mode="json", exclude_defaults=True)), ensure_ascii=False)
    if len(shown) > MAX_SHOWN:
        shown = json.dumps({"too_long_to_show": len(shown)})
    return shown.encode()


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "***" if _is_secret(key) else _without_secrets(item) for key, item in value.items()}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET)
